"""Choose threshold and least duration of an alert for a number of false alerts a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts
from runtime.alerts.decide import MIN_MS
from runtime.learning.promise.bound import garwood
from runtime.learning.promise.count import DAY_HOURS, Stretch, count
from runtime.learning.promise.tail import Tail, find_tail

NONE_SEEN = 3.0
"""Upper bound, with 95 % confidence, of the number of alerts in a time in which none was seen."""

DURATIONS_MS = (MIN_MS, 500, 1000, 2000)
"""Least durations of an alert, milliseconds, the default first. A longer one hides what is in view for less."""

WORTH = 0.9
"""A longer duration is taken if the threshold comes nearer to the median score, to this share of its distance."""


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A threshold, and what it was chosen by.

    Attributes:
        threshold: scores above it are anomalous.
        alerts: settings with the least duration of an alert.
        tail: what was extrapolated by; None if the video is long enough to count.
    """

    threshold: float
    alerts: Alerts
    tail: Tail | None


def choose(stretches: Sequence[Stretch], wanted: float) -> ThresholdChoice:
    """Choose the shortest duration by which the threshold need not be much higher than by a longer one.

    Args:
        stretches: normal video; all of its frames set the threshold.
        wanted: number of alerts a day.
    """
    settings = [Alerts(min_ms=ms) for ms in DURATIONS_MS]
    choices = [choose_threshold(stretches, wanted, alerts) for alerts in settings]
    middle = float(np.median(np.concatenate([stretch.scores for stretch in stretches])))
    best = choices[0]
    for choice in choices[1:]:
        if choice.threshold - middle < WORTH * (best.threshold - middle):
            best = choice
    return best


def choose_threshold(stretches: Sequence[Stretch], wanted: float, alerts: Alerts) -> ThresholdChoice:
    """Choose the threshold by the duration in these settings; arguments as of `choose`."""
    hours = sum(stretch.hours for stretch in stretches)
    if wanted * hours / DAY_HOURS >= NONE_SEEN:
        return ThresholdChoice(_counted(list(stretches), wanted * hours / DAY_HOURS, alerts), alerts, None)
    tail = find_tail(stretches, alerts)
    return ThresholdChoice(tail.threshold(wanted / DAY_HOURS), alerts, tail)


def _counted(stretches: list[Stretch], most: float, alerts: Alerts) -> float:
    """Return the lowest score over which so few alerts start that their number is `most` at most, with confidence."""
    scores: NDArray[np.float64] = np.unique(np.concatenate([stretch.scores for stretch in stretches]))
    low, high, step = len(scores) - 1, len(scores) - 1, 1  # over the highest score there is no alert
    while low > 0 and garwood(count(stretches, float(scores[low]), alerts)) <= most:  # far below, all alerts are one
        low, high, step = max(0, low - step), low, 2 * step
    while low + 1 < high:
        middle = (low + high) // 2
        if garwood(count(stretches, float(scores[middle]), alerts)) > most:
            low = middle
        else:
            high = middle
    return float(scores[high])
