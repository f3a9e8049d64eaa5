"""From a recording of the normal scene to a promise of false alerts a day, and to a threshold for a wanted number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.calibration import AlertsPromise
from edge_config.errors import UsageError
from edge_config.settings.sections import Alerts
from runtime.frame import Image, Score
from runtime.learning.pictures.clock import read_timed, times_of
from runtime.learning.pictures.images import Pictures
from runtime.learning.progress import progress
from runtime.learning.promise import words
from runtime.learning.promise.choose import choose, choose_threshold
from runtime.learning.promise.count import Stretch
from runtime.learning.promise.cross_fit import judge
from runtime.learning.promise.evidence import MIN_JUDGED_S, MIN_STRETCHES, chosen, counted
from runtime.learning.promise.tail import MIN_PEAKS

MAX_FRAMES = 15_000
"""Maximum number of frames that are scored unasked: ten minutes at 25 frames a second, 50 minutes at 5."""

NEEDS_TIME = "give a video, or a folder that `patchedge record` wrote: the names of its pictures hold their time"


class PromisedAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of false alerts a day.

    Attributes:
        promise: for the manifest; None if none can be made.
        text: what there is to say on one line; empty if the pictures have no time.
        threshold: chosen for the wanted number of alerts a day; None without one.
        at_s: when the counted alerts start, seconds on the recording's clock, to be looked at: it may be no false one.
        frames: number of frames that were scored for it.
    """

    promise: AlertsPromise | None = None
    text: str = ""
    threshold: float | None = None
    at_s: tuple[float, ...] = ()
    frames: int = 0


def require_time(pictures: Pictures, wanted: float | None, share: float) -> None:
    """Refuse early to choose a threshold by pictures without time, or with too little of it.

    Args:
        pictures: the normal pictures.
        wanted: number of alerts a day; None: nothing is refused.
        share: share of the pictures that is judged, 0 to 1.

    Raises:
        UsageError: there is no time, or the recording is too short to extrapolate from.
    """
    if wanted is None:
        return
    times = times_of(pictures)
    where = pictures.source.where
    if times is None:
        raise UsageError("--alerts-per-day: the pictures have no time", where=where, remedy=NEEDS_TIME)
    length_s = _length_s(times, 0, len(times) - 1)
    if share * length_s < MIN_JUDGED_S:
        remedy = f"give {words.duration(MIN_JUDGED_S / share)} of normal video, and better hours"
        raise UsageError(
            f"--alerts-per-day: {words.too_short(length_s, share * length_s, MIN_JUDGED_S)}", where=where, remedy=remedy
        )


def promise_alerts(
    pictures: Pictures,
    groups: Sequence[Sequence[int]],
    scores: NDArray[np.float64],
    scorer: Callable[[Image], Score],
    rule: Callable[[NDArray[np.float64]], float],
    wanted: float | None = None,
) -> PromisedAlerts:
    """Count the alerts of the recording that the pictures were taken from, and choose a threshold if that is wanted.

    Args:
        pictures: after a walk.
        groups: contiguous pictures that the bank has not seen, by their place in that walk, in ascending order.
        scores: of these pictures, in this order, float64 [pictures].
        scorer: scores a picture as a device does.
        rule: from calibration scores to the threshold of the bundle.
        wanted: number of false alerts a day.

    Raises:
        UsageError: `wanted` alerts a day cannot be extrapolated from this recording.
    """
    times = times_of(pictures)
    if times is None or len(groups) < MIN_STRETCHES:
        return PromisedAlerts()
    numbers = pictures.numbers
    spans = _spans(numbers, groups)
    lengths_s = [_length_s(times, span.start, span.stop - 1) for span in spans]
    if sum(lengths_s) < MIN_JUDGED_S:
        return PromisedAlerts(text=words.too_short(_length_s(times, 0, len(times) - 1), sum(lengths_s), MIN_JUDGED_S))
    frames = sum(len(span) for span in spans)
    if wanted is None and sum(lengths_s) * MAX_FRAMES / frames < MIN_JUDGED_S:
        return PromisedAlerts(text=words.too_many(frames, frames / sum(lengths_s), MAX_FRAMES))
    if wanted is None:
        spans = [range(span.start, span.start + len(span) * MAX_FRAMES // max(frames, MAX_FRAMES)) for span in spans]
    bounds = np.cumsum([len(group) for group in groups])[:-1]
    stretches = score_stretches(pictures, spans, np.split(scores, bounds), scorer)
    return from_stretches(stretches, rule, wanted, where=pictures.source.where)


def _spans(numbers: Sequence[int], groups: Sequence[Sequence[int]]) -> list[range]:
    """Return the places, among all pictures that there are, from the first of each group to its last or to the next."""
    ends = [
        numbers[after[0]] if after and after[0] == group[-1] + 1 else numbers[group[-1]] + 1
        for group, after in zip(groups, [*groups[1:], []], strict=True)
    ]
    return [range(numbers[group[0]], end) for group, end in zip(groups, ends, strict=True)]


def score_stretches(
    pictures: Pictures,
    spans: Sequence[range],
    calibration: Sequence[NDArray[np.float64]],
    scorer: Callable[[Image], Score],
) -> list[Stretch]:
    """Score every picture in some spans of the recording: one is in memory at a time."""
    found: list[tuple[list[float], list[float], list[bool]]] = [([], [], []) for _ in spans]
    last: Image | None = None
    total = sum(len(span) for span in spans)
    for number, at_s, image in progress(read_timed(pictures, spans), "alerts", total=total, unit="frame"):
        place = next(place for place, span in enumerate(spans) if number in span)
        seconds, scores, repeated = found[place]
        same = bool(seconds) and last is not None and np.array_equal(image, last)
        scores.append(scores[-1] if same else scorer(image).value)
        seconds.append(at_s)
        repeated.append(same)
        last = image
    return [
        Stretch(np.array(seconds), np.array(scores), np.array(repeated, dtype=bool), own)
        for (seconds, scores, repeated), own in zip(found, calibration, strict=True)
    ]


def from_stretches(
    stretches: list[Stretch], rule: Callable[[NDArray[np.float64]], float], wanted: float | None, *, where: str
) -> PromisedAlerts:
    """Count the alerts of scored stretches, and choose a threshold if a number of alerts a day is wanted.

    Raises:
        UsageError: as of `promise_alerts`.
    """
    frames = sum(len(stretch.scores) for stretch in stretches)
    if wanted is None:
        judged = judge(stretches, lambda others: (rule(np.concatenate([one.calibration for one in others])), Alerts()))
        promise, choice = counted(stretches, judged), None
    else:
        choice = choose(stretches, wanted)
        if choice.tail is not None and len(choice.tail.levels) < MIN_PEAKS:
            what = f"--alerts-per-day: only {len(choice.tail.levels)} peaks of the score to extrapolate from"
            raise UsageError(f"{what} ({MIN_PEAKS} needed)", where=where, remedy="record for a longer time")
        alerts = choice.alerts
        judged = judge(stretches, lambda others: (choose_threshold(others, wanted, alerts).threshold, alerts))
        promise = chosen(counted(stretches, judged), choice, wanted)
    return PromisedAlerts(
        promise=promise,
        text=words.promised(promise),
        threshold=None if choice is None else choice.threshold,
        at_s=tuple(at_s for one in judged for at_s in one.at_s),
        frames=frames,
    )


def _length_s(times: Sequence[float], first: int, last: int) -> float:
    """Return the time from one picture to another, its own duration included."""
    usual = (times[-1] - times[0]) / max(1, len(times) - 1)
    return times[last] - times[first] + usual
