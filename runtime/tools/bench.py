"""Benchmark a frame on this machine: every stage, beside the bare network in the same run."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from subprocess import Popen
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TypeVar, cast

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import SearchKind
from runtime.alerts.camera_state import Watched
from runtime.camera import address
from runtime.camera.sources.in_process import FrameSource, open_source
from runtime.client.subscriber import Subscriber
from runtime.frame import BundleInfo, Frame, Image, Result, Score
from runtime.inference.load import load, scene_reference
from runtime.messaging.publisher import Publisher
from runtime.process.log import set_up_logging
from runtime.process.progress import GAUGE
from runtime.process.threads import limit_threads
from runtime.scene.inspect import Inspect
from runtime.scoring.embed import session_options
from runtime.scoring.scorer import Scorer
from runtime.tools.bare_network import cut_before_aggregation

T = TypeVar("T")

STAGES = ("inspect", "preprocess", "graph", "search", "score", "publish")
"""What a frame is made of, from the decoded picture to the message on the socket, in order."""

WARM_UP = 5
"""Frames at the start that do not count: nothing is known of the scene yet, and no page was touched."""

COLD_STARTS = 3
"""Processes that are started to measure the cold start; the median counts."""

PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "hnswlib", "pyzmq")

_BLACK: Image = np.zeros((64, 64, 3), dtype=np.uint8)
_AT_A_TIME = 16  # frames that are decoded before they are measured: decoding must not run beside the measurement
_COMPARED_EVERY = 5  # frames of which one is also searched in full and mapped: that takes longer than all the rest
_INTERVAL_NS = 40_000_000  # between frames, as the inspection sees it, which does not look at each: 25 a second
_TURN_S = 0.2  # a wait for messages looks so often whether there is anybody left to send them


class Spread(msgspec.Struct, frozen=True):
    """Times of one stage over the frames, milliseconds."""

    p50: float
    p95: float
    p99: float


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured.

    Attributes:
        bundle: its id.
        entries: of its bank.
        search: the kind.
        frames: that count.
        threads: in force.
        stages: `decode`; those of a frame (inspect, preprocess, graph, search, score, publish) and the whole `frame`,
            from the decoded picture to the message on the socket; for comparison `network` (the graph without its
            aggregation) and `whole_search` (every patch through the graph); `map`, what an alert adds.
        p50_ms, p95_ms, p99_ms: of a whole frame.
        ratio_to_network: p50 of the whole frame by p50 of the network.
        ratio_with_decode: the same, decoding included.
        ratio_to_whole_search: p50 of the whole frame by what it would be with `whole_search` in place of `search`.
        searched_share_p50, searched_share_p95: of the patches that were searched, as of `Neighbours`, 0 to 1.
        peak_rss_mb: of the processes of `patchedge run` over these frames, what they share counted once, MB; null where
            the system does not tell.
        cold_start_s: from the start of that process to its first score, median; the files are in the system's cache.
        machine, versions: on what.
    """

    bundle: str
    entries: int
    search: str
    frames: int
    threads: int
    stages: dict[str, Spread]
    p50_ms: float
    p95_ms: float
    p99_ms: float
    ratio_to_network: float
    ratio_with_decode: float
    ratio_to_whole_search: float
    searched_share_p50: float
    searched_share_p95: float
    peak_rss_mb: float | None
    cold_start_s: float
    machine: str
    versions: dict[str, str]


