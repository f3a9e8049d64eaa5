"""Alerts counted where they are no surprise to the threshold: each stretch is judged by one that the others set.

Above a threshold that a stretch has set itself it cannot score. Frames of one video are alike, so whole contiguous
stretches judge, never single frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_config.settings.sections import Alerts
from runtime.learning.promise.count import Stretch, starts

Rule = Callable[[list[Stretch]], tuple[float, Alerts]]
"""From the stretches that set them to a threshold, and the settings that alerts are counted with."""


@dataclass(frozen=True, slots=True)
class JudgedStretch:
    """What one stretch gives by the threshold of the others.

    Attributes:
        threshold: set by the other stretches.
        hours: duration of the stretch, hours.
        at_s: when its alerts start, seconds on the recording's clock.
    """

    threshold: float
    hours: float
    at_s: tuple[float, ...]


def judge(stretches: Sequence[Stretch], rule: Rule) -> list[JudgedStretch]:
    """Judge every stretch by what the others set; at least two are needed."""
    judged = []
    for number, stretch in enumerate(stretches):
        threshold, alerts = rule([*stretches[:number], *stretches[number + 1 :]])
        at_s = tuple(float(stretch.seconds[place]) for place in starts(stretch, threshold, alerts))
        judged.append(JudgedStretch(threshold, stretch.hours, at_s))
    return judged
