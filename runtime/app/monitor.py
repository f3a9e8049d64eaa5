"""Monitoring: figures, heart-beats, watchdog and degradation, at each event and once a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from edge_config.installed import version
from edge_config.settings.sections import DegradeSettings
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.app.channel import Channel
from runtime.events import EngineLost, EngineReady, Previewed, Scored
from runtime.frame import BundleInfo, Decision, SharedFrame
from runtime.journal.journal_thread import JournalChanged
from runtime.messaging.sockets import RESTARTED, Wire
from runtime.monitoring.degrade import Degradation, MissedFrames, Strain
from runtime.monitoring.dropped_frames import Drops, log_drops
from runtime.monitoring.health import Health
from runtime.monitoring.machine import Machine
from runtime.monitoring.metrics import Metrics
from runtime.monitoring.systemd import Notifier
from runtime.process.out_of_memory import kernel

EVERY_S = 1.0

_log = structlog.get_logger()


@dataclass(slots=True)
class _Frames:
    """Statistics of the frames of a camera.

    Attributes:
        last_id: `frame_id` of the last one taken.
        missed: frames that its feed had dropped at the last count.
        owed_s: when it delivered the first frame since the last scored one; None if there is none.
        unscored: reason why the last one was not scored; None if it was.
    """

    last_id: int = 0
    missed: int = 0
    owed_s: float | None = None
    unscored: str | None = None


class Monitor:
    """Monitors the runtime: metrics, health, heartbeats, degradation. Use it from the main loop's thread."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        wire: Wire,
        limits: DegradeSettings,
        *,
        metrics: Metrics,
        health: Health,
        notifier: Notifier,
        running: Mapping[str, Any],
    ) -> None:
        """Watch these parts.

        Args:
            channels: the cameras, by name.
            wire: sockets and journal.
            limits: when to degrade.
            metrics: the Prometheus metrics.
            health: content of the health pages.
            notifier: notifies systemd.
            running: fields of the log line `running`, `device` among them.
        """
        self._channels = channels
        self._wire = wire
        self._metrics = metrics
        self._health = health
        self._notifier = notifier
        self._running = running
        self._version = version() or ""
        self._machine = Machine(limits.thermal_root)
        self._degrade = Degradation(limits)
        self._missed = MissedFrames()
        self._drops = Drops()
        self._frames = {name: _Frames() for name in channels}
        self._next_s = self._next_beat_s = 0.0
        self._more: list[Callable[[str], dict[str, Any]]] = []
        metrics.journal(wire.recorder.state)  # its changes are told, how it began is not

    def arrived(self, camera: str) -> None:
        """Count a frame of a camera that is due to be scored."""
        frames = self._frames[camera]
        frames.owed_s = time.monotonic() if frames.owed_s is None else frames.owed_s

    def taken(self, channel: Channel, frame: SharedFrame) -> None:
        """Count a frame, and those before it that were never taken."""
        frames = self._frames[channel.name]
        self._metrics.captured(channel.name, frame.t_capture_ns, frame.frame_id - frames.last_id)
        frames.last_id = frame.frame_id
        if channel.feed.live:
            self._missed.count(1)

    def is_older(self, channel: Channel, frame: SharedFrame) -> bool:
        """Return whether a frame is too old to be scored, and count it then."""
        if time.monotonic_ns() - frame.t_mono_ns <= channel.max_age_ns:
            return False
        self._drop(channel.name, "too old")
        self._missed.count(0, 1)
        return True

    def unwanted(self, channel: Channel) -> None:
        """Count a frame of a camera that was paused while the frame was scored."""
        self._drop(channel.name, "paused")

    def published(self, channel: Channel, scored: Scored, decision: Decision) -> None:
        """Take note of a frame that was published."""
        name, frames = channel.name, self._frames[channel.name]
        age_s = (time.monotonic_ns() - scored.frame.t_mono_ns) / 1e9
        self._metrics.scored(name, channel.camera.score, age_s)
        if decision.alert is not None and decision.alert.phase == "start":
            self._metrics.alerted(name)
        if scored.result is None:
            self._drop(name, "not scored")
            if frames.unscored is None:  # once, and not for each of what may be thousands
                _log.warning("frame not scored", camera=name, frame_id=scored.frame.frame_id, reason=scored.reason)
            frames.unscored = scored.reason
            return
        frames.unscored = frames.owed_s = None
        self._metrics.stages(scored.result.stage_seconds)
        self._notifier.progress()

    def previewed(self, event: Previewed) -> None:
        """Take note of the preview of a frame."""
        self._metrics.stages({"preview": event.seconds})

    def ready(self, event: EngineReady) -> None:
        """Take note that the worker scores frames."""
        bundles = {name: _describe(one, self._channels[name].camera) for name, one in event.bundles.items()}
        _log.info("running", **self._running, bundles=bundles)
        self._health.engine(ready=True)
        self._notifier.ready("ready")

    def lost(self, event: EngineLost) -> None:
        """Take note that the worker is restarted."""
        _log.warning("inference worker lost", cause=event.cause, reason=event.reason)
        self._metrics.worker_restarted(event.cause)
        self._health.engine(ready=False)

    def journal_changed(self, event: JournalChanged) -> None:
        """Log at once whether alerts and states are written to disk."""
        if event.state == "memory":
            _log.error("alerts and states cannot be written to disk, and are held in memory", reason=event.reason)
        else:
            _log.info("alerts and states are written to disk")
        self._metrics.journal(event.state)
        self._wire.outbox.finish(event.unfinished, RESTARTED)
        self._beat(time.monotonic())

    def turn(self) -> None:
        """Do the periodic work: hardly anything in most turns of the loop, the rest once a second."""
        self._health.progress()
        now_s = time.monotonic()
        if now_s >= self._next_beat_s:
            self._beat(now_s)
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        for channel in self._channels.values():
            self._starve(now_s, channel)
            self._count(now_s, channel)
            channel.camera.turn()
            self._metrics.drift(channel.name, channel.camera.drift.levels())
        self._measure(now_s)
        self._say_how_it_is()

    def also(self, part: Callable[[str], dict[str, Any]]) -> None:
        """Have the status of each camera hold more fields: those that `part` returns for its name."""
        self._more.append(part)

    def status(self) -> dict[str, Any]:
        """Return the answer to a request for the status."""
        level, recorder = self._degrade.level, self._wire.recorder
        return {
            "cameras": {name: self._status_of(channel) for name, channel in self._channels.items()},
            "device": self._running["device"],
            "degraded": int(level),
            "does": level.title,
            "journal": recorder.state,
            "journal_reason": recorder.reason,
            "version": self._version,
        }

    def close(self) -> None:
        """Notify systemd of the shutdown."""
        self._notifier.stopping()
        self._notifier.close()

    def _status_of(self, channel: Channel) -> dict[str, Any]:
        camera, feed = channel.camera, channel.feed
        return {
            "state": camera.status.state,
            "reason": camera.status.reason,
            "bundle": camera.bundle.id,
            "provider": camera.bundle.provider,
            "passed_over": camera.bundle.passed_over,
            "threshold": camera.threshold,
            "default_threshold": camera.default_threshold,
            "bundle_min_ms": camera.bundle.min_ms,
            "regions": camera.bundle.regions_of.get(channel.name, ""),
            "alerts": msgspec.to_builtins(camera.settings),
            "score": camera.score,
            "drift": camera.drift.line,
            "frames": camera.frames,
            "repeated": camera.repeated,
            "captured": self._frames[channel.name].last_id,
            "dropped": self._drops.of(channel.name, feed.dropped),
            "paced": feed.paced,
            **{name: field for part in self._more for name, field in part(channel.name).items()},
        }

    def _drop(self, camera: str, reason: str) -> None:
        self._metrics.dropped(camera, reason)
        self._drops.count(camera, reason)

    def _beat(self, now_s: float) -> None:
        """Send heart-beats: the device is alive, and this is what subscribers should have by now."""
        self._next_beat_s = now_s + self._wire.outbox.heartbeat_s
        for channel in self._channels.values():
            channel.camera.beat()

    def _starve(self, now_s: float, channel: Channel) -> None:
        """Call a camera stalled that delivers, while nothing of it is scored."""
        frames, status = self._frames[channel.name], channel.camera.status
        if not status.connected:
            frames.owed_s = None
        since_s = 0.0 if frames.owed_s is None else now_s - frames.owed_s
        if channel.feed.live and since_s > channel.stall_s:
            why = f": {frames.unscored}" if frames.unscored else ""
            status.starve(f"no frame scored for {since_s:.0f} s{why}")

    def _count(self, now_s: float, channel: Channel) -> None:
        """Copy the counters of a feed into the metrics."""
        name, feed, frames = channel.name, channel.feed, self._frames[channel.name]
        self._metrics.dropped_in_all(name, feed.dropped)
        self._metrics.reconnected_in_all(name, feed.reconnects)
        self._metrics.state(name, channel.camera.status.state)
        missed = feed.dropped["newer"] + feed.dropped["no slot"]
        if feed.live:
            self._missed.count(missed - frames.missed, missed - frames.missed)
            opened = sum(feed.reconnects.values()) + feed.pauses
            if news := self._drops.look(now_s, name, frames.last_id, feed.dropped, opened):
                log_drops(name, news)
        frames.missed = missed

    def _measure(self, now_s: float) -> None:
        """Copy the counters of the sockets, read the sensors, and degrade or recover."""
        self._metrics.published_in_all(self._wire.publisher.sent)
        for socket, refused in self._wire.refused().items():
            self._metrics.refused_in_all(socket, refused)
        kernel().look()
        reading = self._machine.read()
        self._metrics.machine(reading.temperature_c, reading.available_bytes)
        if self._degrade.update(now_s, Strain(self._missed.take(), reading.temperature_c, reading.available_mb)):
            self._step()

    def _step(self) -> None:
        level = self._degrade.level
        _log.warning("degradation", level=int(level), does=level.title, reason=self._degrade.reason)
        self._metrics.degraded(level)
        for channel in self._channels.values():
            channel.feed.slow_down(level.every)
            channel.camera.messages.degraded = int(level)
            channel.camera.maps = level.maps

    def _say_how_it_is(self) -> None:
        """Update the health pages, and notify systemd."""
        statuses = [channel.camera.status for channel in self._channels.values()]
        live, paused = (sum(one.state == state for one in statuses) for state in ("live", "paused"))
        self._health.cameras(live, paused)
        if not any(status.connected for status in statuses):
            self._notifier.progress()  # no frame can come, and all is done that can be
        silent = sum(channel.camera.silent for channel in self._channels.values())
        also = (f", {paused} paused" if paused else "") + (f", {silent} silent (burn-in)" if silent else "")
        self._notifier.status(f"{live} of {len(statuses)} cameras live{also}, {self._degrade.level.title}")


def _describe(bundle: BundleInfo, camera: MonitoredCamera) -> dict[str, Any]:
    regions = bundle.regions_of.get(camera.name)
    said = {"bundle": bundle.id[:12], **({"regions": f"of the {regions}"} if regions else {})}
    if camera.settings.threshold is not None or camera.threshold != bundle.threshold:  # without the bundle's promise
        return {**said, "threshold": camera.threshold}
    rates = {"false_alarm_rate": bundle.promised_alpha, "false_alarm_rate_upper_95": bundle.upper_alpha}
    return {**said, "threshold": bundle.threshold, **rates}
