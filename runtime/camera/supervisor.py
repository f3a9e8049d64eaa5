"""Keep the capture process of a camera alive: start it, restart it when it is over, pause and end it.

The time-outs of the process are in `capture_run.py`, the waits between two connections in `retry.py`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from random import Random

from edge_config.settings.sections import Camera
from runtime.camera import address
from runtime.camera.capture_run import CaptureOver, CaptureRun
from runtime.camera.protocol import Ended, Open, Word
from runtime.camera.retry import Retry
from runtime.process.child import LinkClosed, module, spawn
from runtime.process.out_of_memory import Kills

CAPTURE_PROCESS = module("runtime.camera.capture_process")
"""Command that starts a capture process."""

MAX_UNDEAD = 2
"""While the kernel holds this many capture processes inside a driver, no other is started to share their fate."""

CLOSE_S = 0.5
"""Time-out of `close`."""


class Supervisor(ABC):
    """Keeps one capture process alive, in a thread; a recording is played once. Its methods are thread-safe.

    Attributes:
        live: the source is a camera or a stream, and no recording.
        pauses: how often it was paused.
    """

    def __init__(
        self, name: str, camera: Camera, command: Sequence[str], random: Random | None, kills: Kills | None
    ) -> None:
        """Take a camera; arguments as in `Feed`."""
        self.live = address.kind(camera.source) != "recording"
        self.pauses = 0
        self._name, self._camera = name, camera
        self._command = command
        self._kills = kills
        self._retry = Retry(camera, random)
        self._undead: list[CaptureRun] = []
        self._stopping = threading.Event()
        self._going = threading.Event()  # not paused
        self._going.set()
        self._asked = False
        self._capture: CaptureRun | None = None
        self._lock = threading.Lock()  # over the four above
        # The kernel may hold a capture process inside a driver indefinitely: as a daemon the thread holds up no exit.
        self._thread = threading.Thread(target=self._run, name=f"feed {name}", daemon=True)

    @abstractmethod
    def _connecting(self, *, resumed: bool) -> Open:
        """Return the first order to a capture process, after a pause or not."""

    @abstractmethod
    def _hear(self, capture: CaptureRun, word: Word | None, descriptors: list[int]) -> None:
        """Handle a message; None: none came in time. Raise `CaptureOver` to give the capture process up."""

    @abstractmethod
    def _disconnected(self) -> None:
        """Note that the capture process has ended."""

    @abstractmethod
    def _over(self, over: CaptureOver) -> bool:
        """Note why a connection ended, unless by `stop` or `pause`; return whether another one should follow."""

    @property
    def looking(self) -> bool:
        """Whether the source does not open, and the capture process looks for the reason."""
        capture = self._capture
        return capture is not None and capture.looking

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def reconnect(self) -> None:
        """Drop the connection of a live source, and open a new one."""
        with self._lock:
            if self.live and self._capture is not None:
                self._asked = True
                self._capture.hang_up()

    def pause(self) -> None:
        """Close a live source until `resume`."""
        if self.live:
            with self._lock:
                self._going.clear()
                self.pauses += 1
                self._hang_up()

    def resume(self) -> None:
        """Reopen the source, without a wait."""
        self._retry.reset()
        self._going.set()

    def stop(self) -> None:
        """Begin to end; returns at once."""
        with self._lock:
            self._stopping.set()
            self._going.set()
            self._hang_up()

    def close(self) -> None:
        """End, and kill the capture process if it hangs."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def _hang_up(self) -> None:
        if self._capture is not None:
            self._capture.hang_up()

    def _run(self) -> None:
        pauses = 0
        while True:
            self._going.wait()
            if self._stopping.is_set():
                return
            resumed, pauses = self.pauses != pauses, self.pauses
            self._retry.connecting()
            over, delivered_s = self._connect(self._connecting(resumed=resumed))
            if self._stopping.is_set():
                return
            if self.pauses != pauses:
                continue
            if not self._over(over):
                return
            self._retry.wait(over.cause, delivered_s, partial(self._stopped, pauses))

    def _stopped(self, pauses: int, seconds: float) -> bool:
        """Wait; return whether it was stopped, or paused once more than `pauses`."""
        return self._stopping.wait(seconds) or self.pauses != pauses

    def _connect(self, order: Open) -> tuple[CaptureOver, float]:
        """Run one capture process to its end; return why it ended, and for how long it delivered frames."""
        self._undead = [capture for capture in self._undead if capture.is_running]
        if len(self._undead) >= MAX_UNDEAD:
            return CaptureOver("stalled", "capture processes hang in the driver and cannot be killed"), 0.0
        try:
            started = spawn(self._command, self._hide if self.live else None)
        except OSError as error:
            return CaptureOver("crashed", f"no capture process can be started ({error.strerror})"), 0.0
        capture = CaptureRun(self._name, started, self._camera.stall_ms / 1000, self._kills)
        with self._lock:
            self._asked = False
            self._capture = capture
            if self._stopping.is_set() or not self._going.is_set():
                capture.hang_up()
        over = self._listen(capture, order)
        delivered_s = capture.delivered_s
        with self._lock:
            self._capture = None
        if not capture.end():
            self._undead.append(capture)
        self._disconnected()
        if self._asked:
            over = CaptureOver("asked", "a new connection was requested")
        elif over.cause == "crashed":
            over = capture.death() or over
        return over, delivered_s

    def _listen(self, capture: CaptureRun, order: Open) -> CaptureOver:
        """Handle the messages of a capture process until it is over."""
        try:
            for word, descriptors in capture.messages(order):
                if isinstance(word, Ended):
                    return CaptureOver(word.cause, self._hide(word.what), self._hide(word.line), word.remedy)
                self._hear(capture, word, descriptors)
        except CaptureOver as over:
            return over
        except LinkClosed as closed:
            return CaptureOver("crashed", f"capture process ended ({closed})")
        except Exception as error:  # noqa: BLE001 - a camera is never given up, whatever happens
            return CaptureOver("crashed", self._hide(f"internal error ({error!r})"))
        raise AssertionError  # messages do not end otherwise

    def _hide(self, text: str) -> str:
        return address.without(str(self._camera.source), text)
