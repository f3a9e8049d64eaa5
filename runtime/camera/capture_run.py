"""One run of a capture process, from its start to its end, as the runtime sees it: messages and their time-outs."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator

from runtime.camera.protocol import (
    ClipOver,
    Film,
    Free,
    Grabbed,
    Looking,
    Open,
    Opened,
    Shot,
    Show,
    Started,
    Waits,
    Word,
)
from runtime.process.child import Link, LinkClosed
from runtime.process.out_of_memory import MEMORY, Child, Kills

START_S = 20.0
"""Time-out for the process to load its libraries, on a slow and busy device too."""

OPENING_S = 5.0
"""Added to `stall_ms` for opening the source, and again for its first frame."""

DIAGNOSIS_S = 15.0
"""Time-out for the reason why a source does not open; the diagnosis itself is bounded by less."""


class CaptureOver(Exception):
    """A capture process has ended, or is given up.

    Args:
        cause: as in `Feed.reconnects`, or `end` of a recording.
        what: what is wrong, as the reason of a state.
        line: the same as a complete line; by default as `what`.
        remedy: what the user can do about it.
    """

    def __init__(self, cause: str, what: str, line: str = "", remedy: str = "") -> None:
        """Take why it is over."""
        super().__init__(what)
        self.cause, self.what, self.line, self.remedy = cause, what, line or what, remedy


class CaptureRun:
    """A capture process that runs. `messages` and `end` are for one thread; orders may come from any.

    Attributes:
        opened: its source is open.
        looking: the source does not open, and the process looks for the reason.
        timeout_s: for the next message; None if there is none.
        clips: names of those that were begun and are not over.
    """

    def __init__(
        self,
        name: str,
        started: tuple[subprocess.Popen[bytes], socket.socket],
        stall_s: float,
        kills: Kills | None,
    ) -> None:
        """Take a process that `child.spawn` started.

        Args:
            name: of the camera.
            started: the process and the socket to it.
            stall_s: time without a frame after which a live source is stalled.
            kills: as in `Feed`.
        """
        self._process, sock = started
        self._link: Link[Word] = Link(sock, Word)
        self._child = Child(name, self._process, kills)
        self._stall_s = stall_s
        self._interval_s = 0.0  # between frames that are on time
        self._since: float | None = None  # monotonic time of the first frame
        self._heard_s = time.monotonic()  # when the last message came
        self.opened = self.looking = False
        self.timeout_s: float | None = START_S
        self.clips: set[str] = set()

    def messages(self, first: Open) -> Iterator[tuple[Word | None, list[int]]]:
        """Send the first order, and yield each message and its descriptors; None whenever `timeout_s` is over.

        Raises:
            LinkClosed: the process died, or `hang_up` was called.
        """
        self._link.send(first)
        while True:
            left_s = None if self.timeout_s is None else self._heard_s + self.timeout_s - time.monotonic()
            word, descriptors = self._link.receive(left_s) or (None, [])
            if not isinstance(word, ClipOver | Shot):  # these are no sign of life of the camera
                self._heard_s = time.monotonic()
            self._note(word)
            yield word, descriptors

    def _note(self, word: Word | None) -> None:
        match word:
            case Started():
                self.timeout_s = self._stall_s + OPENING_S
            case Looking():
                self.looking, self.timeout_s = True, DIAGNOSIS_S
            case Opened():
                self.opened, self._interval_s = True, word.interval_s
                self.timeout_s = self._stall_s + OPENING_S + word.interval_s
                self._child.look()  # it has allocated most of its memory now
            case Waits():
                self.timeout_s = self._stall_s + word.seconds
            case Grabbed():
                self._since = self._since or time.monotonic()
                self.timeout_s = self._stall_s + self._interval_s
            case ClipOver():
                self.clips.discard(word.name)

    def free(self, slot: int) -> None:
        """Let the process overwrite a slot."""
        with contextlib.suppress(LinkClosed):
            self._link.send(Free(slot))

    def show(self, order: Show) -> bool:
        """Order a snapshot; False if the source is not open."""
        if not self.opened:
            return False
        try:
            self._link.send(order, wait_s=0.0)
        except LinkClosed:
            return False
        return True

    def film(self, order: Film) -> bool:
        """Order the begin or the end of a clip; False if the source is not open."""
        if not self.opened:
            return False
        if order.begins:
            self.clips.add(order.name)
        with contextlib.suppress(LinkClosed):
            self._link.send(order, wait_s=0.0)
        return True

    def hang_up(self) -> None:
        """Have the process end, and `messages` raise LinkClosed."""
        self._link.hang_up()

    def end(self) -> bool:
        """Close the link and end the process; False if the kernel holds it inside a driver."""
        self._link.close()
        return self._child.end()

    @property
    def is_running(self) -> bool:
        """Whether the process is still there, after `end`."""
        return self._process.poll() is None

    @property
    def delivered_s(self) -> float:
        """Time since the first frame, seconds."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def death(self) -> CaptureOver | None:
        """Return what killed the process; None if it ended with code 0 or not at all. Call it once, after `end`."""
        code = self._process.returncode
        if not code:
            return None
        if starved := self._child.killed_for_memory():
            return CaptureOver(MEMORY, f"capture process {starved}")
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return CaptureOver("crashed", f"capture process {how}")