def bench(path: Path, source: str, *, threads: int, frames: int, search: SearchKind) -> Bench:
    """Measure a bundle on the frames of a source.

    Args:
        path: the bundle.
        source: as of `patchedge run`; a recording is played once, at full speed.
        threads: bound on all threads; 0 means all cores.
        frames: at most so many.
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
            starts.append(_start(path, source, threads, search, frames if number == COLD_STARTS else 1))
            stage.update()
    threads = limit_threads(threads, blas=1)
    bundle, scorer = load(path, threads, search)
    clock = _Clock()
    camera = open_source(source, pace="max", depth=bundle.manifest.preprocessing.depth)
    with _watched(bundle, camera) as watched:
        network = _load_network(bundle, threads)
        inspect = Inspect(bundle.manifest.scene, scene_reference(bundle))
        walk = enumerate(_decoded(camera, frames, clock))
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
    return _summary(bundle, search, threads, clock, shares[WARM_UP:], starts)


def _try(source: str) -> None:
    """Open a camera or stream once: `patchedge run` would wait for one that is not there, for ever.

    Raises:
        SourceUnavailable: it does not open.
    """
    if address.kind(source) != "recording":
        camera = open_source(source)
        camera.read()
        camera.close()


class _Clock:
    """Collects times by stage, milliseconds."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def __call__(self, stage: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        self.times.setdefault(stage, []).append((time.perf_counter() - start) * 1e3)
        return result

    def spread(self, stage: str, skip: int) -> Spread:
        return _spread(np.array(self.times[stage][skip:]))


@contextmanager
def _watched(bundle: Bundle, camera: FrameSource) -> Iterator[Watched]:
    """Yield a camera whose messages somebody subscribes to."""
    with TemporaryDirectory() as folder:
        publisher = Publisher(f"ipc://{folder}/events", device="bench")
        try:
            with Subscriber(publisher.endpoint):
                publisher.wait_subscribers(1, threading.Event())
                watched = Watched("bench", publisher)
                calibration = bundle.manifest.calibration
                path = str(bundle.path)
                watched.serve(BundleInfo(bundle.id, path, calibration.threshold, calibration.promised_alpha))
                yield watched
        finally:
            camera.close()
            publisher.close()


def _load_network(bundle: Bundle, threads: int) -> Callable[[NDArray[np.uint8]], object]:
    """Load the graph without its aggregation."""
    cut = cut_before_aggregation(bundle.file(bundles.MODEL))
    session = onnxruntime.InferenceSession(cut, session_options(threads), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda tensor: session.run(None, {name: tensor})


def _decoded(camera: FrameSource, most: int, clock: _Clock) -> Iterator[Frame]:
    """Read frames, some at a time: decoding must not run beside what is measured."""
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
    network: Callable[[NDArray[np.uint8]], object],
    watched: Watched,
    room: NDArray[np.float32],
    clock: _Clock,
) -> float:
    """Take one frame through its stages, and the network in turn before or after; give the searched share."""
    clock("inspect", lambda: inspect(cast("Image", frame.image), number * _INTERVAL_NS))
    tensor = clock("preprocess", lambda: scorer.preprocess(cast("Image", frame.image)))
    if number % 2:
        clock("network", lambda: network(tensor))
    features = clock("graph", lambda: scorer.embed(tensor, room))
    found = clock("search", lambda: scorer.search(features))
    share = found.searched
    score = clock("score", lambda: scorer.score(features, found))
    clock("publish", lambda: watched.publish(frame, _result(scorer, frame, score)))
    if not number % 2:
        clock("network", lambda: network(tensor))
    if number % _COMPARED_EVERY == 0:
        clock("whole_search", lambda: scorer.whole(features))
        threshold = watched.bundle.threshold
        clock("map", lambda: scorer.alert_map(features, score, threshold))
    return share


def _result(scorer: Scorer, frame: Frame, score: Score) -> Result:
    """Return what the worker would answer."""
    height, width = cast("Image", frame.image).shape[:2]
    peak_xy = scorer.preprocess.to_camera(score.patch, scorer.grid, (height, width))
    return Result(score.value, score.patch, score.entry, peak_xy)


