"""One camera for the lifetime of the runtime: hand out its frames and report its state."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal

import structlog

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.settings.sections import Camera, Clips
from runtime.camera.capture_run import CaptureOver, CaptureRun
from runtime.camera.frame_queue import NO_MEMORY, FrameMemories, FrameQueue
from runtime.camera.protocol import (
    ClipOver,
    Declared,
    Film,
    Grabbed,
    MemoryReady,
    Missed,
    Open,
    Opened,
    Paced,
    Shot,
    Show,
    Word,
)
from runtime.camera.supervisor import CAPTURE_PROCESS, Supervisor
from runtime.events import FeedChanged, FeedEnded, FeedEvent, FrameArrived, PictureReady
from runtime.frame import SharedFrame
from runtime.process.long_payload import unpack
from runtime.process.out_of_memory import MEMORY, Kills
from runtime.process.shared_memory import SLOTS

NO_CLIPS = Clips()
"""Alerts are not filmed."""

_memory_ids = itertools.count(1)  # of all feeds


class Feed(Supervisor):
    """Hands out the frames of one camera, whose capture process it keeps alive.

    A live source is reopened indefinitely; a recording is played once. `tell` and `memories` are called from several
    threads; `tell` must not block. A shared memory is attached before the first frame in it can be taken.

    Attributes:
        reconnects: connections that ended, by cause: `stalled` (no frame for `stall_ms`), `lost` (it delivers no
            more), `absent` (it does not open), `refused` (its login was), `crashed` (the capture process died),
            `memory` (the kernel killed it for want of memory), `asked` (by `reconnect`).
        paced: the source is a stream that comes in bursts, and its frames are released by their time stamps.
        depth: bits that are used in pictures of 16 bits.
        declared: what the source declares about itself, if that is wanted.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        tell: Callable[[FeedEvent], None],
        memories: FrameMemories,
        command: Sequence[str] = CAPTURE_PROCESS,
        random: Random | None = None,
        clips: Clips = NO_CLIPS,
        depth: int = FULL_DEPTH,
        kills: Kills | None = None,
        *,
        declares: bool = False,
    ) -> None:
        """Take a camera; nothing is opened before `start`.

        Args:
            name: of the camera, in events.
            camera: its settings.
            tell: receives events.
            memories: takes the shared memories that frames are in.
            command: starts a capture process.
            random: for the jitter of reconnects.
            clips: how alerts are filmed, if at all.
            depth: bits in use in 16-bit pictures, from the bundle.
            kills: the kernel's count of processes that it killed for want of memory; by default the real one.
            declares: ask the source what it declares about itself.

        Raises:
            SourceUnavailable: a URL of a kind that is not known.
        """
        super().__init__(name, camera, command, random, kills)
        self.reconnects = {"stalled": 0, "lost": 0, "absent": 0, "refused": 0, "crashed": 0, MEMORY: 0, "asked": 0}
        self.paced = False
        self.depth = depth
        self.declared = Declared()
        self._declares = declares
        self._tell = tell
        self._memories = memories
        self._memory = NO_MEMORY  # that frames are written to now
        self._queue = FrameQueue(keep_all=not self.live, gone=memories.detach)
        self._every = 1
        self._next_id = 1
        self._state = ("", "")
        self._clips = clips
        self._clip_problems: set[str] = set()

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were grabbed and never taken, by reason, as in `FrameQueue`."""
        return self._queue.dropped

    def take(self) -> SharedFrame | None:
        """Take the newest frame of a live source, the next of a recording; None if there is none now.

        The frame's slot is the caller's until `give_back`. Never hold more than two: with three the camera must wait.
        """
        return self._queue.take()

    def peek(self) -> SharedFrame | None:
        """Return the frame that `take` would take now; of a live source it may be another in a moment."""
        return self._queue.peek()

    def give_back(self, frame: SharedFrame) -> None:
        """Free the slot of a frame; a no-op the second time, and after its connection is over."""
        self._queue.give_back(frame)

    def slow_down(self, every: int) -> None:
        """Deliver every n-th frame of a live source only."""
        self._every = every

    def pause(self) -> None:
        """Close a live source, and drop its frames, until `resume`; a recording is only not read."""
        super().pause()
        if self.live:
            self._give_all_back()

    def close(self) -> None:
        """End, and kill the capture process if it hangs."""
        super().close()
        self._give_all_back()

    def show(self, number: int, width: int, quality: int) -> bool:
        """Have a JPEG made of the next frame; `PictureReady` with this number follows, unless the connection ends.

        Args:
            number: of the order.
            width: pixels; a wider frame is reduced.
            quality: of the JPEG, 1 to 100.

        Returns:
            Whether the source is open; otherwise no event follows.
        """
        capture = self._capture  # it may end at any time
        return capture is not None and capture.show(Show(number, width, quality))

    def begin_clip(self, name: str, t_mono_ns: int | None = None, otherwise: str = "") -> bool:
        """Begin to film an alert, or extend the clip of this name; never blocks. Thread-safe.

        When the connection ends, so does the clip. A clip that fails is logged, once per cause.

        Args:
            name: of the file, as in `clips.folder.clip_name`.
            t_mono_ns: start of the alert, monotonic clock; by default now.
            otherwise: name of a file to begin if the one to extend is over already.

        Returns:
            False if clips are off or the source is not open: then nothing is filmed.
        """
        return self._film(name, t_mono_ns, otherwise, begins=True)

    def end_clip(self, name: str, t_mono_ns: int | None = None, otherwise: str = "") -> None:
        """Note that the alert of a clip ended, by default now; otherwise as `begin_clip`."""
        self._film(name, t_mono_ns, otherwise, begins=False)

    def is_filming(self, name: str) -> bool:
        """Return whether a clip that was begun is not over yet, as far as is known."""
        capture = self._capture
        return capture is not None and name in capture.clips

    def _film(self, name: str, t_mono_ns: int | None, otherwise: str, *, begins: bool) -> bool:
        order = Film(name, time.monotonic_ns() if t_mono_ns is None else t_mono_ns, begins, otherwise)
        capture = self._capture  # it may end at any time
        return bool(self._clips.folder) and capture is not None and capture.film(order)

    def _give_all_back(self) -> None:
        while (frame := self.take()) is not None:
            self.give_back(frame)

    def _connecting(self, *, resumed: bool) -> Open:
        self.paced = False
        if resumed:
            self._state = ("", "")  # the next state is news, whatever was before
        camera = self._camera
        played = camera.source, self.live, camera.pace, camera.fps
        return Open(*played, self._next_id, self._clips, self.depth, camera.transport, self._declares)

    def _hear(self, capture: CaptureRun, word: Word | None, descriptors: list[int]) -> None:
        match word:
            case None:
                self._time_out(capture)
            case Opened():
                self.declared = word.declared
            case Paced():
                self.paced = word.paced
            case MemoryReady():
                self._open_memory(descriptors[0], word.size)
            case Grabbed():
                self._arrive(capture, word)
            case Missed():
                self._next_id = word.frame_id + 1
                self.dropped["no slot"] += 1
            case ClipOver():
                self._note(word)
            case Shot():
                self._shown(word, descriptors)

    def _disconnected(self) -> None:
        self._queue.retire(self._memory)

    def _over(self, over: CaptureOver) -> bool:
        if not self.live:
            self._tell(FeedEnded(self._name, over.line, failed=over.cause != "end"))
            return False
        self.reconnects[over.cause] += 1
        self._change("stalled" if over.cause == "stalled" else "disconnected", over.what, over.remedy)
        return True

    def _open_memory(self, descriptor: int, size: int) -> None:
        self._queue.retire(self._memory)
        self._memory = next(_memory_ids)
        self._queue.add(self._memory)
        try:
            self._memories.attach(self._memory, descriptor, size)
        finally:
            os.close(descriptor)

    def _arrive(self, capture: CaptureRun, word: Grabbed) -> None:
        self._next_id = word.frame_id + 1
        self._change("live", "delivers pictures")
        if self.live and word.frame_id % self._every:
            self.dropped["degraded"] += 1
            capture.free(word.slot)
            return
        memory = NO_MEMORY if word.hw is None else self._memory
        stamps = (word.frame_id, word.t_capture_ns, word.t_mono_ns, word.t_media_ns)
        frame = SharedFrame(memory, word.slot, word.hw, *stamps, word.content_id)
        self._queue.put(frame, lambda: capture.free(word.slot))
        self._tell(FrameArrived(self._name))

    def _time_out(self, capture: CaptureRun) -> None:
        """Note that no message came in time; a live source is given up."""
        what = f"no frame for {capture.timeout_s:g} s" if capture.opened else "does not open in time"
        if self.live:
            self._change("stalled", what)  # now, as the end of the process may take a while
            raise CaptureOver("stalled", what)
        if self._queue.out < SLOTS:  # else it may not continue before a frame is given back
            self._change("stalled", what)
            capture.timeout_s = None

    def _change(self, state: Literal["live", "stalled", "disconnected"], reason: str, remedy: str = "") -> None:
        if self._state != (state, reason):
            self._state = (state, reason)
            self._tell(FeedChanged(self._name, state, reason, remedy))

    def _note(self, over: ClipOver) -> None:
        """Log why there is no clip, once per problem until there is one again."""
        if not over.problem:
            self._clip_problems.clear()
        elif over.problem not in self._clip_problems:
            self._clip_problems.add(over.problem)
            structlog.get_logger().warning("no clip", camera=self._name, clip=over.name, problem=over.problem)

    def _shown(self, shot: Shot, descriptors: list[int]) -> None:
        """Hand a snapshot on."""
        try:
            (jpeg,) = unpack(descriptors, [shot.size]) if not shot.problem else (b"",)
            problem = shot.problem
        except (OSError, ValueError) as error:
            jpeg, problem = b"", str(error)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._tell(PictureReady(self._name, shot.number, shot.hw, shot.frame_id, shot.t_capture_ns, jpeg, problem))
