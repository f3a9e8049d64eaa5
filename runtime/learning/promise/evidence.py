"""From judged stretches to what can be promised of false alerts a day."""

from __future__ import annotations

import msgspec

from edge_config.bundle.calibration import AlertsPromise
from runtime.learning.promise.bound import upper_bound
from runtime.learning.promise.choose import ThresholdChoice
from runtime.learning.promise.count import DAY_HOURS, Stretch, frame_rate
from runtime.learning.promise.cross_fit import JudgedStretch

MIN_JUDGED_S = 600.0
"""Normal video that must be judged: in less, no alert at all would promise no fewer than 432 a day."""

MIN_STRETCHES = 2
"""Stretches that judge each other: one alone has no other that sets its threshold."""


def counted(stretches: list[Stretch], judged: list[JudgedStretch]) -> AlertsPromise:
    """Return the promise from alerts that were counted."""
    counts, hours = [len(one.at_s) for one in judged], [one.hours for one in judged]
    return AlertsPromise(
        alerts_a_day=sum(counts) / sum(hours) * DAY_HOURS,
        upper=upper_bound(counts, hours) * DAY_HOURS,
        basis="counted",
        alerts=sum(counts),
        hours=sum(hours),
        fps=frame_rate(stretches),
    )


def chosen(promise: AlertsPromise, choice: ThresholdChoice, wanted: float) -> AlertsPromise:
    """Return the promise of a threshold that was chosen for a number of alerts a day."""
    wanted_of = msgspec.structs.replace(promise, wanted=wanted, min_ms=choice.alerts.min_ms)
    if choice.tail is None:
        return wanted_of
    return msgspec.structs.replace(
        wanted_of,
        alerts_a_day=choice.tail.rate(choice.threshold) * DAY_HOURS,
        upper=choice.tail.upper(choice.threshold) * DAY_HOURS,
        basis="extrapolated",
    )
