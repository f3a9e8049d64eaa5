"""The main loop's work beside frames: metrics, heartbeats, watchdog, degradation, bundle reloads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from edge_config.settings.sections import Alerts
from edge_config.settings.sections import Degrade as Limits
from edge_config.wire.requests import Reload
from runtime.alerts.camera_state import Watched
from runtime.app.answers import Answers
from runtime.app.bundle_reloads import Reloads
from runtime.events import Asked, EngineLost, EngineReady, Reloaded, ReloadRefused, Renew, Scored, SettingsRead, Shown
from runtime.frame import BundleInfo, Decision, SharedFrame
from runtime.inference.engine import Engine
from runtime.journal.recorder import JournalChanged, Written
from runtime.messaging.wire import RESTARTED, Wire
from runtime.monitoring.degrade import Degradation, MissedFrames, Strain
from runtime.monitoring.dropped_frames import Drops, DropsChanged
from runtime.monitoring.health import Health
from runtime.monitoring.machine import Machine
from runtime.monitoring.metrics import Metrics
from runtime.monitoring.systemd import Notifier
from runtime.process.out_of_memory import kernel

EVERY_S = 1.0

_log = structlog.get_logger()


class Counted(Protocol):
    """What is known of a feed from outside."""

    live: bool
    paced: bool
    depth: int
    reconnects: dict[str, int]
    pauses: int

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were never taken, by reason."""
        ...

    def slow_down(self, every: int) -> None:
        """Give every n-th frame only."""
        ...

    def pause(self) -> None:
        """Close it, if it is live."""
        ...

    def resume(self) -> None:
        """Open it again."""
        ...

    def show(self, number: int, width: int, quality: int) -> bool:
        """Have a JPEG made of the next frame; False where nothing is open."""
        ...


