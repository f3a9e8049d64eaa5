"""The process that holds a camera: it grabs frames into shared memory, and may hang or die without harm to others.

The runtime's `Feed` starts it, kills it when it hangs, and starts another: a reconnect is a new process.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from edge_config.errors import PatchedgeError, SourceUnavailable
from runtime import address
from runtime.frame import Frame, Image
from runtime.link import Link, LinkClosed, from_parent
from runtime.shared import SLOTS, Memory

if TYPE_CHECKING:
    from runtime.capture import Grabber

Pace = Literal["fps", "max"]


class Open(msgspec.Struct, tag=True, frozen=True):
    """Order: give the frames of this source, counted from `first_id`. The rest is as in the settings of a camera."""

    source: int | str
    live: bool
    pace: Pace
    fps: float | None
    first_id: int


class Free(msgspec.Struct, tag=True, frozen=True):
    """Order: this slot may be written again."""

    slot: int


class Started(msgspec.Struct, tag=True, frozen=True):
    """Word: the process runs, and opens the source now."""


class Opened(msgspec.Struct, tag=True, frozen=True):
    """Word: the source is open; its frames are due so many seconds apart, 0 where that is not known."""

    interval_s: float


class MemoryReady(msgspec.Struct, tag=True, frozen=True):
    """Word: frames lie in this memory from now on; its descriptor comes with the word."""

    size: int


class Grabbed(msgspec.Struct, tag=True, frozen=True):
    """Word: a frame lies in this slot of the newest memory; `hw` is None, and the slot empty, if it was undecodable."""

    slot: int
    hw: tuple[int, int] | None
    frame_id: int
    t_capture_ns: int
    t_mono_ns: int


class Missed(msgspec.Struct, tag=True, frozen=True):
    """Word: a frame of a live source came while no slot was free."""

    frame_id: int


class Ended(msgspec.Struct, tag=True, frozen=True):
    """Word, the last one: no more frames.

    Attributes:
        cause: `end` of a recording, `absent` if it did not open, `lost` if it delivers no more.
        what: what is wrong.
        line: the same in a whole line, with place and remedy.
    """

    cause: Literal["end", "absent", "lost"]
    what: str
    line: str


Order = Open | Free
Word = Started | Opened | MemoryReady | Grabbed | Missed | Ended


def main(connect: Callable[[int | str], Grabber] | None = None) -> None:
    """Obey the runtime that started this process, until it hangs up or the source ends.

    Args:
        connect: opens a live source; by default `capture.open_camera`.
    """
    link: Link[Order] = from_parent(sys.argv, Order)
    with contextlib.suppress(LinkClosed):
        _obey(link, connect)
    os._exit(0)  # at once: a driver's thread may hang


class _Grab:
    """Frames of one source, on their way into slots."""

    def __init__(self, link: Link[Order]) -> None:
        self._link = link
        self._memory: Memory | None = None
        self._free = list(range(SLOTS))
        self._freed = threading.Condition()

    def listen(self) -> None:
        """Hear which slots are free again; end this process when the runtime hangs up."""
        while True:
            try:
                heard = self._link.receive(None)
            except LinkClosed:
                os._exit(0)
            if heard is not None and isinstance(heard[0], Free):
                with self._freed:
                    self._free.append(heard[0].slot)
                    self._freed.notify()

    def slot(self, *, wait: bool) -> int | None:
        """Take a free slot; None if there is none and it is not waited for."""
        with self._freed:
            if wait:
                self._freed.wait_for(lambda: self._free)
            return self._free.pop() if self._free else None

    def put(self, slot: int, frame: Frame) -> None:
        """Write a frame into a slot and say so."""
        hw = None
        if frame.image is not None and _is_picture(frame.image):
            hw = (frame.image.shape[0], frame.image.shape[1])
            self._memory_for(hw).write(slot, frame.image)
        self._link.send(Grabbed(slot, hw, frame.frame_id, frame.t_capture_ns, frame.t_mono_ns))

    def _memory_for(self, hw: tuple[int, int]) -> Memory:
        if self._memory is None or self._memory.hw != hw:
            if self._memory is not None:
                self._memory.close()
            self._memory = Memory(hw)
            self._link.send(MemoryReady(self._memory.size), [self._memory.descriptor])
        return self._memory

    def live(self, camera: Grabber, first_id: int) -> None:
        """Grab without a pause, so that no buffer fills with old pictures; decode where there is a slot."""
        for frame_id in itertools.count(first_id):
            if not camera.grab():
                return
            t_capture_ns, t_mono_ns = time.time_ns(), time.monotonic_ns()
            slot = self.slot(wait=False)
            if slot is None:
                self._link.send(Missed(frame_id))
            else:
                self.put(slot, Frame(camera.retrieve(), frame_id, t_capture_ns, t_mono_ns))

    def recorded(self, read: Callable[[], Frame | None]) -> None:
        """Read only when there is a slot: no frame is lost, and none grows old."""
        while (slot := self.slot(wait=True)) is not None and (frame := read()) is not None:
            self.put(slot, frame)


def _obey(link: Link[Order], connect: Callable[[int | str], Grabber] | None) -> None:
    # Loaded only now: the parent is bound first, and imports this module for its messages without OpenCV.
    from runtime import capture
    from runtime.log import set_up_logging

    set_up_logging()
    capture.use_one_thread()
    link.send(Started())
    heard = link.receive(None)
    order: Any = heard[0] if heard else None
    grab = _Grab(link)
    threading.Thread(target=grab.listen, name="listen", daemon=True).start()
    camera = None
    try:
        if order.live:
            camera = (connect or capture.open_camera)(order.source)
            link.send(Opened(0.0))
            grab.live(camera, order.first_id)
            ended = Ended("lost", "delivers no more pictures", "delivers no more pictures")
        else:
            recorded = capture.open_recording(str(order.source), order.pace, order.fps)
            link.send(Opened(recorded.interval_s))
            grab.recorded(recorded.read)
            ended = Ended("end", "end of recording", "end of recording")
    except PatchedgeError as error:
        ended = Ended("absent" if isinstance(error, SourceUnavailable) else "lost", error.what, str(error))
    except LinkClosed:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a driver throws, the runtime must hear of it
        what = address.redact(f"capture failed ({type(error).__name__}: {error})")
        ended = Ended("lost", what, what)
    link.send(ended)
    if camera is not None:
        camera.release()


def _is_picture(image: Image) -> bool:
    return image.dtype == "uint8" and image.ndim == 3 and image.shape[2] == 3 and image.size > 0  # noqa: PLR2004


if __name__ == "__main__":
    main()
