"""Figures of a benchmark, computed from the times of its stages."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.files import Bundle
from edge_config.installed import version
from runtime.inference.assemble import SearchKind

T = TypeVar("T")

STAGES = ("inspect", "preprocess", "graph", "search", "score", "publish")
"""Stages of a frame, from the decoded picture to the message on the socket, in order."""

WARM_UP = 5
"""Number of warm-up frames, which do not count."""

PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "hnswlib", "pyzmq")


class Spread(msgspec.Struct, frozen=True):
    """Times of one stage over the frames, milliseconds."""

    p50: float
    p95: float
    p99: float


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one benchmark.

    Attributes:
        bundle: its id.
        entries: of its bank.
        search: the kind.
        frames: that count.
        threads: in force.
        stages: `decode`; those of a frame (inspect, preprocess, graph, search, score, publish) and the whole `frame`,
            from the decoded picture to the message on the socket; for comparison `network` (the graph without its
            aggregation) and `whole_search` (every patch through the index); `map`, what an alert adds.
        p50_ms, p95_ms, p99_ms: of a whole frame.
        ratio_to_network: p50 of the whole frame by p50 of the network; null if the bundle has no network.onnx.
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
    ratio_to_network: float | None
    ratio_with_decode: float | None
    ratio_to_whole_search: float
    searched_share_p50: float
    searched_share_p95: float
    peak_rss_mb: float | None
    cold_start_s: float
    machine: str
    versions: dict[str, str]


class Clock:
    """Times of each stage, milliseconds."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def __call__(self, stage: str, work: Callable[[], T]) -> T:
        """Return the result of a stage's work, and store the time that it took."""
        start = time.perf_counter()
        result = work()
        self.times.setdefault(stage, []).append((time.perf_counter() - start) * 1e3)
        return result

    def spread(self, stage: str, skip: int) -> Spread:
        """Return the percentiles of a stage, without the first `skip` times."""
        return _spread(np.array(self.times[stage][skip:]))


def summary(
    bundle: Bundle,
    search: SearchKind,
    threads: int,
    clock: Clock,
    shares: list[float],
    starts: list[tuple[float, float | None]],
) -> Bench:
    """Return the figures of one run.

    Args:
        bundle: path of the measured bundle.
        search: its kind.
        threads: in force.
        clock: times of all frames, those of the warm-up included.
        shares: of the patches that were searched, without the warm-up.
        starts: of each cold start the seconds to the first score, and the peak memory, MB.
    """
    skipped = dict.fromkeys(("decode", *STAGES, "network"), WARM_UP) | {"whole_search": 1, "map": 1}
    stages = {stage: clock.spread(stage, skip) for stage, skip in skipped.items() if stage in clock.times}
    network = stages.get("network")
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
        ratio_to_network=frame.p50 / network.p50 if network else None,
        ratio_with_decode=(frame.p50 + stages["decode"].p50) / network.p50 if network else None,
        ratio_to_whole_search=frame.p50 / with_whole_search,
        searched_share_p50=float(np.percentile(shares, 50)),
        searched_share_p95=float(np.percentile(shares, 95)),
        peak_rss_mb=starts[-1][1],
        cold_start_s=median(seconds for seconds, _ in starts),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        versions={name: version(name) or "unknown" for name in PACKAGES},
    )


def _spread(times: NDArray[np.float64]) -> Spread:
    return Spread(*(float(value) for value in np.percentile(times, (50, 95, 99))))
