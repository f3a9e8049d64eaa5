"""What the main loop does beside the frames: figures, watchdog, degradation, and bundles that change."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from edge_config import control as requests
from edge_config.sections import Degrade as Limits
from runtime.control import Asked, Control
from runtime.degrade import Degrade, Load, Strain
from runtime.engine import Engine
from runtime.events import EngineLost, EngineReady, Reloaded, ReloadRefused, Renew, Scored
from runtime.frame import BundleInfo, Decision, SharedFrame
from runtime.health import Health
from runtime.machine import Machine
from runtime.metrics import Metrics
from runtime.notify import Notifier
from runtime.reloads import Reloads
from runtime.watched import Watched

EVERY_S = 1.0

_log = structlog.get_logger()


class Counted(Protocol):
    """What is known of a feed from outside."""

    live: bool
    reconnects: dict[str, int]

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were never taken, by reason."""
        ...

    def slow_down(self, every: int) -> None:
        """Give every n-th frame only."""
        ...


class Oversight:
    """Keeps an eye on everything, once a second and at each event. Use it from the main loop's thread."""

    def __init__(
        self,
        watched: Mapping[str, Watched],
        feeds: Mapping[str, Counted],
        stall_s: Mapping[str, float],
        engine: Engine,
        control: Control,
        limits: Limits,
        *,
        metrics: Metrics,
        health: Health,
        sent: Mapping[str, int],
        running: Mapping[str, Any],
    ) -> None:
        """Take the parts.

        Args:
            watched: the cameras.
            feeds: where their frames come from.
            stall_s: a live camera of which no frame is scored for so long is stalled.
            engine: the inference worker.
            control: whose requests are answered.
            limits: when to do less.
            metrics: figures.
            health: what the health pages say.
            sent: messages by kind, as the publisher counts them.
            running: what the log says when the worker is ready.
        """
        self._sent = sent
        self._running = running
        self._watched = watched
        self._feeds = feeds
        self._stall_s = stall_s
        self._control = control
        self._metrics = metrics
        self._health = health
        self._notifier = Notifier()
        self._machine = Machine(limits.thermal_root)
        self._degrade = Degrade(limits)
        self._load = Load()
        self._reloads = Reloads(engine, control)
        self._missed: dict[str, int] = {}
        self._frame_ids: dict[str, int] = {}
        self._unscored: dict[str, str] = {}  # cameras whose last frame was not scored, and why
        self._owed_s: dict[str, float] = {}  # when a camera gave the first frame since one of it was scored
        self._next_s = 0.0

    def ready(self, event: EngineReady) -> None:
        """Take note that the worker scores frames."""
        _log.info("running", **self._running, bundles={name: _describe(one) for name, one in event.bundles.items()})
        for name, bundle in event.bundles.items():
            self._metrics.bundle(name, bundle.id)
        self._watch_paths()
        self._health.engine(ready=True)
        self._notifier.ready("ready")

    def lost(self, event: EngineLost) -> None:
        """Take note that the worker is started anew."""
        _log.warning("inference worker lost", cause=event.cause, reason=event.reason)
        self._metrics.worker_restarted(event.cause)
        self._health.engine(ready=False)

    def handle(self, event: Any) -> None:
        """Handle what is about bundles: requests, signals, and what came of them."""
        match event:
            case Renew():
                self._renew(event.why)
            case Asked(request=requests.Status()):
                self._control.reply(event, self._status())
            case Asked(request=requests.Reload()):
                self._ask_reload(event)
            case Reloaded():
                self._reloaded(event)
            case ReloadRefused():
                self._refused(event)

    def arrived(self, camera: str) -> None:
        """Take note that a camera has given a frame that should be scored."""
        self._owed_s.setdefault(camera, time.monotonic())

    def taken(self, camera: str, frame: SharedFrame) -> None:
        """Count a frame, and those before it that were never taken."""
        grabbed = frame.frame_id - self._frame_ids.get(camera, 0)
        self._frame_ids[camera] = frame.frame_id
        self._metrics.captured(camera, frame.t_capture_ns, grabbed)
        if self._feeds[camera].live:
            self._load.count(1)

    def is_older(self, camera: str, frame: SharedFrame, max_age_ns: int) -> bool:
        """Tell whether a frame is too old to be scored, and count it then."""
        if time.monotonic_ns() - frame.t_mono_ns <= max_age_ns:
            return False
        self._metrics.dropped(camera, "too old")
        self._load.count(0, 1)
        return True

    def published(self, watched: Watched, scored: Scored, decision: Decision) -> None:
        """Take note of a frame that subscribers know of."""
        name = watched.name
        age_s = (time.monotonic_ns() - scored.frame.t_mono_ns) / 1e9
        self._metrics.scored(name, watched.score, age_s)
        if decision.alert is not None and decision.alert.phase == "start":
            self._metrics.alerted(name)
        if scored.result is None:
            self._metrics.dropped(name, "not scored")
            if name not in self._unscored:  # once, and not for each of what may be thousands
                _log.warning("frame not scored", camera=name, frame_id=scored.frame.frame_id, reason=scored.reason)
            self._unscored[name] = scored.reason
            return
        self._unscored.pop(name, None)
        self._metrics.stages(scored.result.stage_seconds)
        self._owed_s.pop(name, None)
        self._notifier.progress()

    def turn(self) -> None:
        """Do what is due: hardly anything in most turns of the loop, all else once a second."""
        self._health.progress()
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        self._starve(now_s)
        self._measure(now_s)
        if self._reloads.changed():
            self._renew("another bundle lies at its path")
        live = sum(watched.state == "live" for watched in self._watched.values())
        self._health.cameras(live)
        if not any(watched.connected for watched in self._watched.values()):
            self._notifier.progress()  # no frame can come, and all is done that can be
        self._notifier.status(f"{live} of {len(self._watched)} cameras live, {self._degrade.level.title}")

    def close(self) -> None:
        """Say that the runtime ends."""
        self._notifier.stopping()
        self._notifier.close()

    def _starve(self, now_s: float) -> None:
        """Call a camera stalled that delivers, while nothing of it is scored."""
        for name, watched in self._watched.items():
            if not watched.connected:
                self._owed_s.pop(name, None)
            since_s = now_s - self._owed_s.get(name, now_s)
            if self._feeds[name].live and since_s > self._stall_s[name]:
                why = f": {self._unscored[name]}" if self._unscored.get(name) else ""
                watched.starve(f"no frame scored for {since_s:.0f} s{why}")

    def _measure(self, now_s: float) -> None:
        """Take over what feeds and publisher count, and do less or more."""
        self._metrics.published_in_all(self._sent)
        for name, feed in self._feeds.items():
            self._metrics.dropped_in_all(name, feed.dropped)
            self._metrics.reconnected_in_all(name, feed.reconnects)
            self._metrics.state(name, self._watched[name].state)
            missed = feed.dropped["newer"] + feed.dropped["no slot"]
            if feed.live:
                new = missed - self._missed.get(name, 0)
                self._load.count(new, new)
            self._missed[name] = missed
        reading = self._machine.read()
        self._metrics.machine(reading.temperature_c, reading.available_bytes)
        if self._degrade.update(now_s, Strain(self._load.take(), reading.temperature_c, reading.available_mb)):
            self._step()

    def _step(self) -> None:
        level = self._degrade.level
        _log.warning("degradation", level=int(level), does=level.title, reason=self._degrade.reason)
        self._metrics.degraded(level)
        for name, feed in self._feeds.items():
            feed.slow_down(level.every)
            self._watched[name].degraded = int(level)
            self._watched[name].maps = level.maps

    def _status(self) -> dict[str, Any]:
        cameras = {
            name: {
                "state": watched.state,
                "reason": watched.reason,
                "bundle": watched.bundle.id,
                "threshold": watched.threshold,
                "score": watched.score,
                "frames": watched.frames,
            }
            for name, watched in self._watched.items()
        }
        return {"cameras": cameras, "degraded": int(self._degrade.level), "does": self._degrade.level.title}

    def _renew(self, why: str) -> None:
        _log.info("reading bundles anew", why=why)
        self._notifier.reloading()
        self._reloads.renew()

    def _ask_reload(self, asked: Asked) -> None:
        request = asked.request
        assert isinstance(request, requests.Reload)  # noqa: S101 - `handle` looked
        if request.camera is not None and request.camera not in self._watched:
            self._control.refuse(asked, f"no camera `{request.camera}`; known: {', '.join(self._watched)}")
            return
        self._notifier.reloading()
        self._reloads.ask(asked, request.camera, request.path)

    def _reloaded(self, event: Reloaded) -> None:
        _log.info("bundle in service", cameras=list(event.cameras), bundle=event.info.id[:12], path=event.info.path)
        for name in event.cameras:
            self._watched[name].serve(event.info)
            self._metrics.bundle(name, event.info.id)
        self._metrics.reloaded(taken=True)
        self._watch_paths()
        self._reloads.answered(event.info.path, "")
        self._notifier.ready()

    def _watch_paths(self) -> None:
        """Notice where another bundle is put in place; also of a camera that has none since its own was refused."""
        self._reloads.serving({watched.bundle.path for watched in self._watched.values() if watched.bundle.path})

    def _refused(self, event: ReloadRefused) -> None:
        _log.error("bundle refused", cameras=list(event.cameras), problem=event.error, old_one_goes_on=event.kept)
        if not event.kept:
            for name in event.cameras:
                self._watched[name].fail(event.error)
        self._metrics.reloaded(taken=False)
        self._reloads.answered(event.path, event.error)
        self._notifier.ready()


def _describe(bundle: BundleInfo) -> dict[str, Any]:
    return {"bundle": bundle.id[:12], "threshold": bundle.threshold, "false_alarm_rate": bundle.promised_alpha}
