"""In the capture process: write frames into the slots of shared memory, and obey the runtime's orders meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from edge_config.settings.sections import Clips
from runtime.camera.protocol import (
    ClipOver,
    Film,
    Free,
    Grabbed,
    MemoryReady,
    Missed,
    Order,
    Paced,
    Shot,
    Show,
    Waits,
)
from runtime.camera.sources.playout import InTime
from runtime.frame import Frame, Image
from runtime.process.child import GRACE_S, Link, LinkClosed
from runtime.process.long_payload import pack
from runtime.process.shared_memory import SLOTS, Memory

if TYPE_CHECKING:
    from runtime.camera.sources.grabber import Grabber
    from runtime.camera.sources.recording import Recording
    from runtime.clips.recorder import ClipRecorder

ON_ITS_WAY_S = 0.005
"""Time that a live source waits for a slot that is about to be freed."""

FLUSH_S = 0.7 * GRACE_S
"""At the end of the process the clips are completed within this time."""


class FrameWriter:
    """Takes the frames of one source to shared memory."""

    def __init__(self, link: Link[Order], clips: Clips) -> None:
        """Write nothing yet; `clips` says whether and how alerts are filmed."""
        self._link = link
        self._clips = _recorder(clips, link)
        self._memory: Memory | None = None
        self._last: tuple[int, int] | None = None  # slot of the newest image, until it is overwritten; its content
        self._free = list(range(SLOTS))
        self._freed = threading.Condition()
        self._to_show: deque[Show] = deque()

    def listen(self) -> None:
        """Obey the orders after the first one; end this process when the runtime hangs up."""
        while True:
            try:
                heard = self._link.receive(None)
            except LinkClosed:
                self.close()
                os._exit(0)
            if heard is not None:
                self._hear(heard[0])

    def _hear(self, order: Order) -> None:
        if isinstance(order, Free):
            with self._freed:
                self._free.append(order.slot)
                self._freed.notify()
        elif isinstance(order, Show):
            self._to_show.append(order)
        elif isinstance(order, Film) and self._clips is not None:
            tell = self._clips.begin if order.begins else self._clips.end
            tell(order.name, order.t_mono_ns, order.otherwise)

    def close(self) -> None:
        """Complete the clips; the camera may hang."""
        if self._clips is not None:
            self._clips.close(FLUSH_S)

    def write_live(self, camera: Grabber, first_id: int) -> int:
        """Grab each frame when it is due, so that no buffer fills with old frames; decode if there is a slot.

        Returns:
            The number of frames that the camera gave.
        """
        in_time, paced = InTime(camera), False
        for frame_id in itertools.count(first_id):
            if not in_time.grab():
                break
            if paced != in_time.paced:
                paced = in_time.paced
                self._link.send(Paced(paced))
            t_capture_ns, t_mono_ns = time.time_ns(), time.monotonic_ns()
            slot = self._slot(ON_ITS_WAY_S)
            if slot is None:
                self._link.send(Missed(frame_id))
            else:
                self._put(slot, Frame(camera.retrieve(), frame_id, t_capture_ns, t_mono_ns))
        return frame_id - first_id

    def write_recording(self, recording: Recording) -> None:
        """Read only when there is a slot: no frame is lost, and none grows old."""
        recording.waits = lambda seconds: self._link.send(Waits(seconds))
        while (slot := self._slot(None)) is not None and (frame := recording.read()) is not None:
            self._put(slot, frame)

    def _slot(self, wait_s: float | None) -> int | None:
        """Take a free slot; None if there is none in time."""
        with self._freed:
            self._freed.wait_for(lambda: self._free, wait_s)
            return self._free.pop() if self._free else None

    def _put(self, slot: int, frame: Frame) -> None:
        """Write a frame into a slot and report it; film it after that."""
        image = frame.image if frame.image is not None and _is_bgr(frame.image) else None
        hw = content_id = None
        if image is not None:
            hw = (image.shape[0], image.shape[1])
            memory = self._memory_for(hw)
            last = self._last
            content_id = last[1] if last is not None and memory.holds(last[0], image) else frame.frame_id
            memory.write(slot, image)
            self._last = slot, content_id
        stamps = (frame.frame_id, frame.t_capture_ns, frame.t_mono_ns, frame.t_media_ns)
        self._link.send(Grabbed(slot, hw, *stamps, content_id))
        if image is not None and self._clips is not None:
            self._clips.show(image, frame.t_mono_ns)
        while image is not None and self._to_show:
            about = self._to_show.popleft(), image, frame.frame_id, frame.t_capture_ns
            threading.Thread(target=_show, args=(self._link, *about), name="show", daemon=True).start()

    def _memory_for(self, hw: tuple[int, int]) -> Memory:
        if self._memory is None or self._memory.hw != hw:
            self._last = None
            if self._memory is not None:
                self._memory.close()
            self._memory = Memory(hw)
            self._link.send(MemoryReady(self._memory.size), [self._memory.descriptor])
        return self._memory


def _is_bgr(image: Image) -> bool:
    return image.dtype == "uint8" and image.ndim == 3 and image.shape[2] == 3 and image.size > 0  # noqa: PLR2004


def _recorder(clips: Clips, link: Link[Order]) -> ClipRecorder | None:
    """Start to record, if clips are wanted."""
    if not clips.folder:
        return None
    from runtime.clips.recorder import ClipRecorder  # only now: OpenCV is slow to load

    return ClipRecorder(clips, partial(_send, link))


def _send(link: Link[Order], name: str, problem: str) -> None:
    with contextlib.suppress(LinkClosed):
        link.send(ClipOver(name, problem))


def _show(link: Link[Order], order: Show, image: Image, frame_id: int, t_capture_ns: int) -> None:
    """Make a JPEG and send it, in a thread of its own: capture must not wait for it."""
    from runtime.camera.picture import snapshot  # as above

    about = (frame_id, t_capture_ns)
    with contextlib.suppress(LinkClosed):
        try:
            data, hw = snapshot(image, order.width, order.quality)
            parcel = pack([data])
        except Exception as error:  # noqa: BLE001 - a failed snapshot must not disturb the capture
            link.send(Shot(order.number, 0, (0, 0), *about, f"cannot be made ({error})"))
            return
        try:
            link.send(Shot(order.number, len(data), hw, *about), [parcel])
        finally:
            os.close(parcel)
