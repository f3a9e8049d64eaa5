"""Requests with which a person looks after the device from afar: its log, its metrics, and doctor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from edge_config.bundle.files import read_manifest
from edge_config.errors import BundleError
from edge_config.hide import hidden
from edge_config.settings.device import Settings
from edge_config.wire.upkeep import (
    LogLine,
    LogLines,
    MetricsText,
    ReadDoctorReport,
    ReadLogs,
    ReadMetrics,
    ReadSettings,
    ReportedSettings,
    StartDoctor,
)
from runtime.app.answer_beside import AnswerBeside
from runtime.app.upkeep.doctor_run import DoctorRun
from runtime.events import Asked
from runtime.messaging.control_socket import Control
from runtime.process.log_ring import LogRing

METRICS_S = 1.0
"""Age of a text of metrics, seconds, up to which it is sent again: however many ask, it is made once."""


class UpkeepRequests:
    """Answers these requests. Use it from the main loop's thread."""

    def __init__(
        self,
        control: Control,
        log: LogRing,
        epoch: str,
        metrics: Callable[[], bytes],
        content_type: str,
        doctor: DoctorRun,
        settings: Callable[[], tuple[Settings, dict[str, str]]],
    ) -> None:
        """Take what is told.

        Args:
            control: the socket that answers go to.
            log: the last lines of the log.
            epoch: UUID of this start of the runtime.
            metrics: makes the text of the metrics, in any thread.
            content_type: media type of that text.
            doctor: runs doctor.
            settings: returns the settings, and for each camera the path of the bundle in service.
        """
        self._control = control
        self._log = log
        self._epoch = epoch
        self._metrics = metrics
        self._content_type = content_type
        self._doctor = doctor
        self._settings = settings
        self._beside = AnswerBeside(control, "metrics")
        self._text, self._until_s = b"", 0.0  # in the thread only

    def answer(self, asked: Asked) -> bool:
        """Answer such a request; return whether it is one."""
        match asked.request:
            case ReadLogs() as request:
                self._control.reply(asked, self._lines(request))
            case ReadMetrics():
                self._beside.do(asked, self._measure)
            case ReadSettings():
                self._beside.do(asked, partial(_read_settings, *self._settings()))
            case StartDoctor():
                if self._doctor.start():
                    structlog.get_logger().info("doctor started", by=asked.by)
                    self._control.reply(asked, self._doctor.state())
                else:
                    self._control.refuse(asked, "doctor runs already; ask for its report")
            case ReadDoctorReport():
                self._control.reply(asked, self._doctor.state())
            case _:
                return False
        return True

    def handle(self, _event: Any) -> bool:
        """Return False: no event is its own."""
        return False

    def turn(self) -> None:
        """There is no periodic work."""

    def close(self) -> None:
        """End doctor, and answer what waits, for a short while."""
        self._doctor.close()
        self._beside.close()

    def _lines(self, request: ReadLogs) -> LogLines:
        found, more, missed = self._log.after(request.after, request.limit)
        lines = tuple(LogLine(number=one.number, at_ms=one.at_ms, level=one.level, text=one.text) for one in found)
        last = lines[-1].number if lines else request.after
        return LogLines(lines=lines, next=last, more=more, missed=missed, epoch=self._epoch)

    def _measure(self) -> tuple[MetricsText, Sequence[bytes]]:
        """In the thread."""
        if time.monotonic() >= self._until_s:
            self._text = self._metrics()
            self._until_s = time.monotonic() + METRICS_S
        return MetricsText(content_type=self._content_type, size=len(self._text)), [self._text]


def _read_settings(settings: Settings, bundles: dict[str, str]) -> tuple[ReportedSettings, Sequence[bytes]]:
    """Read the manifests of the bundles; in the thread."""
    manifests = {camera: _manifest(Path(path)) for camera, path in bundles.items()}
    return ReportedSettings(settings=hidden(msgspec.to_builtins(settings)), manifests=manifests), []


def _manifest(bundle: Path) -> Any:
    try:
        return msgspec.json.decode(read_manifest(bundle))
    except (BundleError, OSError, msgspec.DecodeError):
        return None
