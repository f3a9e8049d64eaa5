"""Open a source as the runtime would, and measure what it delivers."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Camera
from runtime.camera.preview import Preview
from runtime.camera.protocol import Declared
from runtime.camera.supervisor import CAPTURE_PROCESS
from runtime.frame import Image, SharedFrame

AT_ONCE = 0.5
"""Frames that follow each other within this share of the usual interval come at once."""

GAP = 10.0
"""So many usual intervals without a frame are a gap."""

MIN_BURST = 3
"""Fewer frames at once are an accident."""


class Durations(msgspec.Struct, frozen=True):
    """Percentiles of durations, milliseconds."""

    p50: float
    p95: float
    max: float

    @classmethod
    def of(cls, values_ms: NDArray[np.float64]) -> Durations | None:
        """Sum up; None if there are none."""
        if values_ms.size == 0:
            return None
        p50, p95 = np.percentile(values_ms, [50, 95])
        return cls(round(float(p50), 2), round(float(p95), 2), round(float(values_ms.max()), 2))


class ProbeReport(msgspec.Struct, frozen=True):
    """Measurements of a source.

    Attributes:
        source: without secrets.
        declared: what it declares about itself.
        opened_s: from the start to the first picture.
        seconds: from the first picture to the last.
        pictures: that arrived.
        undecodable: of these.
        dropped: frames that were dropped, by reason.
        sizes: width and height of the pictures, pixels, in the order in which they came.
        fps: measured, pictures per second, by the times of the grabs, without the first burst.
        burst: frames that came at once at the start, as of a stream that buffers; they count in `pictures` and
            `dropped` only.
        paced: the stream comes in bursts, so its frames are released by their own time stamps.
        interval_ms: from grab to grab.
        jitter_ms: distance of the intervals from their median.
        latency_ms: from grab to arrival; the time in the camera and on the network before the grab is not included.
        interruptions: why the connection was lost meanwhile, one line each.
    """

    source: str
    declared: Declared
    opened_s: float
    seconds: float
    pictures: int
    undecodable: int
    dropped: dict[str, int]
    sizes: tuple[tuple[int, int], ...]
    fps: float | None
    interval_ms: Durations | None
    jitter_ms: Durations | None
    latency_ms: Durations | None
    burst: int
    paced: bool
    interruptions: tuple[str, ...]


class Probe:
    """Measures one source."""

    def __init__(self, camera: Camera, command: Sequence[str] = CAPTURE_PROCESS) -> None:
        """Take the settings of a camera; `command` starts a capture process."""
        self._camera = camera
        self._command = command
        self._frames: list[SharedFrame] = []
        self._latencies_ns: list[int] = []
        self.image: Image | None = None
        """The last picture that could be decoded."""

    def run(self, seconds: float, timeout_s: float) -> ProbeReport:
        """Open the source and take its frames for some seconds.

        Args:
            seconds: from the first picture on; a recording may end earlier.
            timeout_s: it must come within this time.

        Raises:
            SourceUnavailable: it does not open, or gives no picture in time.
        """
        began_s = time.monotonic()
        with Preview(self._camera, self._keep, self._command, declares=True) as preview:
            preview.open(timeout_s)
            until_s = time.monotonic() + seconds
            while (left_s := until_s - time.monotonic()) > 0 and preview.turn(left_s):
                pass
        return self._sum_up(began_s, preview)

    def _keep(self, frame: SharedFrame, image: Image | None) -> None:
        self._latencies_ns.append(time.monotonic_ns() - frame.t_mono_ns)
        self._frames.append(frame)
        if image is not None:
            self.image = image.copy()

    def _sum_up(self, began_s: float, preview: Preview) -> ProbeReport:
        times_ns = np.array([frame.t_mono_ns for frame in self._frames], dtype=np.float64)
        seconds = float(times_ns[-1] - times_ns[0]) / 1e9
        ids = np.array([frame.frame_id for frame in self._frames])
        first = _first_in_time(times_ns, ids)
        rated = max(first, _after_gaps(times_ns)) if preview.feed.paced else first
        rated_s = float(times_ns[-1] - times_ns[rated]) / 1e9
        # If a frame between two was dropped, their distance is not the camera's.
        intervals_ms = np.diff(times_ns[first:])[np.diff(ids[first:]) == 1] / 1e6
        jitter_ms = np.abs(intervals_ms - np.median(intervals_ms)) if intervals_ms.size else intervals_ms
        return ProbeReport(
            source=preview.where,
            declared=preview.feed.declared,
            opened_s=round(float(times_ns[0]) / 1e9 - began_s, 3),
            seconds=round(seconds, 3),
            pictures=len(self._frames),
            undecodable=sum(frame.hw is None for frame in self._frames),
            dropped={why: number for why, number in preview.feed.dropped.items() if number},
            sizes=tuple(dict.fromkeys((frame.hw[1], frame.hw[0]) for frame in self._frames if frame.hw is not None)),
            fps=round(float(ids[-1] - ids[rated]) / rated_s, 2) if rated_s > 0 else None,
            burst=int(ids[first]) - 1 if first else 0,
            paced=preview.feed.paced,
            interval_ms=Durations.of(intervals_ms),
            jitter_ms=Durations.of(jitter_ms),
            latency_ms=Durations.of(np.array(self._latencies_ns, dtype=np.float64) / 1e6),
            interruptions=tuple(preview.interruptions),
        )


def _after_gaps(times_ns: NDArray[np.float64]) -> int:
    """Return which frame comes after the last gap: until then a stream in bursts may not have been found out."""
    intervals_ns = np.diff(times_ns)
    gaps = np.flatnonzero(intervals_ns > GAP * np.median(intervals_ns)) if intervals_ns.size else np.empty(0)
    return int(gaps[-1]) + 1 if gaps.size and gaps[-1] + 2 < len(times_ns) else 0


def _first_in_time(times_ns: NDArray[np.float64], ids: NDArray[np.int64]) -> int:
    """Return which frame is the first that did not come at once with those before it; 0 where none did.

    A stream that has kept frames sends them all when it is opened; what counts is how they come after that.
    """
    paces = np.diff(times_ns) / np.diff(ids)
    in_time = np.flatnonzero(paces >= AT_ONCE * np.median(paces[len(paces) // 2 :])) if paces.size else np.empty(0)
    return int(in_time[0]) if in_time.size and in_time[0] >= MIN_BURST else 0
