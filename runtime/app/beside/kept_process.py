"""A process beside the device, which is started again when it dies, and never waited for."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Sequence

import structlog

from edge_config.errors import SettingsError, UsageError
from runtime.process.backoff import Backoff

RETRY_S = (1.0, 60.0)
"""Shortest and longest wait before it is started again."""

END_S = 2.0
"""Time-out for its end; then it is killed."""

_HOPELESS = {UsageError.exit_code, SettingsError.exit_code}
"""Exit codes after which another try gives the same."""


class KeptProcess:
    """Keeps a process running until `close`."""

    def __init__(self, what: str, command: Sequence[str], given: bytes = b"") -> None:
        """Start it, in a thread of its own.

        Args:
            what: its name in the log, such as "the page".
            command: starts it.
            given: its standard input.
        """
        self._what, self._command, self._given = what, tuple(command), given
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        # It dies with the thread that started it.
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have it end; any thread may call this."""
        with self._lock:
            self._stop.set()
            if self._process is not None:
                self._process.terminate()

    def close(self) -> None:
        """End it, and wait for that."""
        self.stop()
        self._thread.join(END_S + 1)

    def _run(self) -> None:
        backoff = Backoff(*RETRY_S)
        while not self._stop.is_set():
            begun_s = time.monotonic()
            code = self._once()
            if self._stop.is_set():
                return
            log = structlog.get_logger()
            if code in _HOPELESS:
                event = f"{self._what} cannot be started; the cameras go on without it"
                log.error(event, exit_code=code)
                return
            wait_s = backoff.after(time.monotonic() - begun_s)
            event = f"{self._what} has ended"
            log.warning(event, exit_code=code, next_try_s=round(wait_s, 1))
            self._stop.wait(wait_s)

    def _once(self) -> int | None:
        """Run it once; return its exit code, None if it could not be started."""
        try:
            with self._lock:
                if self._stop.is_set():
                    return None
                self._process = self._start()
        except OSError as error:
            event = f"{self._what} could not be started"
            structlog.get_logger().warning(event, reason=str(error))
            return None
        while (code := self._process.poll()) is None:
            if self._stop.wait(0.25):
                return self._end(self._process)
        return code

    def _start(self) -> subprocess.Popen[bytes]:
        if not self._given:
            return subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        threading.Thread(target=_feed, args=(process, self._given), name=f"to {self._what}", daemon=True).start()
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _feed(process: subprocess.Popen[bytes], given: bytes) -> None:
    """Write its standard input; a process that has died takes none."""
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(OSError), process.stdin as stdin:
        stdin.write(given)
