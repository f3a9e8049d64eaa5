"""What the threads of the runtime tell its main thread; it alone decides and publishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FrameArrived:
    """A camera has given one more frame. When its turn comes, a newer one may have taken its place already."""

    camera: str


@dataclass(frozen=True, slots=True)
class MemoryMade:
    """There is shared memory with frames of a camera.

    Attributes:
        memory: its number, as in `SharedFrame`.
        descriptor: of the memory; the receiver's, to be closed.
        size: bytes.
    """

    camera: str
    memory: int
    descriptor: int
    size: int


@dataclass(frozen=True, slots=True)
class MemoryGone:
    """No frame lies in this memory any more, nor ever will."""

    camera: str
    memory: int


@dataclass(frozen=True, slots=True)
class FeedChanged:
    """The connection to a camera has another state, or the same for another reason."""

    camera: str
    state: Literal["live", "stalled", "disconnected"]
    reason: str


@dataclass(frozen=True, slots=True)
class FeedEnded:
    """A recording gives no further frames; those that have arrived can still be taken.

    Attributes:
        failed: it could not be opened or read to its end, and `reason` is the one line that says why.
    """

    camera: str
    reason: str
    failed: bool


FeedEvent = FrameArrived | MemoryMade | MemoryGone | FeedChanged | FeedEnded
