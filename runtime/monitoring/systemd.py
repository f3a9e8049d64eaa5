"""Notify systemd of readiness, status and watchdog: the protocol of sd_notify(3), one datagram for each word.

Without systemd (no NOTIFY_SOCKET in the environment) nothing is sent. Nothing here ever waits or fails: a manager that
does not listen must not stop the cameras.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Callable, Mapping


class Notifier:
    """Notifies systemd. Use it from one thread."""

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read where to send, and how often.

        Args:
            environment: NOTIFY_SOCKET is the address, WATCHDOG_USEC the time-out of the watchdog of WATCHDOG_PID.
            clock: monotonic seconds.
        """
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # the abstract namespace
            self._address = "\0" + self._address[1:]
        self._interval_s = _watchdog_s(environment) / 3
        self._clock = clock
        self._due_s = -math.inf if self._interval_s < math.inf else math.inf
        self._status = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def ready(self, status: str = "") -> None:
        """Notify that the service has started, or that a reload is over."""
        self._send("READY=1")
        if status:
            self.status(status)

    def status(self, status: str) -> None:
        """Set the status line; it is sent only when it changes."""
        line = " ".join(status.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def progress(self) -> None:
        """Feed the watchdog, if it is time.

        To be called when a frame was handled, and in each turn of the main loop in which no frame is due because its
        camera is known to be away; never by a timer.
        """
        now_s = self._clock()
        if now_s >= self._due_s:
            self._due_s = now_s + self._interval_s
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Notify that a reload begins; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Notify that the service ends."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Free the socket."""
        self._socket.close()

    def _send(self, words: str) -> None:
        if self._address:
            with contextlib.suppress(OSError, UnicodeError, ValueError):
                self._socket.sendto(words.encode(), self._address)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Return the time-out of the watchdog, seconds; infinite where there is none for this process."""
    try:
        usec = int(environment.get("WATCHDOG_USEC", "0"))
        watched = int(environment.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return math.inf
    return usec / 1e6 if usec > 0 and watched == os.getpid() else math.inf
