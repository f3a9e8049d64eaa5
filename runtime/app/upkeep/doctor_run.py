"""`patchedge doctor` beside the running device: in a process at idle priority, one at a time, with a time-out."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from edge_config.settings.device import Settings
from edge_config.wire.upkeep import DoctorStage, DoctorState
from runtime.process.background import background
from runtime.process.child import module

TIMEOUT_S = 180.0
"""Time-out of all checks, seconds: at idle priority they take long on a busy device."""

MEMORY_MB = 1024
"""Limit of the memory of each of its processes, MiB; where memory is short, the kernel ends these first."""

NOT_CHECKED = (
    "Cameras are not opened, as the device uses them: `status` says how they are.",
    "Ports and journal are not checked, as the device uses them: `status` says how they are.",
    "Bundles are not loaded a second time, and search is not timed: `metrics` has the time of each stage.",
)

_log = structlog.get_logger()


class DoctorRun:
    """Runs doctor, and keeps its last report. Any thread may call."""

    def __init__(
        self,
        settings: Settings,
        command: Sequence[str] = module("runtime.doctor.beside"),
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Run nothing yet.

        Args:
            settings: of the running device.
            command: checks the device; it reads the settings as JSON, and prints a report as JSON.
            timeout_s: time-out of a run.
        """
        self._settings = settings
        self._command = command
        self._timeout_s = timeout_s
        self._lock = threading.Lock()  # over what follows
        self._state: DoctorStage = "never"
        self._report: Any = None
        self._reason = ""
        self._began_ms = 0
        self._began_s = self._ended_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self) -> bool:
        """Start doctor; return False if it runs already."""
        with self._lock:
            if self._state == "running" or self._closed:
                return False
            self._state, self._report, self._reason = "running", None, ""
            self._began_ms, self._began_s = time.time_ns() // 1_000_000, time.monotonic()
            # A child dies with the thread that started it: this one waits for it.
            self._thread = threading.Thread(target=self._run, name="doctor", daemon=True)
            self._thread.start()
        return True

    def state(self) -> DoctorState:
        """Return how it is, with the last report."""
        with self._lock:
            until_s = time.monotonic() if self._state == "running" else self._ended_s
            return DoctorState(
                state=self._state,
                started_ms=self._began_ms,
                seconds=round(until_s - self._began_s, 1),
                report=self._report,
                reason=self._reason,
                not_checked=NOT_CHECKED,
            )

    def close(self) -> None:
        """End it. Calling it twice is a no-op."""
        with self._lock:
            self._closed = True
            self._kill()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        report, reason = None, ""
        try:
            report = self._ask()
        except subprocess.TimeoutExpired:
            reason = f"not done within {self._timeout_s:g} s"
        except OSError as error:
            reason = f"cannot be started ({error.strerror})"
        except Exception as error:  # noqa: BLE001 - whatever it prints, the device goes on
            reason = " ".join(str(error).split())[:300]
        with self._lock:
            self._process = None
            self._ended_s = time.monotonic()
            self._state, self._report, self._reason = ("failed" if reason else "done"), report, reason
        if reason:
            _log.warning("doctor failed", reason=reason)

    def _ask(self) -> Any:
        """Run it to its end, and return its report.

        Raises:
            subprocess.TimeoutExpired: it takes too long, and was killed.
            OSError: it cannot be started.
            ValueError: it failed, or its report is no JSON.
        """
        words = background(self._command, memory_mb=MEMORY_MB, threads=1)
        pipe = subprocess.PIPE
        with self._lock:
            if self._closed:
                raise ValueError("the device is stopping")
            self._process = process = subprocess.Popen(
                words, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
        try:
            out, errors = process.communicate(msgspec.json.encode(self._settings), self._timeout_s)
        except subprocess.TimeoutExpired:
            with self._lock:
                self._kill()
            process.communicate()
            raise
        if process.returncode:
            last = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise ValueError(last or f"it ended with exit code {process.returncode}")
        return msgspec.json.decode(out)

    def _kill(self) -> None:
        """Kill it with all that it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
