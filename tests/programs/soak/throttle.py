"""A machine that is too slow: the processes of a program get a quarter of the time."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

from tests.programs.soak import processes

TURN_S = 0.2
SHARE = 0.25


class Throttle:
    """Stops a program and its children for three quarters of every turn."""

    def __init__(self, pid: int) -> None:
        """Begin."""
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="throttle")
        self._thread.start()

    def end(self) -> None:
        """Let it run again."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            stopped = processes.tree(self._pid)
            _send(stopped, signal.SIGSTOP)
            self._over.wait(TURN_S * (1 - SHARE))
            _send(stopped, signal.SIGCONT)
            self._over.wait(TURN_S * SHARE)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
