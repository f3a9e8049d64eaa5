"""The capture process: it grabs frames into shared memory, and may hang or die without harm to others.

The runtime's `Feed` starts it, kills it when it hangs, and starts another: a reconnect is a new process.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import LoginRefused, PatchedgeError, SourceUnavailable
from edge_config.settings.sections import Clips, Transport
from runtime.camera import address
from runtime.camera.playout import InTime
from runtime.frame import Frame, Image
from runtime.process.child import GRACE_S, Link, LinkClosed, from_parent
from runtime.process.parcel import pack
from runtime.process.shared_memory import SLOTS, Memory

if TYPE_CHECKING:
    from runtime.camera.sources import Grabber, Recorded
    from runtime.clips.recorder import Filming

ON_ITS_WAY_S = 0.005
"""A live source waits so long for a slot that may be on its way back."""

FLUSH_S = 0.7 * GRACE_S
"""At the end of the process clips are ended, and given so long to become whole."""

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"

Pace = Literal["fps", "max"]


class Open(msgspec.Struct, tag=True, frozen=True):
    """Order, the first one: give the frames of this source, counted from `first_id`.

    Pictures of 16 bits use `depth` of them, as of `picture.read_picture`. The rest is as in the settings.
    """

    source: int | str
    live: bool
    pace: Pace
    fps: float | None
    first_id: int
    clips: Clips
    depth: int = FULL_DEPTH
    transport: Transport = "tcp"


class Free(msgspec.Struct, tag=True, frozen=True):
    """Order: this slot may be written again."""

    slot: int


class BeginClip(msgspec.Struct, tag=True, frozen=True):
    """Order: film an alert that began at this moment into this file of the folder of clips, as of `Filming.begin`."""

    name: str
    t_mono_ns: int
    otherwise: str


class EndClip(msgspec.Struct, tag=True, frozen=True):
    """Order: the alert of this clip ended at this moment."""

    name: str
    t_mono_ns: int
    otherwise: str


class Show(msgspec.Struct, tag=True, frozen=True):
    """Order: make a JPEG of the next picture, and say so with this number; the rest is as of `shot.jpeg`."""

    number: int
    width: int
    quality: int


class Started(msgspec.Struct, tag=True, frozen=True):
    """Word: the process runs, and opens the source now."""


class Looking(msgspec.Struct, tag=True, frozen=True):
    """Word: the source does not open, and it is looked for the reason, in bounded time."""


class Opened(msgspec.Struct, tag=True, frozen=True):
    """Word: the source is open; its frames are due so many seconds apart, 0 where that is not known."""

    interval_s: float


class Waits(msgspec.Struct, tag=True, frozen=True):
    """Word: the next frame of a recording is due in so many seconds, by its own time stamps."""

    seconds: float


class Paced(msgspec.Struct, tag=True, frozen=True):
    """Word: the stream comes in bursts, and its frames are taken up by their time stamps from now on; or no more."""

    paced: bool


class MemoryReady(msgspec.Struct, tag=True, frozen=True):
    """Word: frames lie in this memory from now on; its descriptor comes with the word."""

    size: int


class Grabbed(msgspec.Struct, tag=True, frozen=True):
    """Word: a frame lies in this slot of the newest memory; `hw` is None, and the slot empty, if it was undecodable.

    The rest is as of `SharedFrame`.
    """

    slot: int
    hw: tuple[int, int] | None
    frame_id: int
    t_capture_ns: int
    t_mono_ns: int
    t_media_ns: int | None = None
    content_id: int | None = None


class Missed(msgspec.Struct, tag=True, frozen=True):
    """Word: a frame of a live source came while no slot was free."""

    frame_id: int


class ClipOver(msgspec.Struct, tag=True, frozen=True):
    """Word: a clip is whole, or there is none for this reason. Without a name it is about the folder of clips."""

    name: str
    problem: str


class Shot(msgspec.Struct, tag=True, frozen=True):
    """Word: the JPEG of a picture, which comes as a parcel of `size` bytes, or why there is none.

    `hw` is of the JPEG; `frame_id` and `t_capture_ns` are of the frame.
    """

    number: int
    size: int
    hw: tuple[int, int]
    frame_id: int
    t_capture_ns: int
    problem: str = ""


class Ended(msgspec.Struct, tag=True, frozen=True):
    """Word, the last one: no more frames.

    Attributes:
        cause: `end` of a recording, `absent` if it did not open, `refused` if not with this login, `lost` if it
            delivers no more.
        what: what is wrong.
        line: the same in a whole line, with place and remedy.
        remedy: what the user can do about it.
    """

    cause: Literal["end", "absent", "refused", "lost"]
    what: str
    line: str
    remedy: str = ""


Order = Open | Free | BeginClip | EndClip | Show
Word = Started | Looking | Opened | Waits | Paced | MemoryReady | Grabbed | Missed | ClipOver | Shot | Ended


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

    def __init__(self, link: Link[Order], filming: Filming | None) -> None:
        self._link = link
        self._filming = filming
        self._memory: Memory | None = None
        self._last: tuple[int, int] | None = None  # slot of the newest picture, until it is written again; its content
        self._free = list(range(SLOTS))
        self._freed = threading.Condition()
        self._to_show: deque[Show] = deque()

    def listen(self) -> None:
        """Obey what comes after the first order; end this process when the runtime hangs up."""
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
        elif isinstance(order, BeginClip) and self._filming is not None:
            self._filming.begin(order.name, order.t_mono_ns, order.otherwise)
        elif isinstance(order, EndClip) and self._filming is not None:
            self._filming.end(order.name, order.t_mono_ns, order.otherwise)

    def close(self) -> None:
        """Make the clips whole; the camera may hang."""
        if self._filming is not None:
            self._filming.close(FLUSH_S)

    def _slot(self, wait_s: float | None) -> int | None:
        """Take a free slot; None if there is none in time."""
        with self._freed:
            self._freed.wait_for(lambda: self._free, wait_s)
            return self._free.pop() if self._free else None

    def _put(self, slot: int, frame: Frame) -> None:
        """Write a frame into a slot and say so; film it after that."""
        image = frame.image if frame.image is not None and _is_picture(frame.image) else None
        hw = content_id = None
        if image is not None:
            hw = (image.shape[0], image.shape[1])
            memory = self._memory_for(hw)
            content_id = self._content(memory, image, frame.frame_id)
            memory.write(slot, image)
            self._last = slot, content_id
        stamps = (frame.frame_id, frame.t_capture_ns, frame.t_mono_ns, frame.t_media_ns)
        self._link.send(Grabbed(slot, hw, *stamps, content_id))
        if image is not None and self._filming is not None:
            self._filming.show(image, frame.t_mono_ns)
        while image is not None and self._to_show:
            about = self._to_show.popleft(), image, frame.frame_id, frame.t_capture_ns
            threading.Thread(target=_show, args=(self._link, *about), name="show", daemon=True).start()

    def _content(self, memory: Memory, image: Image, frame_id: int) -> int:
        """Return the `content_id` of a picture that is about to be written."""
        return self._last[1] if self._last is not None and memory.holds(self._last[0], image) else frame_id

    def _memory_for(self, hw: tuple[int, int]) -> Memory:
        if self._memory is None or self._memory.hw != hw:
            self._last = None
            if self._memory is not None:
                self._memory.close()
            self._memory = Memory(hw)
            self._link.send(MemoryReady(self._memory.size), [self._memory.descriptor])
        return self._memory

    def live(self, camera: Grabber, first_id: int) -> int:
        """Grab each frame when it is due, so that no buffer fills with old pictures; decode where there is a slot.

        Returns:
            The number of frames that it gave.
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

    def recorded(self, recorded: Recorded) -> None:
        """Read only when there is a slot: no frame is lost, and none grows old."""
        recorded.waits = lambda seconds: self._link.send(Waits(seconds))
        while (slot := self._slot(None)) is not None and (frame := recorded.read()) is not None:
            self._put(slot, frame)

    def looking(self) -> None:
        """Say that it takes longer, as it is looked for why the source does not open."""
        self._link.send(Looking())

    def opened(self, interval_s: float) -> None:
        """Say that the source is open."""
        self._link.send(Opened(interval_s))