class Oversight:
    """Keeps an eye on everything, once a second and at each event. Use it from the main loop's thread."""

    def __init__(
        self,
        watched: Mapping[str, Watched],
        feeds: Mapping[str, Counted],
        stall_s: Mapping[str, float],
        engine: Engine,
        wire: Wire,
        limits: Limits,
        *,
        metrics: Metrics,
        health: Health,
        running: Mapping[str, Any],
    ) -> None:
        """Take the parts.

        Args:
            watched: the cameras.
            feeds: where their frames come from.
            stall_s: a live camera of which no frame is scored for so long is stalled.
            engine: the inference worker.
            wire: what messages, requests and keys come and go by.
            limits: when to do less.
            metrics: figures.
            health: what the health pages say.
            running: what the log says when the worker is ready, `device` among it.
        """
        self._running = running
        self._watched = watched
        self._feeds = feeds
        self._stall_s = stall_s
        self._wire = wire
        self._metrics = metrics
        self._health = health
        self._notifier = Notifier()
        self._machine = Machine(limits.thermal_root)
        self._degrade = Degradation(limits)
        self._load = MissedFrames()
        self._reloads = Reloads(engine, wire.control)
        metrics.journal(wire.recorder.state)  # its changes are told, how it began is not
        self._drops = Drops()
        helpers = (self._reload, self._device, self._frames)
        self._answer = Answers(watched, feeds, wire.control, wire.outbox, metrics, *helpers)
        self._missed: dict[str, int] = {}
        self._frame_ids: dict[str, int] = {}
        self._unscored: dict[str, str] = {}  # cameras whose last frame was not scored, and why
        self._owed_s: dict[str, float] = {}  # when a camera gave the first frame since one of it was scored
        self._next_s = self._next_beat_s = 0.0

    def ready(self, event: EngineReady) -> None:
        """Take note that the worker scores frames."""
        bundles = {name: _describe(one, self._watched[name].settings) for name, one in event.bundles.items()}
        _log.info("running", **self._running, bundles=bundles)
        for name, bundle in event.bundles.items():
            self._metrics.bundle(name, bundle.id)
            self._look_at_depth(name, bundle)
        self._watch_paths()
        self._health.engine(ready=True)
        self._notifier.ready("ready")

    def lost(self, event: EngineLost) -> None:
        """Take note that the worker is started anew."""
        _log.warning("inference worker lost", cause=event.cause, reason=event.reason)
        self._metrics.worker_restarted(event.cause)
        self._health.engine(ready=False)

    def handle(self, event: Any) -> None:
        """Handle what is not about frames: requests, signals, the journal, and what came of bundles."""
        match event:
            case Written():
                self._wire.outbox.written(event.entries)
            case JournalChanged():
                self._journal_changed(event)
            case Renew():
                self._renew(event.why)
            case SettingsRead():
                self._settings_read(event)
            case Shown():
                self._answer.pictures.shown(event)
            case Asked():
                self._answer(event)
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
        """Return whether a frame is too old to be scored, and count it then."""
        if time.monotonic_ns() - frame.t_mono_ns <= max_age_ns:
            return False
        self._metrics.dropped(camera, "too old")
        self._drops.count(camera, "too old")
        self._load.count(0, 1)
        return True

    def unwanted(self, watched: Watched) -> None:
        """Take note of a frame of a camera that was paused while the frame was scored."""
        self._metrics.dropped(watched.name, "paused")
        self._drops.count(watched.name, "paused")

    def published(self, watched: Watched, scored: Scored, decision: Decision) -> None:
        """Take note of a frame that subscribers know of."""
        name = watched.name
        age_s = (time.monotonic_ns() - scored.frame.t_mono_ns) / 1e9
        self._metrics.scored(name, watched.score, age_s)
        if decision.alert is not None and decision.alert.phase == "start":
            self._metrics.alerted(name)
        if scored.result is None:
            self._metrics.dropped(name, "not scored")
            self._drops.count(name, "not scored")
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
        self._wire.outbox.turn()
        now_s = time.monotonic()
        self._answer.pictures.turn(now_s)
        if now_s >= self._next_beat_s:
            self._beat(now_s)
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        self._starve(now_s)
        self._measure(now_s)
        if self._wire.admit():
            _log.warning("a client's key was removed: all clients were disconnected; authorised ones reconnect")
        if self._reloads.changed():
            self._renew("another bundle is at its path")
        for watched in self._watched.values():
            watched.turn()
        live, paused = (sum(one.state == state for one in self._watched.values()) for state in ("live", "paused"))
        self._health.cameras(live, paused)
        if not any(watched.connected for watched in self._watched.values()):
            self._notifier.progress()  # no frame can come, and all is done that can be
        also = f", {paused} paused" if paused else ""
        self._notifier.status(f"{live} of {len(self._watched)} cameras live{also}, {self._degrade.level.title}")

    def close(self) -> None:
        """Say that the runtime ends."""
        self._notifier.stopping()
        self._notifier.close()

    def _beat(self, now_s: float) -> None:
        """Let subscribers know that the device is alive, and what they should have by now."""
        self._next_beat_s = now_s + self._wire.outbox.heartbeat_s
        for watched in self._watched.values():
            watched.beat()

    def _journal_changed(self, event: JournalChanged) -> None:
        if event.state == "memory":
            _log.error("alerts and states cannot be written to disk, and are held in memory", reason=event.reason)
        else:
            _log.info("alerts and states are written to disk")
        self._metrics.journal(event.state)
        self._wire.outbox.finish(event.unfinished, RESTARTED)
        self._beat(time.monotonic())

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
        self._metrics.published_in_all(self._wire.publisher.sent)
        for socket, refused in self._wire.refused().items():
            self._metrics.refused_in_all(socket, refused)
        for name, feed in self._feeds.items():
            self._metrics.dropped_in_all(name, feed.dropped)
            self._metrics.reconnected_in_all(name, feed.reconnects)
            self._metrics.state(name, self._watched[name].state)
            missed = feed.dropped["newer"] + feed.dropped["no slot"]
            if feed.live:
                new = missed - self._missed.get(name, 0)
                self._load.count(new, new)
                opened = sum(feed.reconnects.values()) + feed.pauses
                if news := self._drops.look(now_s, name, self._frame_ids.get(name, 0), feed.dropped, opened):
                    _say_drops(name, news)
            self._missed[name] = missed
        kernel().look()
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

    def _frames(self, camera: str) -> dict[str, Any]:
        """Say what became of the frames of a camera, for those who ask for the status."""
        feed = self._feeds[camera]
        dropped = self._drops.of(camera, feed.dropped)
        return {"captured": self._frame_ids.get(camera, 0), "dropped": dropped, "paced": feed.paced}

    def _device(self) -> dict[str, Any]:
        """Say how the device is, for those who ask for its status."""
        level, recorder = self._degrade.level, self._wire.recorder
        journal = {"journal": recorder.state, "journal_reason": recorder.reason}
        return {"device": self._running["device"], "degraded": int(level), "does": level.title, **journal}

    def _reload(self, asked: Asked, request: Reload) -> None:
        self._notifier.reloading()
        self._reloads.ask(asked, request.camera, request.path)

    def _renew(self, why: str) -> None:
        _log.info("reloading bundles", why=why)
        self._notifier.reloading()
        self._reloads.renew()

    def _settings_read(self, event: SettingsRead) -> None:
        """Go on with the alert settings of the file, also where a request had changed them."""
        if event.problem:
            _log.error("reloading the settings failed; the old ones remain", problem=event.problem)
            return
        changed = [name for name, alerts in event.alerts.items() if alerts != self._watched[name].settings]
        for name in changed:
            self._watched[name].configure(event.alerts[name])
        _log.info("settings reloaded", alerts_of=changed)
        if event.restart:
            _log.warning("changed settings that need a restart", keys=list(event.restart))

    def _reloaded(self, event: Reloaded) -> None:
        _log.info("bundle in service", cameras=list(event.cameras), bundle=event.info.id[:12], path=event.info.path)
        for name in event.cameras:
            self._watched[name].serve(event.info)
            self._metrics.bundle(name, event.info.id)
            self._look_at_depth(name, event.info)
        self._metrics.reloaded(taken=True)
        self._watch_paths()
        self._reloads.answered(event.info.path, "")
        self._notifier.ready()

    def _look_at_depth(self, name: str, bundle: BundleInfo) -> None:
        """Say where a folder that is being played goes on at another depth than its new bundle learnt."""
        feed = self._feeds[name]
        if not feed.live and feed.depth != bundle.depth:
            depths = {"depth": feed.depth, "of_the_bundle": bundle.depth}
            remedy = "play it again: then they are read at the depth of the bundle"
            _log.warning("pictures of 16 bits are read at another depth", camera=name, **depths, remedy=remedy)

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


def _say_drops(camera: str, news: DropsChanged) -> None:
    if news.many:
        _log.warning("many frames are dropped", camera=camera, share=round(news.share, 2), reasons=news.reasons)
    else:
        _log.info("few frames are dropped again", camera=camera, share=round(news.share, 2))


def _describe(bundle: BundleInfo, alerts: Alerts) -> dict[str, Any]:
    if alerts.threshold is not None:  # without the promise of the bundle's
        return {"bundle": bundle.id[:12], "threshold": alerts.threshold}
    rates = {"false_alarm_rate": bundle.promised_alpha, "false_alarm_rate_upper_95": bundle.upper_alpha}
    return {"bundle": bundle.id[:12], "threshold": bundle.threshold, **rates}
