"""One camera for the lifetime of the runtime: its capture process is kept alive, and its frames are handed out."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Literal, Protocol

import structlog

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.settings.sections import Camera, Clips
from runtime.camera import address
from runtime.camera.protocol import (
    BeginClip,
    ClipOver,
    Declared,
    EndClip,
    Ended,
    Free,
    Grabbed,
    Looking,
    MemoryReady,
    Missed,
    Open,
    Opened,
    Paced,
    Shot,
    Show,
    Started,
    Waits,
    Word,
)
from runtime.camera.slots import NO_MEMORY, Shelf
from runtime.events import FeedChanged, FeedEnded, FeedEvent, FrameArrived, PictureReady
from runtime.frame import SharedFrame
from runtime.process.backoff import Backoff
from runtime.process.child import Link, LinkClosed, module, spawn
from runtime.process.out_of_memory import MEMORY, Child, Kills, Patience
from runtime.process.parcel import unpack
from runtime.process.shared_memory import SLOTS

LOOKING_S = 15.0
"""It is known after this time why a source does not open; the look itself is bounded by less."""

START_S = 20.0
"""A capture process has loaded its libraries after this time, on a slow and busy device too."""

OPENING_S = 5.0
"""The first frame of a connection may take so much longer than any other."""

LOOK_S = 0.5
"""So often it is looked whether an absent device has come."""

UNDEAD = 2
"""So many capture processes may be held by the kernel inside a driver; then no other is started to share their fate."""

CLOSE_S = 0.5
"""`close` returns after this time at the latest."""

CAPTURE_PROCESS = module("runtime.camera.process")
"""Command that starts a capture process."""

NO_CLIPS = Clips()
"""Alerts are not filmed."""

_numbers = itertools.count(1)


class _Over(Exception):
    """A connection is over.

    Args:
        cause: for counting.
        what: what is wrong, as in a state.
        line: the same in a whole line; by default as `what`.
        remedy: what the user can do about it.
    """

    def __init__(self, cause: str, what: str, line: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.cause, self.what, self.line, self.remedy = cause, what, line or what, remedy


class _Connection:
    """One capture process, from its start to its end."""

    def __init__(self, link: Link[Word], child: Child) -> None:
        self.link, self.child = link, child
        self.memory = NO_MEMORY
        self.since: float | None = None  # monotonic time of its first frame
        self.interval_s = 0.0  # between frames that are on time
        self.opened = self.looking = False
        self.patience_s: float | None = START_S  # for the next word,
        self.heard_s = time.monotonic()  # since the last one
        self.clips: set[str] = set()  # begun, and not over yet

    def left_s(self) -> float | None:
        """Return what is left of the patience; None if it has no end."""
        return None if self.patience_s is None else self.heard_s + self.patience_s - time.monotonic()

    def delivered_s(self) -> float:
        """Return the time since the first frame."""
        return 0.0 if self.since is None else time.monotonic() - self.since


class FrameMemories(Protocol):
    """What reads frames where they lie, such as the engine. Any thread may call."""

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        """Get ready for frames in a shared memory of so many bytes; the descriptor stays the caller's."""
        ...

    def detach(self, memory: int) -> None:
        """Forget a memory: no frame lies in it, nor ever will."""
        ...


