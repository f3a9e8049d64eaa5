"""Scores of ten seconds: highest, mean, and how many frames were over the threshold; an hour of a camera is a row."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TEN_MS = 10_000
HOUR_MS = 3_600_000

MAX_COUNT = 65_535

DTYPE = np.dtype(
    [("at", "<u2"), ("count", "<u2"), ("over", "<u2"), ("max", "<f4"), ("mean", "<f4"), ("threshold", "<f4")]
)
"""Of a row's entries; `at`: number of the ten seconds in the hour."""

Tens = NDArray[np.void]
_LEVEL = 6


@dataclass(slots=True)
class OpenTen:
    """Ten seconds of a camera that are being filled.

    Attributes:
        number: ten seconds since 1970 UTC.
        count, over: scored frames, and those over the threshold.
        highest, total: highest score, and sum of all.
        threshold: of the last frame.
        begun_s: when it began, on our own monotonic clock.
    """

    number: int
    count: int = 0
    over: int = 0
    highest: float = 0.0
    total: float = 0.0
    threshold: float = 0.0
    begun_s: float = field(default_factory=time.monotonic)

    def add(self, score: float, threshold: float) -> None:
        """Take in a frame."""
        if self.count < MAX_COUNT:
            self.count += 1
            self.total += score
            self.over += score > threshold
        self.highest = max(self.highest, score)
        self.threshold = threshold

    @property
    def hour(self) -> int:
        """Number of its hour since 1970 UTC."""
        return self.number * TEN_MS // HOUR_MS

    def entry(self) -> Tens:
        """Return it as an entry of its hour."""
        at = self.number - self.hour * (HOUR_MS // TEN_MS)
        return np.array([(at, self.count, self.over, self.highest, self.total / self.count, self.threshold)], DTYPE)


def merge(old: Tens, new: Tens) -> Tens:
    """Return the entries of both, in their order; those of the same ten seconds are put together."""
    both = np.concatenate([old, new])
    both = both[np.argsort(both["at"], kind="stable")]
    twice = np.flatnonzero(both["at"][1:] == both["at"][:-1])
    for place in twice[::-1]:  # a restart lay between the two
        one, other = both[place], both[place + 1]
        count = int(one["count"]) + int(other["count"])
        mean = (one["mean"] * float(one["count"]) + other["mean"] * float(other["count"])) / max(1, count)
        other["mean"], other["max"] = mean, max(one["max"], other["max"])
        other["count"] = min(count, MAX_COUNT)
        other["over"] = min(int(one["over"]) + int(other["over"]), MAX_COUNT)
    return np.delete(both, twice)


def pack(tens: Tens) -> bytes:
    """Return entries as they are stored."""
    return zlib.compress(tens.tobytes(), _LEVEL)


def unpack(data: bytes) -> Tens:
    """Return stored entries.

    Raises:
        ValueError: they are damaged.
    """
    try:
        return np.frombuffer(zlib.decompress(data), DTYPE)
    except zlib.error as error:
        raise ValueError(str(error)) from error