def _obey(link: Link[Order], connect: Callable[[int | str], Grabber] | None) -> None:
    order = link.receive(None)
    if order is None or not isinstance(order[0], Open):
        return
    try:
        play = _load(order[0], connect)
    except ModuleNotFoundError as error:
        link.send(Ended("absent", f"{error.name} is not installed", f"{error.name} is not installed"))
        return
    link.send(Started())
    grab = _Grab(link, _film(order[0].clips, link))
    threading.Thread(target=grab.listen, name="listen", daemon=True).start()
    try:
        link.send(_play(play, grab, str(order[0].source)))
    finally:
        grab.close()


def _play(play: Callable[[_Grab], Ended], grab: _Grab, source: str) -> Ended:
    """Play a source to its end, whatever that is.

    Raises:
        LinkClosed: the runtime has hung up.
    """
    try:
        return play(grab)
    except LinkClosed:
        raise
    except PatchedgeError as error:
        return Ended(_cause(error), error.what, str(error), error.remedy)
    except Exception as error:  # noqa: BLE001 - whatever a driver throws, the runtime must hear of it
        what = address.without(source, f"capture failed ({type(error).__name__}: {error})")
        return Ended("lost", what, what)


def _cause(error: PatchedgeError) -> Literal["absent", "refused", "lost"]:
    if isinstance(error, LoginRefused):
        return "refused"
    return "absent" if isinstance(error, SourceUnavailable) else "lost"


