"""From the scores of a burn-in to a threshold for a wanted number of false alerts a day, with the evidence.

Nobody has looked at what was in view. What is far above all other scores is set aside: it is taken for something that
an alert is for, and does not set the threshold. All else is taken for normal. Both is said, with the times.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts
from edge_config.wire.burn_in import MAX_NAMED, Aside, Proposal
from runtime.burnin.scores import Segment
from runtime.learning.gate.refuse_threshold import MAX_GROWTH
from runtime.learning.normals.foreign import count_foreign
from runtime.learning.promise.choose import ThresholdChoice, choose_threshold
from runtime.learning.promise.count import PAUSE_STEPS, Stretch
from runtime.learning.promise.cross_fit import judge
from runtime.learning.promise.evidence import MIN_JUDGED_S, MIN_STRETCHES, chosen, counted
from runtime.learning.promise.tail import MIN_PEAKS

PARTS = 8
"""Number of contiguous parts of the watched time, each judged by the threshold that the others set."""

BLOCK_S = 60.0
"""The highest scores of blocks of this length, seconds, are compared to find what is far above all others."""

AROUND_S = 30.0
"""Beside a score that is set aside the frames of this time, seconds, are set aside too: someone comes into view."""

MAX_UPPER = 10.0
"""Maximum ratio of the 95 % bound to the wanted number. For one alert a day it is about 2.3 after 24 hours, 5 after 4,
10 after one hour, and 30 after ten minutes."""

_HOUR_S = 3600.0


class Judging(NamedTuple):
    """By what scores are judged.

    Attributes:
        wanted: number of false alerts a day.
        alerts: settings that alerts are counted with, `min_ms` among them; their threshold does not count.
        was: threshold of the bundle.
        golden: scores of the bundle's golden frames.
    """

    wanted: float
    alerts: Alerts
    was: float
    golden: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A contiguous part of a segment; as of `Segment`."""

    wall_s: float
    stretch: Stretch


def evaluate(segments: Sequence[Segment], judging: Judging) -> Proposal:
    """Return the threshold by which the wanted number of false alerts a day is kept, and the evidence.

    Args:
        segments: what was watched; without a frame there is no threshold.
        judging: by what it is judged.
    """
    level = _foreign_level(segments)
    parts, aside = _split(segments, level)
    watched = sum(part.stretch.hours for part in parts)
    base = _described(segments, watched, judging)
    base = msgspec.structs.replace(base, aside=tuple(aside[:MAX_NAMED]), asides=len(aside))
    if watched * _HOUR_S < MIN_JUDGED_S or len(parts) < MIN_STRETCHES:
        short = f"{watched * 60:.1f} minutes were watched, and {MIN_JUDGED_S / 60:g} are the least"
        return msgspec.structs.replace(base, problems=(short,))
    stretches, alerts = [part.stretch for part in parts], msgspec.structs.replace(judging.alerts, threshold=None)
    choice = choose_threshold(stretches, judging.wanted, alerts)
    judged = judge(stretches, lambda others: (choose_threshold(others, judging.wanted, alerts).threshold, alerts))
    promise = chosen(counted(stretches, judged), choice, judging.wanted)
    at = [_clock(part.wall_s + second) for part, one in zip(parts, judged, strict=True) for second in one.at_s]
    of_all = choose_threshold([one.stretch for one in _split(segments, None)[0]], judging.wanted, alerts).threshold
    return msgspec.structs.replace(
        base,
        threshold=choice.threshold,
        threshold_of_all=of_all if aside else None,
        basis=promise.basis,
        alerts_a_day=promise.alerts_a_day,
        upper=promise.upper,
        alerts=promise.alerts,
        alerts_at=tuple(at[:MAX_NAMED]),
        problems=tuple(_problems(choice, promise.upper, judging)),
    )


def _described(segments: Sequence[Segment], watched: float, judging: Judging) -> Proposal:
    """Return what was watched, without a threshold."""
    first = segments[0].wall_s if segments else 0.0
    last = segments[-1].wall_s + float(segments[-1].seconds[-1]) if segments else 0.0
    steps = np.concatenate([np.diff(one.seconds) for one in segments]) if segments else np.empty(0)
    usual = float(np.median(steps)) if len(steps) else 0.0
    pauses = [float(one) for one in steps[steps > PAUSE_STEPS * usual]]
    pauses += [
        after.wall_s - (before.wall_s + float(before.seconds[-1])) for before, after in itertools.pairwise(segments)
    ]
    return Proposal(
        bundle="",
        since=_clock(first),
        until=_clock(last),
        hours=watched,
        gaps=len(pauses),
        gap_hours=sum(max(0.0, pause) for pause in pauses) / _HOUR_S,
        fps=1 / usual if usual > 0 else 0.0,
        frames=sum(len(one.scores) for one in segments),
        was=judging.was,
        wanted=judging.wanted,
        alert_settings=msgspec.to_builtins(judging.alerts),
    )