def _start(path: Path, source: str, threads: int, search: SearchKind, frames: int) -> tuple[float, float | None]:
    """Run `patchedge run` until so many scores came, or it ends: seconds to the first, and its peak memory, MB."""
    with TemporaryDirectory() as folder, TemporaryFile("w+") as log:
        endpoint = f"ipc://{folder}/events"
        words = ["--bundle", str(path), "--pace", "max", "--threads", str(threads), *_name(source, Path(folder))]
        words += ["--search", search, "--bind", endpoint, "--wait-subscribers", "1"]
        start = time.perf_counter()
        command = [sys.executable, "-m", "runtime.cli.main", "run", *words]
        with Popen(command, stderr=log, text=True) as process, Subscriber(endpoint, kinds=["score"]) as subscriber:
            try:
                if not _scored(process, subscriber):
                    log.seek(0)
                    said = (log.read().splitlines() or ["no score"])[-1].removeprefix("patchedge: ")
                    raise SourceUnavailable(f"`patchedge run` published nothing ({said})", where=address.redact(source))
                seconds, peak = time.perf_counter() - start, _memory_mb(process.pid)
                for _ in range(frames - 1):
                    if not _scored(process, subscriber):
                        break
                    peak = max(peak or 0.0, _memory_mb(process.pid) or 0.0) or None
            finally:
                process.terminate()
    return seconds, peak


def _name(source: str, folder: Path) -> list[str]:
    """Return the arguments for a source; a URL stands in a file, as all users of a machine may see arguments."""
    if address.kind(source) != "stream":
        return ["--source", source]
    settings = folder / "settings.toml"
    text = json.dumps(source, ensure_ascii=False)
    settings.write_text(f"bundle = 'none'\n[cameras.cam1]\nsource = {text}\n", encoding="utf-8")
    return ["--config", str(settings)]


def _scored(process: Popen[str], subscriber: Subscriber) -> bool:
    """Wait for a score of a process; False if it ended without another."""
    while subscriber.receive(_TURN_S) is None:
        if process.poll() is not None:
            return False
    return True


def _memory_mb(pid: int) -> float | None:
    """Read the memory of a process and those that it started, MB: what several share counts in parts.

    None where Linux does not tell, or it has ended.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        children = Path(f"/proc/{pid}/task").glob("*/children")
        started = [int(child) for file in children for child in file.read_text(encoding="ascii").split()]
    except OSError:
        return None
    found = re.search(r"^Pss:\s+(\d+) kB", text, flags=re.MULTILINE)
    if found is None:
        return None
    return int(found.group(1)) * 1024 / 1e6 + sum(_memory_mb(child) or 0.0 for child in started)


def _summary(
    bundle: Bundle,
    search: SearchKind,
    threads: int,
    clock: _Clock,
    shares: list[float],
    starts: list[tuple[float, float | None]],
) -> Bench:
    stages = {stage: clock.spread(stage, WARM_UP) for stage in ("decode", *STAGES, "network")}
    stages |= {stage: clock.spread(stage, skip) for stage, skip in (("whole_search", 1), ("map", 1))}
    stages["frame"] = frame = _spread(np.sum([clock.times[stage][WARM_UP:] for stage in STAGES], axis=0))
    with_whole_search = frame.p50 - stages["search"].p50 + stages["whole_search"].p50
    return Bench(
        bundle=bundle.id,
        entries=bundle.manifest.coreset.size,
        search=search,
        frames=len(shares),
        threads=threads,
        stages=stages,
        p50_ms=frame.p50,
        p95_ms=frame.p95,
        p99_ms=frame.p99,
        ratio_to_network=frame.p50 / stages["network"].p50,
        ratio_with_decode=(frame.p50 + stages["decode"].p50) / stages["network"].p50,
        ratio_to_whole_search=frame.p50 / with_whole_search,
        searched_share_p50=float(np.percentile(shares, 50)),
        searched_share_p95=float(np.percentile(shares, 95)),
        peak_rss_mb=starts[-1][1],
        cold_start_s=median(seconds for seconds, _ in starts),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        versions={name: _version(name) for name in PACKAGES},
    )


def _spread(times: NDArray[np.float64]) -> Spread:
    return Spread(*(float(value) for value in np.percentile(times, (50, 95, 99))))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # such as the OpenCV of the system
        return "unknown"
