"""What holds of alerts whatever the scores, the times and the settings are."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from edge_config.settings.sections import Alerts
from runtime.alerts.decide import MAX_WAIT_FACTOR, NEAR_FACTOR, SHORT_FACTOR, UPDATE_SHARE, WAIT_FACTOR, Decide
from runtime.frame import Alert, Result, SharedFrame

THRESHOLD = 10.0
MS = 1_000_000
SUSTAINED = 40
"""Frames that are certainly more than any minimum drawn here."""


class Seen(NamedTuple):
    """A frame that was scored: its number, its time in ms, its score."""

    number: int
    ms: int
    score: float


class Told(NamedTuple):
    """What was told of an alert: with which frame (the one after the last where it was closed), at which time."""

    number: int
    ms: int
    alert: Alert


SETTINGS = st.builds(
    Alerts,
    threshold=st.just(THRESHOLD),
    hysteresis=st.sampled_from([0.0, 0.2, 0.5]),
    min_frames=st.integers(1, 4),
    min_ms=st.sampled_from([0, 1, 30, 100]),
    merge_ms=st.sampled_from([0, 1, 40, 150]),
    cooldown_ms=st.sampled_from([0, 1, 60, 300]),
    update_ms=st.sampled_from([0, 1, 50, 1000]),
)
SCORES = st.one_of(
    st.sampled_from([None, math.nan, 0.0, 4.9, 5.0, 8.0, 9.0, THRESHOLD, 10.1, 11.0, 12.0, 20.0, math.inf]),
    st.floats(0, 30),
)
FRAMES = st.lists(st.tuples(st.sampled_from([0, 1, 10, 29, 30, 40, 100]), SCORES), max_size=60)
"""Milliseconds since the frame before, and the score."""


def decide_on(alerts: Alerts, frames: list[tuple[int, float | None]]) -> list[Told]:
    """Return what a camera tells of these frames, to its end."""
    decide = Decide(alerts, threshold=-1.0)
    told, now = [], 0
    for number, (apart, score) in enumerate(frames, start=1):
        now += apart
        result = Result(value=score, boxes=((number, 0, 1, 1),), peak_xy=(number, 0))
        decision = decide(SharedFrame(1, 0, None, number, now * MS + 5, now * MS), result)
        known = score is not None and not math.isnan(score)
        assert decision.label == ("unknown" if not known else "anomalous" if score > THRESHOLD else "normal")
        if decision.alert is not None:
            assert known
            told.append(Told(number, now, decision.alert))
    if (last := decide.close("the end")) is not None:
        told.append(Told(len(frames) + 1, now, last))
    assert decide.close("the end") is None
    return told


def scored(frames: list[tuple[int, float | None]]) -> list[Seen]:
    """Return the frames that were scored."""
    now, seen = 0, []
    for number, (apart, score) in enumerate(frames, start=1):
        now += apart
        if score is not None and not math.isnan(score):
            seen.append(Seen(number, now, score))
    return seen


def is_quiet(alerts: Alerts, one: Seen) -> bool:
    return one.score <= THRESHOLD * (1 - alerts.hysteresis)


def candidate(alerts: Alerts, seen: list[Seen], after: int, at: int) -> list[Seen]:
    """Return the frames that lead to frame `at`: the first is over it, and from it on quiet never prevails."""
    lead: list[Seen] = []
    for one in seen[after : at + 1]:
        if lead or one.score > THRESHOLD:
            lead.append(one)
        quiet_ms = one.ms - max((before.ms for before in lead if not is_quiet(alerts, before)), default=one.ms)
        over = sum(before.score > THRESHOLD for before in lead)
        prevails = sum(is_quiet(alerts, before) for before in lead) > over
        if is_quiet(alerts, one) and (prevails or quiet_ms >= alerts.merge_ms):
            lead = []
    return lead


def begins(alerts: Alerts, seen: list[Seen], after: int, ended_ms: float) -> tuple[int, list[Seen]] | None:
    """Find where the next alert must begin, and the frames that lead to it."""
    for at in range(after, len(seen)):
        lead = candidate(alerts, seen, after, at)
        if not lead or seen[at].score <= THRESHOLD:
            continue
        enough = sum(one.score > THRESHOLD for one in lead) >= alerts.min_frames
        long = seen[at].ms - lead[0].ms >= alerts.min_ms
        if enough and long and seen[at].ms - ended_ms >= alerts.cooldown_ms:
            return at, lead
    return None


def longest_gap(alerts: Alerts, during: list[Seen]) -> int:
    """Return the longest time between two neighbours of the frames not quiet, with a quiet one between."""
    places = [place for place, one in enumerate(during) if not is_quiet(alerts, one)]
    return max((during[b].ms - during[a].ms for a, b in itertools.pairwise(places) if b > a + 1), default=0)


def ends(alerts: Alerts, seen: list[Seen], first: int, start: int, gap_before: int) -> tuple[int, int]:
    """Find where an alert must end, the number of the frames if nowhere; and its longest gap until then."""
    gap = gap_before
    for at in range(start, len(seen)):
        last = max(place for place in range(start, at + 1) if place == start or not is_quiet(alerts, seen[place]))
        gap = max(gap_before, longest_gap(alerts, seen[first : last + 1]))
        wait = max(alerts.merge_ms, min(WAIT_FACTOR * gap, MAX_WAIT_FACTOR * alerts.merge_ms))
        if is_quiet(alerts, seen[at]) and seen[at].ms - seen[last].ms >= wait:
            return at, gap
    return len(seen), gap


def wanted(alerts: Alerts, frames: list[tuple[int, float | None]]) -> list[tuple[int, str, float, int, int]]:
    """Return frame, phase, peak, its frame and the start (ms) of all that must be told, by looking at the whole run."""
    seen, found, after, ended_ms = scored(frames), [], 0, -math.inf
    before: tuple[Seen, Seen, int] | None = None  # first and last frame of the alert before, and its longest gap
    while (start := begins(alerts, seen, after, ended_ms)) is not None:
        at, lead = start
        first = seen.index(lead[0])
        gap = 0
        if before is not None and before[1].ms - before[0].ms < SHORT_FACTOR * alerts.merge_ms:
            apart = lead[0].ms - before[1].ms
            gap = max(apart, before[2]) if apart < NEAR_FACTOR * alerts.merge_ms else 0
        end, gap = ends(alerts, seen, first, at, gap)
        told_ms, told_peak = -math.inf, -1.0
        for place in range(at, end):
            peak = max(one.score for one in seen[first : place + 1])
            rest_ms = max(alerts.update_ms, UPDATE_SHARE * (told_ms - lead[0].ms))
            new = place == at or (peak > told_peak and seen[place].ms - told_ms >= rest_ms)
            if new and not is_quiet(alerts, seen[place]):
                found.append(place_told(seen, first, place, seen[place].number, "start" if place == at else "update"))
                told_ms, told_peak = seen[place].ms, peak
        number = seen[end].number if end < len(seen) else len(frames) + 1
        found.append(place_told(seen, first, min(end, len(seen) - 1), number, "end"))
        if end == len(seen):
            break
        last = max(place for place in range(first, end) if not is_quiet(alerts, seen[place]))
        before = lead[0], seen[last], gap
        after, ended_ms = end, seen[end].ms
    return found


def place_told(seen: list[Seen], first: int, last: int, number: int, phase: str) -> tuple[int, str, float, int, int]:
    peak = max(seen[first : last + 1], key=lambda one: one.score)  # the first of equals
    return number, phase, peak.score, peak.number, seen[first].ms


@pytest.mark.slow
@given(alerts=SETTINGS, frames=FRAMES)
@settings(deadline=None, max_examples=600)
def test_alerts_are_those_that_a_look_at_the_whole_run_gives(alerts: Alerts, frames: list[tuple[int, float | None]]):
    """Every start, update and end comes with the frame, and tells the peak and the beginning, that plain loops find."""
    told = decide_on(alerts, frames)
    found = [
        (number, alert.phase, alert.peak_score, alert.peak_frame_id, (alert.t_start_ns - 5) // MS)
        for number, _, alert in told
    ]
    assert found == wanted(alerts, frames)
    for _, _, alert in told:
        assert alert.boxes == ((alert.peak_frame_id, 0, 1, 1),)
        assert alert.peak_frame_xy == (alert.peak_frame_id, 0)


@pytest.mark.slow
@given(alerts=SETTINGS, frames=FRAMES)
@settings(deadline=None, max_examples=300)
def test_alerts_begin_once_end_once_and_keep_their_distances(alerts: Alerts, frames: list[tuple[int, float | None]]):
    """No alert overlaps another; each is long enough, told of no too often, and begins not too soon after the last."""
    open_id, ids, ended_ms, told_ms = None, set(), -math.inf, -math.inf
    by_number = {one.number: one for one in scored(frames)}
    for number, ms, alert in decide_on(alerts, frames):
        if alert.phase == "start":
            assert open_id is None
            assert alert.alert_id not in ids
            assert ms - ended_ms >= alerts.cooldown_ms
            inside = [one for one in by_number.values() if alert.t_start_ns - 5 <= one.ms * MS and one.number <= number]
            assert sum(one.score > THRESHOLD for one in inside) >= alerts.min_frames
            assert ms * MS - (alert.t_start_ns - 5) >= alerts.min_ms * MS
            open_id = alert.alert_id
            ids.add(open_id)
        assert alert.alert_id == open_id
        if alert.phase == "update":
            assert ms - told_ms >= alerts.update_ms
        if alert.phase == "end":
            assert alert.reason == ("the end" if number > len(frames) else "normal again")
            open_id, ended_ms = None, ms
        else:
            assert not alert.reason
        told_ms = ms
    assert open_id is None


@pytest.mark.slow
@given(
    alerts=SETTINGS,
    before=FRAMES,
    step=st.integers(10, 50),
    scores=st.lists(st.floats(THRESHOLD, 30, exclude_min=True), min_size=SUSTAINED, max_size=SUSTAINED),
)
@settings(deadline=None, max_examples=200)
def test_sustained_anomaly_always_gives_an_alert(
    alerts: Alerts, before: list[tuple[int, float | None]], step: int, scores: list[float]
):
    """Whatever was before, frames over the threshold for longer than all minima and the cool-down are in an alert."""
    frames = [*before, *((step, score) for score in scores)]
    told = decide_on(alerts, frames)
    assert told
    assert (told[-1].alert.phase, told[-1].alert.reason) == ("end", "the end")
    assert told[-1].alert.peak_score >= max(scores)
