"""Messages between the runtime and the capture process of a camera; descriptors of shared memory travel with them."""

from __future__ import annotations

from typing import Literal

import msgspec

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.settings.sections import Clips, Transport

Pace = Literal["fps", "max"]
"""A recording is played at its own rate, or as fast as it is read."""


# Orders to the capture process


class Open(msgspec.Struct, tag=True, frozen=True):
    """The first order: capture the frames of this source, counted from `first_id`.

    Pictures of 16 bits use `depth` of them, see `image_files.read_picture`; `declares` has `Opened` say what the source
    declares, which costs some questions to its driver. The rest is as in the settings.
    """

    source: int | str
    live: bool
    pace: Pace
    fps: float | None
    first_id: int
    clips: Clips
    depth: int = FULL_DEPTH
    transport: Transport = "tcp"
    declares: bool = False


class Free(msgspec.Struct, tag=True, frozen=True):
    """This slot may be overwritten."""

    slot: int


class Film(msgspec.Struct, tag=True, frozen=True):
    """An alert began, or ended, at this moment: film it into this file; as `ClipRecorder.begin` and `end`."""

    name: str
    t_mono_ns: int
    begins: bool
    otherwise: str


class Show(msgspec.Struct, tag=True, frozen=True):
    """Make a JPEG of the next frame, see `snapshot.snapshot`, and send it as a `Shot` with this number."""

    number: int
    width: int
    quality: int


# Messages from the capture process


class Declared(msgspec.Struct, frozen=True):
    """What a source declares about itself, which need not be true.

    Attributes:
        backend: of OpenCV that opened it.
        format: four letters of its codec or pixel format; empty if not declared.
        size: width and height, pixels; zeros if not declared.
        fps: frames per second; 0 if not declared.
        formats: what a V4L2 device offers, one line each.
    """

    backend: str = ""
    format: str = ""
    size: tuple[int, int] = (0, 0)
    fps: float = 0.0
    formats: tuple[str, ...] = ()


class Started(msgspec.Struct, tag=True, frozen=True):
    """The process runs and opens the source now."""


class Looking(msgspec.Struct, tag=True, frozen=True):
    """The source does not open; the process looks for the reason, in bounded time."""


class Opened(msgspec.Struct, tag=True, frozen=True):
    """The source is open; its frames are due so many seconds apart, 0 if that is not known."""

    interval_s: float
    declared: Declared = Declared()


class Waits(msgspec.Struct, tag=True, frozen=True):
    """The next frame of a recording is due in so many seconds, by its own time stamps."""

    seconds: float


class Paced(msgspec.Struct, tag=True, frozen=True):
    """The stream comes in bursts, and its frames are released by their time stamps from now on; or no longer."""

    paced: bool


class MemoryReady(msgspec.Struct, tag=True, frozen=True):
    """Frames are written into this shared memory from now on; its descriptor comes with the message."""

    size: int


class Grabbed(msgspec.Struct, tag=True, frozen=True):
    """This slot of the newest memory holds a frame; `hw` is None if it could not be decoded.

    The rest is as in `SharedFrame`.
    """

    slot: int
    hw: tuple[int, int] | None
    frame_id: int
    t_capture_ns: int
    t_mono_ns: int
    t_media_ns: int | None = None
    content_id: int | None = None


class Missed(msgspec.Struct, tag=True, frozen=True):
    """A live source gave a frame while no slot was free."""

    frame_id: int


class ClipOver(msgspec.Struct, tag=True, frozen=True):
    """A clip is complete, or failed with this problem. Without a name, the problem is of the folder of clips."""

    name: str
    problem: str


class Shot(msgspec.Struct, tag=True, frozen=True):
    """The answer to `Show`: a JPEG of `size` bytes and `hw` pixels, which comes as a parcel, or the problem."""

    number: int
    size: int
    hw: tuple[int, int]
    frame_id: int
    t_capture_ns: int
    problem: str = ""


class Ended(msgspec.Struct, tag=True, frozen=True):
    """The last message: no more frames.

    Attributes:
        cause: `end` of a recording, or as in `Feed.reconnects`.
        what: the problem.
        line: the same as a complete line, with place and remedy.
        remedy: how to fix it.
    """

    cause: Literal["end", "absent", "refused", "lost"]
    what: str
    line: str
    remedy: str = ""


Order = Open | Free | Film | Show
Word = Started | Looking | Opened | Waits | Paced | MemoryReady | Grabbed | Missed | ClipOver | Shot | Ended
