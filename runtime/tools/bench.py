"""Benchmark a frame on this machine: every stage, beside the bare network in the same run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from edge_config.errors import BundleGraphInvalid, SourceUnavailable
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.camera import address
from runtime.camera.sources.in_process import FrameSource, open_source
from runtime.client.subscriber import Subscriber
from runtime.frame import BundleInfo, Frame, Image, Result, Score
from runtime.inference.assemble import SearchKind
from runtime.inference.load import load, scene_reference
from runtime.inference.providers.bf16 import made_with
from runtime.messaging.publisher import Publisher
from runtime.process.log import set_up_logging
from runtime.process.progress import GAUGE
from runtime.process.threads import limit_threads
from runtime.scene.inspect import Inspect
from runtime.scoring.graph_session import chain_of, session_options
from runtime.scoring.scorer import Scorer
from runtime.tools.bench_figures import WARM_UP, Bench, Clock, summary
from runtime.tools.cold_start import cold_start

Network = Callable[[NDArray[np.uint8]], object]

COLD_STARTS = 3
"""Number of cold starts; the median is reported."""

_BLACK: Image = np.zeros((64, 64, 3), dtype=np.uint8)
_AT_A_TIME = 16  # frames that are decoded before they are measured: decoding must not run beside the measurement
_COMPARED_EVERY = 5  # frames of which one is also searched in full and mapped: that takes longer than all the rest
_INTERVAL_NS = 40_000_000  # between frames, as the inspection sees it, which does not look at each: 25 a second


def bench(path: Path, source: str, *, threads: int, frames: int, search: SearchKind) -> Bench:
    """Measure a bundle on the frames of a source.

    Args:
        path: the bundle.
        source: as of `patchedge run`; a recording is played once, at full speed.
        threads: bound on all threads; 0 means all cores.
        frames: maximum number of frames.
        search: how far patches are searched.

    Raises:
        BundleError: it must not be served.
        SourceUnavailable: there is no such source, or it has too few frames.
    """
    set_up_logging()
    bundles.read(path)  # what must not be served is said here, not by a process that ends
    _try(source)
    with GAUGE.stage("cold starts", COLD_STARTS, "starts") as stage:
        starts = []
        for number in range(1, COLD_STARTS + 1):  # the last one plays on, for its memory
            starts.append(cold_start(path, source, threads, frames if number == COLD_STARTS else 1))
            stage.update()
    threads = limit_threads(threads, blas=1)
    bundle, scorer = load(path, threads, search)
    clock = Clock()
    camera = open_source(source, pace="max", depth=bundle.manifest.preprocessing.depth)
    with _watched(bundle, camera) as watched:
        network = _load_network(bundle, threads)
        inspect = Inspect(bundle.manifest.scene, scene_reference(bundle))
        walk = enumerate(decoded(camera, frames, clock))
        room = np.empty(scorer.embed(scorer.preprocess(_BLACK)).shape, dtype=np.float32)
        shares = []
        with GAUGE.stage("measure", frames, "frames") as stage:
            for number, frame in walk:
                shares.append(_measure(number, frame, inspect, scorer, network, watched, room, clock))
                stage.update()
    if len(shares) <= WARM_UP:
        raise SourceUnavailable(
            f"{len(shares)} readable frames, more than {WARM_UP} are needed", where=address.redact(source)
        )
    return summary(bundle, search, threads, clock, shares[WARM_UP:], starts)


def _try(source: str) -> None:
    """Open a camera or stream once, as `patchedge run` would retry indefinitely if it is absent.

    Raises:
        SourceUnavailable: it does not open.
    """
    if address.kind(source) != "recording":
        camera = open_source(source)
        camera.read()
        camera.close()


@contextmanager
def _watched(bundle: Bundle, camera: FrameSource) -> Iterator[MonitoredCamera]:
    """Yield the alert state of a camera with a subscriber to its messages."""
    with TemporaryDirectory() as folder:
        publisher = Publisher(f"ipc://{folder}/events", device="bench")
        try:
            with Subscriber(publisher.endpoint):
                publisher.wait_subscribers(1, threading.Event())
                watched = MonitoredCamera("bench", publisher)
                calibration = bundle.manifest.calibration
                path = str(bundle.path)
                watched.serve(BundleInfo(bundle.id, path, calibration.threshold, calibration.promised_alpha))
                yield watched
        finally:
            camera.close()
            publisher.close()


def _load_network(bundle: Bundle, threads: int) -> Network | None:
    """Load the graph without its aggregation; None if the bundle has none.

    Raises:
        BundleGraphInvalid: ONNX Runtime does not take it.
    """
    if bundles.NETWORK not in bundle.manifest.files:
        return None
    path = str(bundle.file(bundles.NETWORK))
    try:
        chain = chain_of(made_with(bundle.manifest.features.precision, threads))
        session = onnxruntime.InferenceSession(path, session_options(threads), providers=chain)
    except Exception as error:  # ONNX Runtime's own exceptions have no common base but this
        raise BundleGraphInvalid(f"ONNX Runtime refuses it ({error})", where=path) from error
    name = session.get_inputs()[0].name
    return lambda tensor: [session.run(None, {name: tile[None]}) for tile in tensor]


def decoded(camera: FrameSource, most: int, clock: Clock) -> Iterator[Frame]:
    """Read frames in batches, so that decoding does not run during the measurement."""
    while most > 0:
        some: list[Frame] = []
        while len(some) < min(most, _AT_A_TIME) and (frame := clock("decode", camera.read)) is not None:
            some.append(frame)
        most -= len(some)
        yield from (frame for frame in some if frame.image is not None)
        if not some:
            return


def _measure(
    number: int,
    frame: Frame,
    inspect: Inspect,
    scorer: Scorer,
    network: Network | None,
    watched: MonitoredCamera,
    room: NDArray[np.float32],
    clock: Clock,
) -> float:
    """Measure one frame, with the network before or after it in turn; return the share of searched patches."""
    clock("inspect", lambda: inspect(cast("Image", frame.image), number * _INTERVAL_NS))
    tensor = clock("preprocess", lambda: scorer.preprocess(cast("Image", frame.image)))
    if network and number % 2:
        clock("network", lambda: network(tensor))
    features = clock("graph", lambda: scorer.embed(tensor, room))
    found = clock("search", lambda: scorer.search(features))
    share = found.searched
    score = clock("score", lambda: scorer.score(features, found))
    clock("publish", lambda: watched.publish(frame, _result(scorer, frame, score)))
    if network and not number % 2:
        clock("network", lambda: network(tensor))
    if number % _COMPARED_EVERY == 0:
        clock("whole_search", lambda: scorer.whole(features))
        threshold = watched.bundle.threshold
        clock("map", lambda: scorer.alert_map(features, score, threshold))
    return share


def _result(scorer: Scorer, frame: Frame, score: Score) -> Result:
    """Return the result that the worker would send."""
    height, width = cast("Image", frame.image).shape[:2]
    peak_xy = scorer.preprocess.to_camera(score.patch, scorer.grid, (height, width))
    return Result(score.value, score.patch, score.entry, peak_xy)