class Feed:
    """Keeps a capture process alive for one camera, and gives its frames.

    A live source is reopened indefinitely; a recording is played once. `tell` and `memories` are called from several
    threads; `tell` must not block. A shared memory is attached before the first frame in it can be taken.

    Attributes:
        live: the source is a camera or a stream: the newest frame is kept only. A recording loses no frame.
        reconnects: connections that ended, by reason: `stalled` (no frame for `stall_ms`), `lost` (it delivers no
            more), `absent` (it does not open), `refused` (not with this login), `crashed` (the capture process died),
            `memory` (the kernel killed it for want of memory), `asked` (by `reconnect`).
        pauses: how often it was paused.
        paced: the source is a stream that comes in bursts, and its frames are taken up by their time stamps.
        depth: bits that are used in pictures of 16 bits.
        declared: what the source declares about itself, if that is asked for.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        tell: Callable[[FeedEvent], None],
        memories: FrameMemories,
        command: Sequence[str] = CAPTURE_PROCESS,
        new_memory_id: Callable[[], int] = _numbers.__next__,
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
            tell: takes events.
            memories: is told of the shared memories that frames lie in.
            command: starts a capture process.
            new_memory_id: gives a number that no shared memory of this runtime has had.
            random: for the jitter of reconnects.
            clips: how alerts are filmed, if at all.
            depth: bits that are used in pictures of 16 bits, as the bundle says.
            kills: the kernel's count of processes that it killed for want of memory; by default the real one.
            declares: ask the source what it declares about itself.

        Raises:
            SourceUnavailable: a URL of a kind that is not known.
        """
        self._kind = address.kind(camera.source)
        self.live = self._kind != "recording"
        self.reconnects = {"stalled": 0, "lost": 0, "absent": 0, "refused": 0, "crashed": 0, MEMORY: 0, "asked": 0}
        self.paced = False
        self._name = name
        self._camera = camera
        self._stall_s = camera.stall_ms / 1000
        self._tell = tell
        self._command = command
        self._new_memory_id = new_memory_id
        self._shelf = Shelf(keep_all=not self.live, gone=memories.detach)
        self._memories = memories
        self._backoff = Backoff(camera.reconnect_min_s, camera.reconnect_max_s, random)
        self._every = 1
        self._next_id = 1
        self._state = ("", "")
        self._stopping = threading.Event()
        self._asked = False
        self._connection: _Connection | None = None
        self._lock = threading.Lock()  # over the three above
        self._going = threading.Event()  # not paused
        self._going.set()
        self.pauses = 0
        self._clips = clips
        self.depth = depth
        self.declared = Declared()
        self._declares = declares
        self._clip_problems: set[str] = set()
        self._kills = kills
        self._patience = Patience()
        self._undead: list[subprocess.Popen[bytes]] = []
        # The kernel may hold a capture process inside a driver for ever: nothing waits for its thread at exit.
        self._thread = threading.Thread(target=self._run, name=f"feed {name}", daemon=True)

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were grabbed and never taken, by reason, as of `Shelf`."""
        return self._shelf.dropped

    @property
    def looking(self) -> bool:
        """It does not open, and the capture process is finding out why."""
        connection = self._connection
        return connection is not None and connection.looking

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def take(self) -> SharedFrame | None:
        """Take the newest frame of a live source, the next of a recording; None if there is none now.

        The frame's slot is the caller's until `give_back`. Never hold more than two: with three the camera must wait.
        """
        return self._shelf.take()

    def peek(self) -> SharedFrame | None:
        """Return the frame that `take` would take now; it may be another in a moment, where the source is live."""
        return self._shelf.peek()

    def give_back(self, frame: SharedFrame) -> None:
        """Free the slot of a frame; again, or after its connection is over: nothing."""
        self._shelf.give_back(frame)

    def reconnect(self) -> None:
        """Throw the connection of a live source away, and open it anew."""
        with self._lock:
            if self.live and self._connection is not None:
                self._asked = True
                self._connection.link.hang_up()

    def slow_down(self, every: int) -> None:
        """Give every n-th frame of a live source only."""
        self._every = every

    def pause(self) -> None:
        """Close a live source, and give no more of its frames, until `resume`; of a recording just take none."""
        if not self.live:
            return
        with self._lock:
            self._going.clear()
            self.pauses += 1
            if self._connection is not None:
                self._connection.link.hang_up()
        while (frame := self.take()) is not None:
            self.give_back(frame)

    def resume(self) -> None:
        """Open the source again, without a wait."""
        self._backoff.reset()
        self._going.set()

    def show(self, number: int, width: int, quality: int) -> bool:
        """Have a JPEG made of the next frame; `PictureReady` with this number comes of it, unless the connection ends.

        Args:
            number: of the order.
            width: pixels; a wider frame is reduced.
            quality: of the JPEG, 1 to 100.

        Returns:
            Whether the source is open: nothing comes of it otherwise.
        """
        connection = self._connection  # it may end at any time
        if connection is None or not connection.opened:
            return False
        try:
            connection.link.send(Show(number, width, quality), wait_s=0.0)
        except LinkClosed:
            return False
        return True

    def begin_clip(self, name: str, t_mono_ns: int | None = None, otherwise: str = "") -> bool:
        """Begin to film an alert, or extend the clip of this name; never blocks, and any thread may.

        When the connection ends, so does the clip. A clip that fails is logged, once per cause.

        Args:
            name: of the file, as in `clips.folder.clip_name`.
            t_mono_ns: when the alert began, monotonic clock; by default now.
            otherwise: name of a file to begin if the one to extend is over already.

        Returns:
            False where clips are off or the source is not open: then nothing is filmed.
        """
        return self._order_clip(BeginClip(name, time.monotonic_ns() if t_mono_ns is None else t_mono_ns, otherwise))

    def end_clip(self, name: str, t_mono_ns: int | None = None, otherwise: str = "") -> None:
        """Take note that the alert of a clip ended, by default now; otherwise as `begin_clip`."""
        self._order_clip(EndClip(name, time.monotonic_ns() if t_mono_ns is None else t_mono_ns, otherwise))

    def is_filming(self, name: str) -> bool:
        """Return whether a clip that was begun is not over yet, as far as is known."""
        connection = self._connection
        return connection is not None and name in connection.clips

    def _order_clip(self, order: BeginClip | EndClip) -> bool:
        connection = self._connection  # it may end at any time
        if not self._clips.folder or connection is None or not connection.opened:
            return False
        if isinstance(order, BeginClip):
            connection.clips.add(order.name)
        with contextlib.suppress(LinkClosed):
            connection.link.send(order, wait_s=0.0)
        return True

    def stop(self) -> None:
        """Begin to end; returns at once."""
        with self._lock:
            self._stopping.set()
            self._going.set()
            if self._connection is not None:
                self._connection.link.hang_up()

    def close(self) -> None:
        """End, and kill the capture process if it hangs."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)
        while (frame := self.take()) is not None:
            self.give_back(frame)

    def _run(self) -> None:
        pauses = 0
        while not self._stopping.is_set():
            self._going.wait()
            if self._stopping.is_set():
                return
            if self.pauses != pauses:
                pauses = self.pauses
                self._state = ("", "")  # what comes next is news, whatever was before
            devices = self._devices()
            over, delivered_s = self._connect()
            if self._stopping.is_set():
                return
            if self.pauses != pauses:
                continue
            if not self.live:
                self._tell(FeedEnded(self._name, over.line, failed=over.cause != "end"))
                return
            self.reconnects[over.cause] += 1
            self._change("stalled" if over.cause == "stalled" else "disconnected", over.what, over.remedy)
            waits = self._patience if over.cause == MEMORY else self._backoff
            if over.cause == "refused":  # each try may count against the account, and some cameras lock it
                self._backoff.be_patient()
            self._wait(waits.after(delivered_s), devices, pauses)

    def _wait(self, seconds: float, devices: list[str], pauses: int) -> None:
        """Wait before the next try, but not when there are other devices than before the last one, or after a pause."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopping.wait(min(left, LOOK_S)):
            if self.pauses != pauses:
                return
            if self._devices() != devices:
                self._backoff.reset()  # its node may be there a little before it can be opened
                return

    def _devices(self) -> list[str]:
        return address.devices(self._camera.source) if self._kind == "device" else []

    def _connect(self) -> tuple[_Over, float]:
        """Run one capture process to its end; say why it ended, and for how long it delivered frames."""
        self._undead = [process for process in self._undead if process.poll() is None]
        if len(self._undead) >= UNDEAD:
            return _Over("stalled", "capture processes hang in the driver and cannot be killed"), 0.0
        try:
            process, sock = spawn(self._command, self._hide if self.live else None)
        except OSError as error:
            return _Over("crashed", f"no capture process can be started ({error.strerror})"), 0.0
        connection = _Connection(Link(sock, Word), Child(self._name, process, self._kills))
        self.paced = False
        with self._lock:
            self._asked = False
            self._connection = connection
            if self._stopping.is_set() or not self._going.is_set():
                connection.link.hang_up()
        try:
            self._listen(connection)
        except _Over as reason:
            over = reason
        except LinkClosed as closed:
            over = _Over("crashed", f"capture process ended ({closed})")
        except Exception as error:  # noqa: BLE001 - a camera is never given up, whatever happens
            over = _Over("crashed", self._hide(f"internal error ({error!r})"))
        delivered_s = connection.delivered_s()
        self._end(connection, process)
        if self._asked:
            over = _Over("asked", "a new connection was requested")
        elif over.cause == "crashed" and process.returncode:
            over = _of_death(connection.child, process.returncode)
        return over, delivered_s

    def _end(self, connection: _Connection, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._connection = None
        connection.link.close()
        if not connection.child.end():
            self._undead.append(process)
        self._shelf.retire(connection.memory)

    def _listen(self, connection: _Connection) -> None:
        """Hear a capture process out.

        Raises:
            _Over: it says that it ends, or it says nothing for too long.
            LinkClosed: it died, or is not wanted any more.
        """
        camera = self._camera
        played = camera.source, self.live, camera.pace, camera.fps
        connection.link.send(Open(*played, self._next_id, self._clips, self.depth, camera.transport, self._declares))
        while True:
            heard = connection.link.receive(connection.left_s())
            match heard:  # what these say is no sign of life of the camera
                case (ClipOver() as over, _):
                    connection.clips.discard(over.name)
                    self._note(over)
                    continue
                case (Shot() as shot, descriptors):
                    self._shown(shot, descriptors)
                    continue
            connection.heard_s = time.monotonic()
            if heard is None:
                self._lose_patience(connection)
            else:
                self._hear(connection, *heard)

    def _shown(self, shot: Shot, descriptors: list[int]) -> None:
        """Hand a picture on."""
        try:
            (jpeg,) = unpack(descriptors, [shot.size]) if not shot.problem else (b"",)
            problem = shot.problem
        except (OSError, ValueError) as error:
            jpeg, problem = b"", str(error)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._tell(PictureReady(self._name, shot.number, shot.hw, shot.frame_id, shot.t_capture_ns, jpeg, problem))

    def _note(self, over: ClipOver) -> None:
        """Log why there is no clip, if that is new since the last one that there is."""
        if not over.problem:
            self._clip_problems.clear()
        elif over.problem not in self._clip_problems:
            self._clip_problems.add(over.problem)
            structlog.get_logger().warning("no clip", camera=self._name, clip=over.name, problem=over.problem)

    def _hear(self, connection: _Connection, word: Word, descriptors: list[int]) -> None:
        if isinstance(word, Started):
            connection.patience_s = self._stall_s + OPENING_S
        elif isinstance(word, Looking):
            connection.looking = True
            connection.patience_s = LOOKING_S
        elif isinstance(word, Opened):
            connection.opened = True
            connection.interval_s, self.declared = word.interval_s, word.declared
            connection.patience_s = self._stall_s + OPENING_S + word.interval_s
            connection.child.look()  # most of what it takes, it has now
        elif isinstance(word, Paced):
            self.paced = word.paced
        elif isinstance(word, Waits):
            connection.patience_s = self._stall_s + word.seconds
        elif isinstance(word, MemoryReady):
            self._shelf.retire(connection.memory)
            connection.memory = self._new_memory_id()
            self._shelf.add(connection.memory)
            try:
                self._memories.attach(connection.memory, descriptors[0], word.size)
            finally:
                os.close(descriptors[0])
        elif isinstance(word, Grabbed):
            self._arrive(connection, word)
        elif isinstance(word, Missed):
            self._next_id = word.frame_id + 1
            self.dropped["no slot"] += 1
        elif isinstance(word, Ended):
            raise _Over(word.cause, self._hide(word.what), self._hide(word.line), word.remedy)

    def _arrive(self, connection: _Connection, word: Grabbed) -> None:
        self._next_id = word.frame_id + 1
        connection.since = connection.since or time.monotonic()
        connection.patience_s = self._stall_s + connection.interval_s
        self._change("live", "delivers pictures")
        free = partial(_free, connection.link, word.slot)
        if self.live and word.frame_id % self._every:
            self.dropped["degraded"] += 1
            free()
            return
        memory = NO_MEMORY if word.hw is None else connection.memory
        stamps = (word.frame_id, word.t_capture_ns, word.t_mono_ns, word.t_media_ns)
        frame = SharedFrame(memory, word.slot, word.hw, *stamps, word.content_id)
        self._shelf.put(frame, free)
        self._tell(FrameArrived(self._name))

    def _hide(self, text: str) -> str:
        return address.without(str(self._camera.source), text)

    def _lose_patience(self, connection: _Connection) -> None:
        """Take note that nothing was heard for long; a live source is given up."""
        what = f"no frame for {connection.patience_s:g} s" if connection.opened else "does not open in time"
        if self.live:
            self._change("stalled", what)  # now, as the end of the process may take a while
            raise _Over("stalled", what)
        if self._shelf.out < SLOTS:  # else it may not go on before a frame is given back
            self._change("stalled", what)
            connection.patience_s = None

    def _change(self, state: Literal["live", "stalled", "disconnected"], reason: str, remedy: str = "") -> None:
        if self._state != (state, reason):
            self._state = (state, reason)
            self._tell(FeedChanged(self._name, state, reason, remedy))


def _free(link: Link[Word], slot: int) -> None:
    with contextlib.suppress(LinkClosed):
        link.send(Free(slot))


def _of_death(child: Child, code: int) -> _Over:
    if starved := child.killed_for_memory():
        return _Over(MEMORY, f"capture process {starved}")
    return _Over("crashed", f"capture process {f'killed by signal {-code}' if code < 0 else f'ended with code {code}'}")
