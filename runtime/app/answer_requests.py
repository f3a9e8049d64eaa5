"""Requests to the runtime: those about the present, reloads, and changed keys of clients.

The journal answers requests about the past.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from edge_config.wire.messages import TYPES
from edge_config.wire.replies import CameraState
from edge_config.wire.requests import (
    Pause,
    Picture,
    Reload,
    ReportGap,
    Resume,
    Snapshot,
    Status,
    name_of,
)
from edge_config.wire.teaching import OfTeaching
from edge_config.wire.versions import LearnOn, Rollback, StopLearning, Versions
from runtime.app import settings_reload
from runtime.app.bundle_reloads import BundleReloads
from runtime.app.channel import Channel
from runtime.app.picture_requests import PictureRequests
from runtime.events import Asked, PictureReady, ReloadBundles, Reloaded, ReloadRefused, Scored, SettingsRead
from runtime.frame import BundleInfo
from runtime.messaging.sockets import Wire
from runtime.monitoring.metrics import Metrics
from runtime.teaching.peaks import SeenFrame
from runtime.teaching.teaching import Teaching
from runtime.versions.events import LearnerEnded, LearnerMoved, Pointed, TargetFound
from runtime.versions.keeper import VersionKeeper

EVERY_S = 1.0

_log = structlog.get_logger()


class RequestPart(Protocol):
    """Answers requests of its own, and does its periodic work; used from the main loop's thread."""

    def handle(self, event: Any) -> bool:
        """Handle an event of its own; return whether it is one."""

    def answer(self, asked: Asked) -> bool:
        """Answer a request of its own; return whether it is one."""

    def turn(self) -> None:
        """Do the periodic work, once a second."""


class ClosingPart(RequestPart, Protocol):
    """One that must be closed at the end."""

    def close(self) -> None:
        """Finish what was begun."""


class Requests:
    """Executes and answers requests. Use it from the main loop's thread.

    Attributes:
        bundles: reloads them.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        wire: Wire,
        metrics: Metrics,
        bundles: BundleReloads,
        versions: VersionKeeper,
        status: Callable[[], dict[str, Any]],
        teaching: Teaching | None = None,
    ) -> None:
        """Take the parts that requests are about.

        Args:
            channels: the cameras, by name.
            wire: sockets and journal.
            metrics: counts what clients report.
            bundles: reloads bundles.
            versions: keeps learnt bundles.
            status: knows the status.
            teaching: stores pictures; None: no picture is stored.
        """
        self.bundles = bundles
        self._versions = versions
        self._channels = channels
        self._wire = wire
        self._control = wire.control
        self._metrics = metrics
        self._status = status
        self._teaching = teaching
        self._parts: list[RequestPart] = []
        self._pictures = PictureRequests(channels, wire.control)
        self._next_s = 0.0

    def add(self, part: RequestPart) -> None:
        """Have a part answer its own requests."""
        self._parts.append(part)

    def handle(self, event: Any) -> None:
        """Handle a request, a signal, or the result of one."""
        match event:
            case Asked() if isinstance(event.request, OfTeaching) and self._teaching is not None:
                self._teaching.answer(event)
            case Asked():
                self._answer(event)
            case PictureReady():
                self._pictures.ready(event)
            case ReloadBundles():
                self.bundles.reload(event.why)
            case Reloaded():
                self.bundles.taken(event)
                self._versions.taken(event)
            case ReloadRefused():
                self.bundles.refused(event)
                self._versions.refused(event)
            case LearnerMoved() | LearnerEnded() | TargetFound() | Pointed():
                self._versions.handle(event)
            case SettingsRead():
                settings_reload.apply(event, {name: channel.camera for name, channel in self._channels.items()})
                for part in self._parts:
                    part.handle(event)
            case _:
                next((part for part in self._parts if part.handle(event)), None)

    def ready(self, bundles: Mapping[str, BundleInfo]) -> None:
        """Take note of the bundles that a worker serves from its start."""
        self.bundles.ready(bundles)
        self._versions.ready()

    def show(self, channel: Channel, scored: Scored) -> None:
        """Show a frame on which was decided to what stores pictures, before it is given back."""
        if self._teaching is None:
            return
        camera, result = channel.camera, scored.result
        judged = result is not None and not result.repeated and camera.status.state == "live"
        value, boxes = (None, ()) if result is None else (result.value, result.boxes)
        about = camera.alert, camera.is_alerting
        self._teaching.see(SeenFrame(channel.name, scored.frame, value, camera.threshold, judged, *about, boxes))

    def give_way(self, *, busy: bool) -> None:
        """Let a learner work where no frame is scored."""
        self._versions.give_way(busy=busy)

    def turn(self) -> None:
        """Refuse requests after their time-out; once a second, look for replaced keys and bundles."""
        now_s = time.monotonic()
        self._pictures.turn(now_s)
        if self._teaching is not None:
            self._teaching.turn()
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        if self._wire.admit():
            _log.warning("a client's key was removed: all clients were disconnected; authorised ones reconnect")
        self.bundles.look()
        self._versions.turn()
        for part in self._parts:
            part.turn()

    def _answer(self, asked: Asked) -> None:
        """Answer a request, now or later."""
        request = asked.request
        camera = getattr(request, "camera", None)
        if camera is not None and camera not in self._channels:
            self._control.refuse(asked, f"no camera `{camera}`; known: {', '.join(self._channels)}")
            return
        match request:
            case Status():
                self._control.reply(asked, self._whole_status())
            case Snapshot():
                self._control.reply(asked, self._wire.outbox.now(self._channels if camera is None else [camera]))
            case ReportGap():
                self._count_gap(request, asked.by)
                self._control.reply(asked, {"counted": request.missed})
            case Picture():
                self._pictures.ask(asked, request)
            case Pause() | Resume():
                self._pause(asked, request)
            case Reload():
                self.bundles.ask(asked, request)
            case LearnOn() | StopLearning() | Rollback() | Versions():
                self._versions.ask(asked)
            case _:
                self._ask_parts(asked)

    def _ask_parts(self, asked: Asked) -> None:
        if not any(part.answer(asked) for part in self._parts):
            self._control.refuse(asked, f"`{name_of(asked.request)}` is not available on this device")

    def _whole_status(self) -> dict[str, Any]:
        """Return the status with what learning and stored pictures add to it."""
        status = {**self._status(), "learning": self._versions.status()}
        return status if self._teaching is None else self._teaching.add_to(status)

    def _pause(self, asked: Asked, request: Pause | Resume) -> None:
        channel = self._channels[request.camera]
        status = channel.camera.status
        pause = isinstance(request, Pause)
        if pause != status.paused:
            _log.info("camera paused" if pause else "camera resumed", camera=channel.name, by=asked.by)
        if pause:
            channel.camera.pause()  # ends its clip, too
            channel.feed.pause()
        elif status.paused:
            status.resume(reopens=channel.feed.live)
            channel.feed.resume()
        self._control.reply(asked, CameraState(camera=channel.name, state=status.state, reason=status.reason))

    def _count_gap(self, gap: ReportGap, by: str) -> None:
        kind = next((kind for kind in TYPES if f"/{kind}/" in gap.topic), "other")  # a label for each of a few things
        self._metrics.gap(kind, gap.missed)
        reporter = {"subscriber": gap.subscriber, "by": by}
        _log.warning("a subscriber missed messages", topic=gap.topic, missed=gap.missed, **reporter)