def _film(clips: Clips, link: Link[Order]) -> Filming | None:
    """Begin to film, if clips are wanted."""
    if not clips.folder:
        return None
    from runtime.clips.recorder import Filming  # not above, as of `capture`

    return Filming(clips, partial(_tell_of_clip, link))


def _tell_of_clip(link: Link[Order], name: str, problem: str) -> None:
    with contextlib.suppress(LinkClosed):
        link.send(ClipOver(name, problem))


def _show(link: Link[Order], order: Show, image: Image, frame_id: int, t_capture_ns: int) -> None:
    """Make a JPEG, and send it; beside the grabbing, which must not wait for it."""
    from runtime.camera.snapshot import jpeg  # not above, as of `capture`

    try:
        data, hw = jpeg(image, order.width, order.quality)
        parcel = pack([data])
    except Exception as error:  # noqa: BLE001 - a camera does not suffer from being looked at
        with contextlib.suppress(LinkClosed):
            link.send(Shot(order.number, 0, (0, 0), frame_id, t_capture_ns, f"cannot be made ({error})"))
        return
    try:
        with contextlib.suppress(LinkClosed):
            link.send(Shot(order.number, len(data), hw, frame_id, t_capture_ns), [parcel])
    finally:
        os.close(parcel)


def _load(order: Open, connect: Callable[[int | str], Grabber] | None) -> Callable[[_Grab], Ended]:
    """Load the libraries that a source needs, which takes its time; give what opens it and plays it to its end."""
    _choose(order.transport)
    if order.live and connect is not None:
        return partial(_play_live, order, connect)
    # Here and not above, so that the parent, which imports this module for its messages, stays light.
    from runtime.camera import sources

    sources.use_one_thread()
    if order.live:
        return partial(_play_live, order, sources.open_camera)
    from runtime.process.log import (
        set_up_logging,  # only a recording logs, and the library is half of what there is to load
    )

    set_up_logging()
    return partial(_play_recording, order, sources.open_recording)


def _choose(transport: Transport) -> None:
    """Have FFmpeg take a stream in this way; what else the user has it do by this variable stays."""
    given = [one for one in os.environ.get(_OPTIONS, "").split("|") if one]
    chosen = [one for one in given if one.partition(";")[0] in {"rtsp_transport", "rtsp_flags"}]
    if transport == "udp":
        given = [*(one for one in given if one not in chosen), "rtsp_transport;udp"]
    elif not chosen:
        given.append("rtsp_flags;prefer_tcp")  # and UDP from a camera that has no other way
    os.environ[_OPTIONS] = "|".join(given)


def _play_live(order: Open, connect: Callable[[int | str], Grabber], grab: _Grab) -> Ended:
    try:
        camera = connect(order.source)  # never released: that may hang, and the end of the process does it
    except SourceUnavailable as error:
        from runtime.camera.diagnosis import diagnose  # only now, as it is seldom needed

        grab.looking()
        raise diagnose.explain(order.source, error, order.transport) from error
    grab.opened(0.0)
    ended = SourceUnavailable("delivers no more pictures")
    if grab.live(camera, order.first_id) <= 1 and address.plain(order.source).startswith("http"):
        from runtime.camera.diagnosis import diagnose

        grab.looking()
        ended = diagnose.explain(order.source, ended, opened=True)
    return Ended("lost", ended.what, ended.what, ended.remedy)


def _play_recording(order: Open, connect: Callable[[str, Pace, float | None, int], Recorded], grab: _Grab) -> Ended:
    recorded = connect(str(order.source), order.pace, order.fps, order.depth)
    grab.opened(recorded.interval_s)
    grab.recorded(recorded)
    return Ended("end", "end of recording", "end of recording")


def _is_picture(image: Image) -> bool:
    return image.dtype == "uint8" and image.ndim == 3 and image.shape[2] == 3 and image.size > 0  # noqa: PLR2004


if __name__ == "__main__":
    main()
