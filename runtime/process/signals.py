"""SIGINT, SIGTERM and SIGHUP as an ordinary call from an ordinary thread.

A Python signal handler runs between two steps of the main thread: it may not take a lock, and it does not run while
the main thread is inside a driver. So the signals are blocked, and a thread waits for them.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM)
HANG_UP = signal.SIGHUP

GRACE_S = 2.5
"""Maximum time from the signal to the exit of the process, seconds; users are promised 3."""


def signal_name(number: int) -> str:
    """Return the name of a signal, as SIGKILL; those of real time have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Termination:
    """Calls actions on SIGINT or SIGTERM; ends the process if it has not ended by itself within `GRACE_S`."""

    def __init__(self) -> None:
        """Block the signals; create it before any other thread, since threads inherit the mask."""
        self._actions: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._signalled = False
        self._done = threading.Event()
        self._on_hup: Callable[[], None] | None = None
        self._hung_up = False
        signal.pthread_sigmask(signal.SIG_BLOCK, (*SIGNALS, HANG_UP))
        threading.Thread(target=self._wait, name="termination", daemon=True).start()

    def call(self, action: Callable[[], None]) -> None:
        """Call `action` on the signal; at once if it has been received already."""
        with self._lock:
            self._actions.append(action)
            signalled = self._signalled
        if signalled:
            action()

    def call_on_hup(self, action: Callable[[], None]) -> None:
        """Call `action` on each SIGHUP; at once if one has been received already."""
        with self._lock:
            self._on_hup = action
            hung_up, self._hung_up = self._hung_up, False
        if hung_up:
            action()

    def done(self) -> None:
        """Report that the shutdown is complete and the process is about to exit by itself."""
        self._done.set()

    def _wait(self) -> None:
        while signal.sigwait((*SIGNALS, HANG_UP)) == HANG_UP:
            with self._lock:
                action, self._hung_up = self._on_hup, self._on_hup is None
            if action is not None:
                action()
        with self._lock:
            self._signalled = True
            actions = list(self._actions)
        for action in actions:
            action()
        if not self._done.wait(GRACE_S):
            os._exit(0)
