"""The alerts that the runtime would publish for scores of a recording."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts
from runtime.alerts.decide import Decide
from runtime.frame import Result, SharedFrame

_NS = 1e9
_LEAD = 2

HOUR_S = 3600.0
DAY_HOURS = 24.0

PAUSE_STEPS = 10
"""Frames further apart than this multiple of the usual step have a pause between them, whose time does not count."""


def _nothing() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A contiguous stretch of a recording of the normal scene.

    Attributes:
        seconds: time of each frame on the recording's own clock, float64 [frames], ascending.
        scores: of each frame, float64 [frames].
        repeated: the frame is identical to the one before it, bool [frames]: it is no further evidence.
        calibration: scores of those of its pictures that may set the threshold, float64 [pictures].
    """

    seconds: NDArray[np.float64]
    scores: NDArray[np.float64]
    repeated: NDArray[np.bool_]
    calibration: NDArray[np.float64] = field(default_factory=_nothing)

    @property
    def hours(self) -> float:
        """Duration without pauses."""
        steps = np.diff(self.seconds)
        if not len(steps):
            return 0.0
        usual = float(np.median(steps))
        return float(steps[steps <= PAUSE_STEPS * usual].sum() + usual) / HOUR_S


def starts(stretch: Stretch, threshold: float, alerts: Alerts) -> list[int]:
    """Return the first frame of each alert that the runtime would publish for this stretch, with none open before it.

    Frames that cannot change anything are left out: repeated ones, and quiet ones while there is no alert and no
    candidate for one, but for the last `_LEAD` of them, from which the frame rate is known.
    """
    decide = Decide(alerts, threshold)
    places = np.flatnonzero(~stretch.repeated)
    times_ns = np.round(stretch.seconds[places] * _NS).astype(np.int64)
    scores = stretch.scores[places]  # no list of them: a burn-in has millions, of which few are looked at
    over = np.flatnonzero(scores > decide.threshold)
    begun: list[int] = []
    at = 0
    while at < len(scores):
        if decide.peak_frame_id is None:
            after = int(np.searchsorted(over, at))
            if after == len(over):
                break
            at = max(at, int(over[after]) - _LEAD) if over[after] > at else at
        place = int(places[at])
        frame = SharedFrame(1, 0, None, place, t_capture_ns=place, t_mono_ns=int(times_ns[at]))
        alert = decide(frame, Result(value=float(scores[at]))).alert
        if alert is not None and alert.phase == "start":
            begun.append(alert.t_start_ns)
        at += 1
    return begun


def count(stretches: list[Stretch], threshold: float, alerts: Alerts) -> int:
    """Return the number of alerts in all stretches; each begins with none open."""
    return sum(len(starts(stretch, threshold, alerts)) for stretch in stretches)


def frame_rate(stretches: list[Stretch]) -> float:
    """Return the usual number of frames per second."""
    steps = np.concatenate([np.diff(stretch.seconds) for stretch in stretches])
    usual = float(np.median(steps)) if len(steps) else 0.0
    return 1 / usual if usual > 0 else 0.0
