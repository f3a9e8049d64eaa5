"""The page beside the device: a process of its own, which is started again when it dies, and never waited for."""

from __future__ import annotations

import os
import subprocess
import threading
import time

import structlog

from edge_config.errors import SettingsError, UsageError
from edge_config.settings.device import Settings
from runtime.process.backoff import Backoff
from runtime.process.child import module

PROGRAM = "runtime.page.beside"

RETRY_S = (1.0, 60.0)
"""Shortest and longest wait before the page is started again."""

END_S = 2.0
"""Time-out for its end; then it is killed."""

_HOPELESS = {UsageError.exit_code, SettingsError.exit_code}
"""Exit codes after which another try gives the same."""


class PageChild:
    """Keeps the page running until `close`."""

    def __init__(self, settings: Settings, bind: str, events: str, control: str) -> None:
        """Start it, in a thread of its own.

        Args:
            settings: of the device.
            bind: address of the page.
            events: endpoint of the device's events.
            control: endpoint of its control socket.
        """
        words = (settings.device, here(events), here(control), bind, str(os.getpid()))
        self._command = (*module(PROGRAM), *words)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        # It dies with the thread that started it.
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have the page end; any thread may call this."""
        with self._lock:
            self._stop.set()
            if self._process is not None:
                self._process.terminate()

    def close(self) -> None:
        """End the page, and wait for that."""
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
                log.error("the page cannot be served; the cameras go on without it", exit_code=code)
                return
            wait_s = backoff.after(time.monotonic() - begun_s)
            log.warning("the page has ended", exit_code=code, next_try_s=round(wait_s, 1))
            self._stop.wait(wait_s)

    def _once(self) -> int | None:
        """Run the page once; return its exit code, None if it could not be started."""
        try:
            with self._lock:
                if self._stop.is_set():
                    return None
                self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        except OSError as error:
            structlog.get_logger().warning("the page could not be started", reason=str(error))
            return None
        while (code := self._process.poll()) is None:
            if self._stop.wait(0.25):
                return self._end(self._process)
        return code

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def here(endpoint: str) -> str:
    """Return where this machine reaches an endpoint that is bound to all addresses."""
    for everywhere in ("tcp://0.0.0.0:", "tcp://*:", "tcp://[::]:"):
        if endpoint.startswith(everywhere):
            return f"tcp://127.0.0.1:{endpoint.removeprefix(everywhere)}"
    return endpoint


def refuse_keys(settings: Settings) -> None:
    """Refuse a page beside a device that requires keys: it has none.

    Raises:
        SettingsError: the device requires keys.
    """
    if settings.security.secret_key is not None:
        remedy = (
            "run `patchedge page --config FILE` beside it, with `secret_key` of the page and `server_key` of the device"
        )
        raise SettingsError("--page has no key, and this device requires one", where="security", remedy=remedy)
