"""The scores of a burn-in on the disk: 8 bytes a frame.

A record is two numbers, float32, little-endian: seconds since the frame before, and the score. A segment is what was
watched between two starts of the runtime. It begins with two other records: (-1, -1), then the wall clock of its first
frame, int64 nanoseconds since 1970 UTC, at least 0. Frames without a score, and repeated ones, are not recorded: they
change nothing in the alert logic.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RECORD_BYTES = 8

MAX_RECORDS = 7_000_000
"""Maximum number of records: three days at 25 frames a second, in 56 MB."""

_MARK = struct.pack("<ff", -1.0, -1.0)


def segment(wall_ns: int) -> bytes:
    """Return the two records that begin a segment."""
    return _MARK + struct.pack("<q", wall_ns)


def frame(step_s: float, score: float) -> bytes:
    """Return the record of a frame; a step is at least 0, seconds."""
    return struct.pack("<ff", step_s, score)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The frames between two starts of the runtime.

    Attributes:
        wall_s: wall clock of the first frame, seconds since 1970 UTC.
        seconds: time of each frame since the first, float64 [frames], ascending.
        scores: of each frame, float64 [frames].
    """

    wall_s: float
    seconds: NDArray[np.float64]
    scores: NDArray[np.float64]


def read(data: bytes) -> list[Segment]:
    """Return the segments of a record; one without a frame is left out."""
    pairs = np.frombuffer(data[: len(data) // RECORD_BYTES * RECORD_BYTES], dtype="<f4").reshape(-1, 2)
    clocks = pairs.view("<i8").reshape(-1)
    marks = np.flatnonzero((pairs[:, 0] == -1) & (pairs[:, 1] == -1))
    found = []
    for begin, end in itertools.pairwise([*marks.tolist(), len(pairs)]):
        frames = pairs[begin + 2 : end]
        if len(frames):
            at = np.cumsum(frames[:, 0], dtype=np.float64)
            at -= at[0]
            found.append(Segment(float(clocks[begin + 1]) / 1e9, at, frames[:, 1].astype(np.float64)))
    return found
