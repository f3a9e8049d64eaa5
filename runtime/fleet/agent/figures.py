"""Figures of a runtime for its agent, read from its metrics: alerts, time of a frame, age of frames."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from runtime.fleet.agent.core.seen import Totals

WITHOUT = frozenset({"preview"})
"""Stages that are no part of the time of a frame."""

MIN_FRAMES = 20
"""Number of frames that a percentile is of at least."""

_PERCENT = 0.95


@dataclass(slots=True)
class Read:
    """What is read from the text.

    Attributes:
        alerts: camera -> alerts since the start.
        stage_s: time of all stages of all frames since the start, seconds.
        scored: frames that were scored since the start.
        ages: camera -> upper bound of an age, seconds -> frames of at most this age.
    """

    alerts: dict[str, float] = field(default_factory=dict)
    stage_s: float = 0.0
    scored: float = 0.0
    ages: dict[str, dict[float, float]] = field(default_factory=lambda: defaultdict(dict))


def read(text: str) -> Read:
    """Return the figures of a text in the format of Prometheus."""
    found = Read()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            match sample.name:
                case "patchedge_alerts_total":
                    found.alerts[labels["camera"]] = sample.value
                case "patchedge_stage_seconds_sum" if labels["stage"] not in WITHOUT:
                    found.stage_s += sample.value
                case "patchedge_stage_seconds_count" if labels["stage"] == "score":
                    found.scored = sample.value
                case "patchedge_frame_age_seconds_bucket":
                    found.ages[labels["camera"]][float(labels["le"])] = sample.value
    return found


class FiguresRead:
    """Figures of all cameras, from look to look."""

    def __init__(self) -> None:
        """Begin without figures."""
        self._before = Read()
        self._totals: dict[str, Totals] = {}
        self._frames: Counter[str] = Counter()
        self._ages: dict[str, dict[float, float]] = {}
        self._p95: dict[str, float] = {}

    def take(self, text: str, frames: Mapping[str, int]) -> None:
        """Take a text, and the number of scored frames of each camera, into account.

        The time of a frame is that of all cameras together, as stages are not measured for each of them.
        """
        now, before = read(text), self._before
        if now.scored < before.scored:  # the runtime was restarted
            before, self._totals, self._ages = Read(), {}, {}
            self._frames.clear()
        scored = now.scored - before.scored
        frame_ms = 1000 * max(0.0, now.stage_s - before.stage_s) / scored if scored else 0.0
        for camera, count in frames.items():
            old = self._totals.get(camera, Totals())
            more = max(0, count - self._frames[camera]) if frame_ms else 0
            alerts = now.alerts.get(camera, 0.0)
            self._totals[camera] = Totals(alerts, old.frames + more, old.frame_ms + more * frame_ms)
            self._frames[camera] = count
            self._take_ages(camera, now.ages.get(camera, {}))
        self._before = now

    def totals(self, camera: str) -> Totals:
        """Return what a camera did since the runtime was started."""
        return self._totals.get(camera, Totals())

    def p95_ms(self, camera: str) -> float:
        """Return the 95th percentile of the age of a frame when its score is told, milliseconds; 0: unknown."""
        return self._p95.get(camera, 0.0)

    def _take_ages(self, camera: str, now: dict[float, float]) -> None:
        before = self._ages.setdefault(camera, {})
        since = {bound: count - before.get(bound, 0.0) for bound, count in sorted(now.items())}
        if (total := max(since.values(), default=0.0)) < MIN_FRAMES:
            return
        self._ages[camera] = now
        self._p95[camera] = 1000 * _percentile(since, _PERCENT * total)


def _percentile(cumulated: Mapping[float, float], rank: float) -> float:
    """Return the value of a rank, linear within its bucket; at most the highest finite bound."""
    low, below = 0.0, 0.0
    for bound, count in cumulated.items():
        if count >= rank:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (rank - below) / max(count - below, 1e-9)
        low, below = bound, count
    return low
