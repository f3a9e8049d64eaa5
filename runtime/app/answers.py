"""Answers of the main loop to requests about the present. The journal answers about the past."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
import structlog

from edge_config.errors import SettingsError
from edge_config.settings.parse import with_changes
from edge_config.wire.messages import TYPES
from edge_config.wire.replies import CameraState, InForce
from edge_config.wire.requests import Configure, Pause, Picture, Reload, ReportGap, Resume, Snapshot, Status
from runtime.alerts.camera_state import Watched
from runtime.app import picture_requests
from runtime.events import Asked
from runtime.messaging.control_socket import Control
from runtime.messaging.outbox import Outbox
from runtime.monitoring.metrics import Metrics

_log = structlog.get_logger()


class Source(picture_requests.Source, Protocol):
    """Where the frames of a camera come from."""

    @property
    def live(self) -> bool:
        """It is a camera or a stream, and not a recording."""
        ...

    def pause(self) -> None:
        """Close it, if it is live."""
        ...

    def resume(self) -> None:
        """Open it again."""
        ...


class Answers:
    """Answers requests. Use it from the main loop's thread.

    Attributes:
        pictures: that were asked for.
    """

    def __init__(
        self,
        watched: Mapping[str, Watched],
        sources: Mapping[str, Source],
        control: Control,
        outbox: Outbox,
        metrics: Metrics,
        reload: Callable[[Asked, Reload], None],
        device: Callable[[], Mapping[str, Any]],
        frames: Callable[[str], Mapping[str, Any]] = lambda _: {},
    ) -> None:
        """Take what is asked about, and who sees that it is answered.

        Args:
            watched: the cameras.
            sources: where their frames come from.
            control: takes the answers.
            outbox: knows the last messages.
            metrics: count.
            reload: sees that a reload is answered.
            device: says how the device is.
            frames: says what became of the frames of a camera.
        """
        self._watched = watched
        self._sources = sources
        self._control = control
        self.pictures = picture_requests.Pictures(watched, sources, control)
        self._outbox = outbox
        self._metrics = metrics
        self._reload = reload
        self._device = device
        self._frames = frames

    def __call__(self, asked: Asked) -> None:
        """Answer, or see that an answer comes."""
        request = asked.request
        camera = getattr(request, "camera", None)
        if camera is not None and camera not in self._watched:
            self._control.refuse(asked, f"no camera `{camera}`; known: {', '.join(self._watched)}")
            return
        match request:
            case Status():
                self._control.reply(asked, self._status())
            case Snapshot():
                self._control.reply(asked, self._outbox.now(self._watched if camera is None else [camera]))
            case ReportGap():
                self._count_gap(request, asked.key)
                self._control.reply(asked, {"counted": request.missed})
            case Configure():
                self._configure(asked, request)
            case Picture():
                self.pictures.ask(asked, request)
            case Pause() | Resume():
                self._pause(asked, request)
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
                "alerts": msgspec.to_builtins(watched.settings),
                "score": watched.score,
                "frames": watched.frames,
                "repeated": watched.repeated,
                **self._frames(name),
            }
            for name, watched in self._watched.items()
        }
        return {"cameras": cameras, **self._device()}

    def _configure(self, asked: Asked, request: Configure) -> None:
        watched = self._watched[request.camera]
        try:
            alerts = with_changes(watched.settings, request.alerts)
        except SettingsError as error:
            self._control.refuse(asked, str(error))
            return
        if alerts != watched.settings:
            _log.info("alerts configured", camera=watched.name, by=asked.key, **request.alerts)
            watched.configure(alerts)
        alerts_now = msgspec.to_builtins(watched.settings)
        self._control.reply(asked, InForce(camera=watched.name, threshold=watched.threshold, alerts=alerts_now))

    def _pause(self, asked: Asked, request: Pause | Resume) -> None:
        watched, source = self._watched[request.camera], self._sources[request.camera]
        pause = isinstance(request, Pause)
        if pause != watched.paused:
            _log.info("camera paused" if pause else "camera resumed", camera=watched.name, by=asked.key)
        if pause:
            watched.pause()  # ends its clip, too
            source.pause()
        elif watched.paused:
            watched.resume(reopens=source.live)
            source.resume()
        self._control.reply(asked, CameraState(camera=watched.name, state=watched.state, reason=watched.reason))

    def _count_gap(self, gap: ReportGap, key: str) -> None:
        kind = next((kind for kind in TYPES if f"/{kind}/" in gap.topic), "other")  # a label for each of a few things
        self._metrics.gap(kind, gap.missed)
        who = {"subscriber": gap.subscriber, "by": key}
        _log.warning("a subscriber missed messages", topic=gap.topic, missed=gap.missed, **who)
