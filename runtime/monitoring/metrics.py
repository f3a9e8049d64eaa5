"""Prometheus metrics of the runtime: one plain verb for everything that happens.

Verbs cost some microseconds and wait for nothing but each other; `text` may be called from another thread meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import product
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from edge_config.installed import version
from edge_config.wire.messages import TYPES, JournalState, State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STATES: tuple[State, ...] = get_args(State)

DROPPED = ("newer", "no slot", "degraded", "too old", "paused", "not scored")
RECONNECTED = ("stalled", "lost", "absent", "refused", "crashed", "memory", "asked")
RESTARTED = ("crashed", "memory", "hung", "start")
RELOADED = ("taken", "refused")
GAPS = (*TYPES, "other")
STAGES = ("inspect", "preprocess", "embed", "search", "score", "detail", "preview")

_OF_CONNECTIONS = ("handshake", "too many connections", "too much said")
REFUSED = {
    "events": (*_OF_CONNECTIONS, "no subscription"),
    "control": (*_OF_CONNECTIONS, "rate", "role", "malformed", "busy", "unanswered", "internal"),
    "access": ("key",),
}
"""Reasons by socket. All labels of counters are listed here: `increase()` does not see an event that makes a label."""

_AGE_S = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 5.0)
_STAGE_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0)


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self, cameras: Iterable[str] = ()) -> None:
        """Begin every counter at 0, those of `cameras` too."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series for nothing
        self._registry = CollectorRegistry()
        self._totals: dict[tuple[Counter | str, ...], int] = {}
        self._bundles: dict[str, str] = {}
        self._states: dict[str, State] = {}

        self._captured = self._counter("frames_captured", "Frames that a camera delivered.", "camera")
        self._dropped = self._counter("frames_dropped", "Frames that were not scored.", "camera", "reason")
        self._reconnects = self._counter("reconnects", "Times that a camera was reopened.", "camera", "reason")
        self._alerts = self._counter("alerts", "Alerts that began.", "camera")
        self._messages = self._counter("messages", "Messages published.", "kind")
        self._restarts = self._counter("worker_restarts", "Restarts of the inference worker.", "reason")
        self._reloads = self._counter("reloads", "Bundles put into service, or refused.", "result")

        self._gaps = self._counter("gaps_reported", "Lost messages, as reported by subscribers.", "kind")
        self._refused = self._counter("refused", "Requests and connections that were refused.", "socket", "reason")

        self._age = self._histogram("frame_age_seconds", "Time from capture to publishing.", "camera", buckets=_AGE_S)
        self._stage = self._histogram("stage_seconds", "Time of a stage for a frame.", "stage", buckets=_STAGE_S)

        self._last_frame = self._gauge("last_frame_timestamp_seconds", "Wall clock of the last frame.", "camera")
        self._state = self._gauge("camera_state", "1 for the state that a camera is in.", "camera", "state")
        self._score = self._gauge("score", "Anomaly score of the last frame; NaN: not scored.", "camera")
        self._drift = self._gauge("drift", "Evidence that a camera drifts, 0 to 1; 1: it does.", "camera", "cause")
        self._temperature = self._gauge("temperature_celsius", "Temperature of the hottest thermal zone; NaN: unknown.")
        self._memory = self._gauge("memory_available_bytes", "Available memory; NaN: unknown.")
        self._level = self._gauge("degradation_level", "Degradation level, 0 (none) to 3.")
        self._journal = self._gauge("journal_writable", "1: alerts are written to disk; 0: they are held in memory.")
        self._bundle = self._gauge("bundle_info", "1 for the bundle in service.", "camera", "id")
        self._build = self._gauge("build_info", "1 for the running version.", "version")
        self.machine(None, None)
        self._journal.set(1)
        self._build.labels(version() or "not installed").set(1)
        self._begin(list(cameras))

    def captured(self, camera: str, t_capture_ns: int, count: int = 1) -> None:
        """Count frames that a camera gave; `t_capture_ns` is the wall clock of the last of them."""
        self._captured.labels(camera).inc(count)
        self._last_frame.labels(camera).set(t_capture_ns / 1e9)

    def dropped(self, camera: str, reason: str, count: int = 1) -> None:
        """Count frames that were not scored."""
        self._dropped.labels(camera, reason).inc(count)

    def dropped_in_all(self, camera: str, by_reason: Mapping[str, int]) -> None:
        """Set the counters to those of a `Feed`, of all frames since it began."""
        self._take_over(self._dropped, by_reason, camera)

    def reconnected_in_all(self, camera: str, by_reason: Mapping[str, int]) -> None:
        """Set the counters to those of a `Feed`, of all its reconnects since it began."""
        self._take_over(self._reconnects, by_reason, camera)

    def scored(self, camera: str, score: float | None, age_s: float) -> None:
        """Record the score of a frame, None where it has none, and its age when it was published."""
        self._score.labels(camera).set(math.nan if score is None else score)
        self._age.labels(camera).observe(age_s)

    def drift(self, camera: str, levels: Mapping[str, float]) -> None:
        """Set what `DriftWatch.levels` returned."""
        for cause, level in levels.items():
            self._drift.labels(camera, cause).set(level)

    def stages(self, seconds: Mapping[str, float]) -> None:
        """Record the time of each stage of a frame."""
        for stage, took_s in seconds.items():
            self._stage.labels(stage).observe(took_s)

    def state(self, camera: str, state: State) -> None:
        """Set the state of a camera; the first call sets the others to 0."""
        before = self._states.get(camera)
        for name in STATES if before is None else (before, state):
            self._state.labels(camera, name).set(name == state)
        self._states[camera] = state

    def alerted(self, camera: str) -> None:
        """Count an alert that began."""
        self._alerts.labels(camera).inc()

    def published_in_all(self, by_kind: Mapping[str, int]) -> None:
        """Set the counters to those of the `Publisher`."""
        self._take_over(self._messages, by_kind)

    def refused_in_all(self, socket: str, by_reason: Mapping[str, int]) -> None:
        """Set the counters to those of a socket, `events` or `control`, or `access` for both."""
        self._take_over(self._refused, by_reason, socket)

    def gap(self, kind: str, missed: int) -> None:
        """Count messages that a subscriber missed; `kind` is one of a few words, never free text."""
        self._gaps.labels(kind).inc(missed)

    def journal(self, state: JournalState) -> None:
        """Set whether alerts and states are written to the disk."""
        self._journal.set(state == "on")

    def machine(self, temperature_c: float | None, available_bytes: int | None) -> None:
        """Set what `Machine.read` returned."""
        self._temperature.set(math.nan if temperature_c is None else temperature_c)
        self._memory.set(math.nan if available_bytes is None else available_bytes)

    def degraded(self, level: int) -> None:
        """Set the degradation level."""
        self._level.set(level)

    def bundle(self, camera: str, bundle_id: str) -> None:
        """Set the bundle that is in service for a camera, in place of the one before."""
        before = self._bundles.get(camera)
        if before is not None:
            self._bundle.remove(camera, before)
        self._bundles[camera] = bundle_id
        self._bundle.labels(camera, bundle_id).set(1)

    def worker_restarted(self, reason: str) -> None:
        """Count a restart of the inference worker; `reason` is one of a few words, never free text."""
        self._restarts.labels(reason).inc()

    def reloaded(self, *, taken: bool) -> None:
        """Count a reload that was taken or refused."""
        self._reloads.labels("taken" if taken else "refused").inc()

    def text(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self._registry)

    def _begin(self, cameras: list[str]) -> None:
        """Make every counter and histogram whose labels are known."""
        labels: dict[Counter | Histogram, Iterable[tuple[str, ...]]] = {
            self._captured: product(cameras),
            self._dropped: product(cameras, DROPPED),
            self._reconnects: product(cameras, RECONNECTED),
            self._alerts: product(cameras),
            self._messages: product(TYPES),
            self._restarts: product(RESTARTED),
            self._reloads: product(RELOADED),
            self._gaps: product(GAPS),
            self._refused: ((socket, reason) for socket, reasons in REFUSED.items() for reason in reasons),
            self._age: product(cameras),
            self._stage: product(STAGES),
        }
        for metric, values in labels.items():
            for value in values:
                metric.labels(*value)

    def _take_over(self, counter: Counter, by_label: Mapping[str, int], *labels: str) -> None:
        """Bring a counter up to the totals that are kept elsewhere."""
        for label, total in dict(by_label).items():  # a copy: its owner goes on counting
            key: tuple[Counter | str, ...] = (counter, *labels, label)
            counter.labels(*labels, label).inc(max(0, total - self._totals.get(key, 0)))
            self._totals[key] = total

    def _counter(self, name: str, said: str, *labels: str) -> Counter:
        return Counter(f"patchedge_{name}", said, labels, registry=self._registry)

    def _histogram(self, name: str, said: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"patchedge_{name}", said, labels, registry=self._registry, buckets=buckets)

    def _gauge(self, name: str, said: str, *labels: str) -> Gauge:
        return Gauge(f"patchedge_{name}", said, labels, registry=self._registry)
