"""What is said of false alerts a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from edge_config.bundle.manifest import AlertsPromise
from edge_config.bundle.promise import CONFIDENCE
from runtime.learning.promise.choose import NONE_SEEN
from runtime.learning.promise.count import DAY_HOURS, HOUR_S

ONE_A_DAY = f"1 a day needs {NONE_SEEN * DAY_HOURS:.0f} hours"
"""An hour without an alert bounds their number by 3 an hour."""

_MINUTE_S, _YEAR_S = 60.0, 365 * 86_400.0
_MOMENTS, _SMALL = 5, 10


def promised(promise: AlertsPromise) -> str:
    """Return the promise on one line, and what it is from."""
    rate = f"false alerts a day at {promise.fps:.3g} frames a second"
    most = f"at most {number(promise.upper)} {rate} ({CONFIDENCE:.0%})"
    video = f"{duration(promise.hours * HOUR_S)} of normal video"
    if promise.basis == "extrapolated":
        seen = f"{promise.alerts} seen in {video}"
        expected = f"{number(promise.alerts_a_day)} {rate} expected, at most {number(promise.upper)} ({CONFIDENCE:.0%})"
        return f"{expected}: an extrapolation beyond the video ({seen}); to count them, {ONE_A_DAY}"
    return f"{most}, {promise.alerts} counted in {video}; {ONE_A_DAY}"


def least_duration(promise: AlertsPromise) -> str:
    """Return what the bundle says of the duration of an alert; empty if it says nothing."""
    return "" if promise.min_ms is None else f"an alert must last {promise.min_ms} ms, unless `alerts.min_ms` is set"


def too_short(whole_s: float, judged_s: float, least_s: float) -> str:
    """Return why there is no promise."""
    held = "" if judged_s > 0.99 * whole_s else f" ({duration(judged_s)} of it held out)"
    return (
        f"the recording is {duration(whole_s)} long{held}: no promise a day can be made of it; "
        f"{duration(least_s)} are the least, and {ONE_A_DAY}"
    )


def too_many(frames: int, fps: float, most: int) -> str:
    """Return why alerts were not counted."""
    return (
        f"no promise a day: {frames} held-out frames at {fps:.3g} a second are too many to score unasked "
        f"({most} at most); --alerts-per-day N has all of them scored"
    )


def duration(seconds: float) -> str:
    """Return a time in its usual unit."""
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE_S:.0f} minutes" if seconds < 2 * HOUR_S else f"{seconds / HOUR_S:.3g} hours"


def moments(at_s: Sequence[float]) -> str:
    """Return the first few times of a recording: of a video from its start, of recorded pictures in UTC."""
    shown = ", ".join(_moment(one) for one in at_s[:_MOMENTS])
    return f"{shown} and {len(at_s) - _MOMENTS} more" if len(at_s) > _MOMENTS else shown


def _moment(at_s: float) -> str:
    if at_s >= _YEAR_S:
        return datetime.fromtimestamp(at_s, timezone.utc).isoformat(timespec="seconds")
    return str(timedelta(seconds=round(at_s)))


def number(value: float) -> str:
    """Return a number of alerts with two or three digits."""
    return f"{value:.2g}" if value < _SMALL else f"{value:,.0f}"