def _foreign_level(segments: Sequence[Segment]) -> float | None:
    """Return the score above which all are foreign: far above all others; None if none are."""
    blocks: list[NDArray[np.float64]] = []
    for segment in segments:
        number = (segment.seconds / BLOCK_S).astype(np.int64)
        blocks.append(np.maximum.reduceat(segment.scores, np.flatnonzero(np.diff(number, prepend=-1))))
    highest = np.sort(np.concatenate(blocks)) if blocks else np.zeros(1)
    foreign = count_foreign(highest)
    return float(highest[-foreign - 1]) if foreign else None


def _split(segments: Sequence[Segment], level: float | None) -> tuple[list[_Part], list[Aside]]:
    """Return contiguous parts without what is over a level, and what that is."""
    long_s = sum(float(one.seconds[-1]) for one in segments) / PARTS
    parts: list[_Part] = []
    aside: list[Aside] = []
    for segment in segments:
        kept = np.ones(len(segment.scores), dtype=bool)
        if level is not None:
            kept, own = _set_aside(segment, level)
            aside += own
        last_s = float(segment.seconds[-1]) - long_s / 2  # the rest goes with the last part
        bounds = np.arange(long_s, last_s, long_s) if long_s > 0 else np.empty(0)
        ends = [*np.searchsorted(segment.seconds, bounds).tolist(), len(kept)]
        for begin, end in itertools.pairwise([0, *ends]):
            whole = slice(begin, end)
            place = whole if kept[whole].all() else begin + np.flatnonzero(kept[whole])
            seconds, scores = segment.seconds[place], segment.scores[place]
            if len(scores) > 1:  # one alone has no duration
                parts.append(_Part(segment.wall_s, Stretch(seconds, scores, np.zeros(len(scores), dtype=bool))))
    return parts, aside


def _set_aside(segment: Segment, level: float) -> tuple[NDArray[np.bool_], list[Aside]]:
    """Return which frames are kept, bool [frames], and what is set aside of a segment."""
    kept, found = np.ones(len(segment.scores), dtype=bool), []
    high = np.flatnonzero(segment.scores > level)
    if not len(high):
        return kept, []
    at = segment.seconds
    for group in np.split(high, np.flatnonzero(np.diff(at[high]) > 2 * AROUND_S) + 1):
        first, last = at[group[0]], at[group[-1]]
        kept[np.searchsorted(at, first - AROUND_S) : np.searchsorted(at, last + AROUND_S, side="right")] = False
        peak = float(segment.scores[group].max())
        found.append(Aside(at=_clock(segment.wall_s + first), seconds=round(float(last - first), 3), peak=peak))
    return kept, found


def _problems(choice: ThresholdChoice, upper: float, judging: Judging) -> list[str]:
    """Return what speaks against a threshold."""
    problems, after, was = [], choice.threshold, judging.was
    if choice.tail is not None and len(choice.tail.levels) < MIN_PEAKS:
        problems.append(
            f"only {len(choice.tail.levels)} peaks of the score to extrapolate from, {MIN_PEAKS} are needed"
        )
    if upper > MAX_UPPER * judging.wanted:
        short = f"more than {MAX_UPPER:g} times the wanted number"
        problems.append(f"{upper:.0f} false alerts a day cannot be excluded, {short}: watch for longer")
    if was > 0 and after > MAX_GROWTH * was:
        grown = f"{after / was:.1f} times that of the bundle (at most {MAX_GROWTH:g} are expected)"
        problems.append(f"the threshold would be {after:.4g}, {grown}: something that is not normal may have set it")
    if lost := [one for one in judging.golden if was < one <= after]:
        problems.append(f"a golden fault of the bundle, score {min(lost):.4g}, would not be found any more")
    return problems


def _clock(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, timezone.utc).isoformat(timespec="seconds")
