"""Replay stored scores through the device's alert logic, `Decide`, with given settings.

Frames are treated as the device treats them: unscored and repeated ones change nothing, and a start of the runtime ends
an open alert. What scores do not show is not replayed: a pause, a burn-in, or another bundle in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts
from runtime.alerts.decide import Decide
from runtime.page.store.frames import ScoreRun

if TYPE_CHECKING:
    from runtime.frame import Alert, Frame, Result

MAX_LISTED = 1000
"""Maximum number of alerts that are listed; all are counted."""

MAX_SECONDS = 25.0
"""Time-out of a simulation. A day at 25 frames a second takes 0.3 s, and 3 s if a tenth is over the threshold."""

_BLOCK = 32
"""Frames that are fed in a row while there is an alert, or what may become one."""

_MS = 1_000_000  # nanoseconds
_BEFORE = 2
"""Scored frames before one over the threshold that matter: `Decide` keeps the steps between the last three frames."""


@dataclass(frozen=True)
class Rules:
    """What decides on alerts of a camera.

    Attributes:
        alerts: its alert settings.
        threshold: the threshold where the settings have none: that of a burn-in, or of the bundle.
        min_ms: `min_ms` of the bundle; None if it has none.
    """

    alerts: Alerts
    threshold: float
    min_ms: int | None = None


class Replayed(NamedTuple):
    """An alert of a simulation: first and last frame, milliseconds since 1970 UTC, and its highest score."""

    from_ms: int
    to_ms: int
    peak: float


class TooLong(Exception):
    """A simulation took longer than it may."""


class _Frame:
    """The part of a `Frame` that `Decide` reads; made once, and filled again for each frame."""

    __slots__ = ("clock_ns", "frame_id", "t_capture_ns")

    def __init__(self) -> None:
        self.clock_ns = self.frame_id = self.t_capture_ns = 0


class _Result:
    """The same of a `Result`."""

    __slots__ = ("boxes", "peak_xy", "repeated", "value")

    def __init__(self) -> None:
        self.value, self.repeated, self.peak_xy, self.boxes = 0.0, False, None, ()


class Simulation:
    """Alerts of one set of rules. Feed it frames in their order.

    Attributes:
        count: number of alerts so far.
        alerts: the first `MAX_LISTED` of them.
    """

    def __init__(self, rules: Rules, until_s: float = float("inf")) -> None:
        """Begin with no alert open; `until_s` is the end of the time that it may take, monotonic clock."""
        self.count = 0
        self.alerts: list[Replayed] = []
        self._rules = rules
        self._until_s = until_s
        self._epoch: str | None = None
        self._last_ns = self._clock_ns = 0
        self._frame, self._result = _Frame(), _Result()
        self._decide = self._start()

    def feed(self, run: ScoreRun) -> None:
        """Take in the next frames.

        Raises:
            TooLong: it takes too long.
        """
        if time.monotonic() > self._until_s:
            raise TooLong
        if run.epoch != self._epoch:
            self.end()
            self._decide, self._epoch, self._clock_ns = self._start(), run.epoch, 0
        used = np.flatnonzero(~(np.isnan(run.scores) | run.repeated))
        if len(used):
            self._run(run.clock_ns[used], run.wall_ns[used], run.scores[used])
        self._last_ns = int(run.wall_ns[-1])

    def end(self) -> None:
        """End an open alert at the last frame: nothing more comes, or the runtime was restarted."""
        alert = self._decide.close("the end")
        if alert is not None:
            self._over(alert, self._last_ns)

    def _start(self) -> Decide:
        decide = Decide(self._rules.alerts, self._rules.threshold)
        decide.bundle_min_ms = self._rules.min_ms
        return decide

    def _run(self, clock_ns: NDArray[np.int64], wall_ns: NDArray[np.int64], score: NDArray[np.float64]) -> None:
        """Decide on frames that count.

        While there is no alert, and nothing that may become one, frames that are not over the threshold change nothing
        but the clock of `Decide`: only the last of them are fed.
        """
        clock_ns = np.maximum.accumulate(np.maximum(clock_ns, self._clock_ns))  # a damaged one cannot go back
        self._clock_ns = int(clock_ns[-1])
        over = np.flatnonzero(score > self._decide.threshold)
        clocks, times, values = clock_ns.tolist(), wall_ns.tolist(), score.tolist()
        decide, frame, result = self._decide, self._frame, self._result
        seen, found = cast("Frame", frame), cast("Result", result)
        at, n = 0, len(values)
        while at < n:
            if decide.alert is None:
                place = int(np.searchsorted(over, at))
                at = max(at, (int(over[place]) if place < len(over) else n) - _BEFORE)
                end = min(n, at + _BEFORE + 1)
            else:
                end = min(n, at + _BLOCK)
            for now in range(at, end):
                frame.clock_ns, frame.t_capture_ns, result.value = clocks[now], times[now], values[now]
                alert = decide(seen, found).alert
                if alert is not None and alert.phase == "end":
                    self._over(alert, times[now])
            at = end

    def _over(self, alert: Alert, end_ns: int) -> None:
        self.count += 1
        if len(self.alerts) < MAX_LISTED:
            self.alerts.append(Replayed(alert.t_start_ns // _MS, end_ns // _MS, alert.peak_score))


@dataclass(frozen=True)
class RulesCompared:
    """What two sets of rules make of the same scores.

    Attributes:
        now, then: of the rules in force, and of the others.
        frames: number of frames.
        first_ms, last_ms: times of the first and the last; 0 without any.
    """

    now: Simulation
    then: Simulation
    frames: int
    first_ms: int
    last_ms: int


def compare(runs: Iterable[ScoreRun], now: Rules, then: Rules, max_seconds: float = MAX_SECONDS) -> RulesCompared:
    """Replay frames with two sets of rules.

    Args:
        runs: the frames, in their order; each run has at least one.
        now: the rules in force.
        then: the others.
        max_seconds: time-out.

    Raises:
        TooLong: it takes longer.
    """
    until_s = time.monotonic() + max_seconds
    both = Simulation(now, until_s), Simulation(then, until_s)
    frames, first_ns, last_ns = 0, 0, 0
    for run in runs:
        for one in both:
            one.feed(run)
        first_ns = first_ns if frames else int(run.wall_ns[0])
        last_ns = int(run.wall_ns[-1])
        frames += len(run.wall_ns)
    for one in both:
        one.end()
    return RulesCompared(*both, frames, first_ns // _MS, last_ns // _MS)
