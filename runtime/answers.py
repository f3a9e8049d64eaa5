"""Answers to the requests that the main loop answers itself: those about now. The journal answers for the past."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from edge_config.control import Reload, ReportGap, Snapshot, Status
from edge_config.message import TYPES
from runtime.control import Asked, Control
from runtime.metrics import Metrics
from runtime.outbox import Outbox
from runtime.watched import Watched

_log = structlog.get_logger()


class Answers:
    """Answers requests. Use it from the main loop's thread."""

    def __init__(
        self,
        watched: Mapping[str, Watched],
        control: Control,
        outbox: Outbox,
        metrics: Metrics,
        reload: Callable[[Asked, Reload], None],
        device: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Take what is asked about; `reload` sees that a reload is answered, `device` says how the device is."""
        self._watched = watched
        self._control = control
        self._outbox = outbox
        self._metrics = metrics
        self._reload = reload
        self._device = device

    def __call__(self, asked: Asked) -> None:
        """Answer, or see that an answer comes."""
        request = asked.request
        camera = request.camera if isinstance(request, Reload | Snapshot) else None
        if camera is not None and camera not in self._watched:
            self._control.refuse(asked, f"no camera `{camera}`; known: {', '.join(self._watched)}")
            return
        match request:
            case Status():
                self._control.reply(asked, self._status())
            case Snapshot():
                self._control.reply(asked, self._outbox.now(self._watched if camera is None else [camera]))
            case ReportGap():
                self._count_gap(request)
                self._control.reply(asked, {"counted": request.missed})
            case Reload():
                self._reload(asked, request)
            case _:
                self._control.refuse(asked, "not for the main loop")

    def _status(self) -> dict[str, Any]:
        cameras = {
            name: {
                "state": watched.state,
                "reason": watched.reason,
                "bundle": watched.bundle.id,
                "provider": watched.bundle.provider,
                "passed_over": watched.bundle.passed_over,
                "threshold": watched.threshold,
                "score": watched.score,
                "frames": watched.frames,
            }
            for name, watched in self._watched.items()
        }
        return {"cameras": cameras, **self._device()}

    def _count_gap(self, gap: ReportGap) -> None:
        kind = next((kind for kind in TYPES if f"/{kind}/" in gap.topic), "other")  # a label for each of a few things
        self._metrics.gap(kind, gap.missed)
        _log.warning("a subscriber missed messages", topic=gap.topic, missed=gap.missed, subscriber=gap.subscriber)
