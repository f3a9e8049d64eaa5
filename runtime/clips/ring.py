"""The ring of JPEGs that holds the last seconds of a camera, for the part of a clip before its alert.

Time is cut into slots of 1 / fps seconds of the monotonic clock, and a clip shows one JPEG for each.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import takewhile

RING_BYTES = 32 << 20
"""Memory for the JPEGs before an alert, of each camera."""

SLACK_S = 5.0
"""The ring reaches back so much further: an alert is known some time after its first frame, and a disk may be slow."""


def slot_at(t_ns: int, fps: float) -> int:
    """Return the slot of a moment of the monotonic clock."""
    return math.floor(t_ns * fps / 1_000_000_000)


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame:
    """The JPEG of a slot.

    Attributes:
        slot: number of the slot.
        hw: height and width, pixels.
        jpeg: bytes of the file.
    """

    slot: int
    hw: tuple[int, int]
    jpeg: bytes


class Ring:
    """The frames of the last seconds, bounded in time and in bytes."""

    def __init__(self, slots: int, max_bytes: int = RING_BYTES) -> None:
        """Keep the frames of the newest `slots` slots, as far as they fit in `max_bytes`."""
        self.size = 0  # bytes
        self._slots = slots
        self._max_bytes = max_bytes
        self._frames: deque[ClipFrame] = deque()

    def add(self, frame: ClipFrame) -> None:
        """Put in a frame, of a later slot than all before it."""
        self._frames.append(frame)
        self.size += len(frame.jpeg)
        while self.size > self._max_bytes or self._frames[0].slot <= frame.slot - self._slots:
            self.size -= len(self._frames.popleft().jpeg)
            if not self._frames:
                return

    def since(self, slot: int) -> list[ClipFrame]:
        """Return the frames of a slot and of those after it, in order."""
        return list(takewhile(lambda frame: frame.slot >= slot, reversed(self._frames)))[::-1]
