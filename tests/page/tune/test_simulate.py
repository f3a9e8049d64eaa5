"""The simulation of alert settings, against `Decide` fed live, one frame after the other."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from edge_config.settings.sections import Alerts
from runtime.alerts.decide import Decide
from runtime.frame import Result, SharedFrame
from runtime.page.store.frames import ScoreRun
from runtime.page.tune.simulate import MAX_LISTED, Replayed, Rules, Simulation, TooLong, compare

THRESHOLD = 10.0
MS = 1_000_000
DAY_FRAMES, MINUTE_FRAMES = 24 * 3600 * 25, 60 * 25
MAX_DAY_S = 5.0
"""A day at 25 frames a second takes 1 s of processor time twice; the rest is for a machine that is busy."""

RULES = st.builds(
    Rules,
    st.builds(
        Alerts,
        threshold=st.sampled_from([None, 9.0, THRESHOLD]),
        hysteresis=st.sampled_from([0.0, 0.2, 0.5]),
        min_frames=st.one_of(st.none(), st.integers(1, 4)),
        min_ms=st.sampled_from([None, 0, 1, 30, 100]),
        merge_ms=st.sampled_from([0, 1, 40, 150]),
        cooldown_ms=st.sampled_from([0, 1, 60, 300]),
    ),
    st.just(THRESHOLD),
    st.sampled_from([None, 0, 50]),
)
SCORES = st.one_of(
    st.sampled_from([math.nan, 0.0, 1.0, 4.9, 5.0, 8.0, 9.5, THRESHOLD, 10.1, 12.0, 20.0, math.inf]), st.floats(0, 30)
)
FRAMES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 10, 30, 40, 100, 300]),
        st.one_of(SCORES, st.just(0.0)),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([0, 0, 0, 0, 0, 1]),
    ),
    max_size=150,
)
"""Milliseconds since the frame before, the score, whether the frame repeats it, whether the runtime was restarted."""

Frames = list[tuple[int, float, bool, int]]


def live(rules: Rules, frames: Frames) -> list[Replayed]:
    """Return the alerts of a device that sees all of these frames."""
    told: list[Replayed] = []
    decide, now = Decide(rules.alerts, rules.threshold), 0
    decide.bundle_min_ms = rules.min_ms
    for number, (apart, score, repeated, restarted) in enumerate(frames):
        if restarted:
            if (last := decide.close("stopped")) is not None:
                told.append(Replayed(last.t_start_ns // MS, now, last.peak_score))
            decide = Decide(rules.alerts, rules.threshold)
            decide.bundle_min_ms = rules.min_ms
        now += apart
        frame = SharedFrame(1, 0, None, number, now * MS, now * MS)
        alert = decide(frame, Result(value=None if math.isnan(score) else score, repeated=repeated)).alert
        if alert is not None and alert.phase == "end":
            told.append(Replayed(alert.t_start_ns // MS, now, alert.peak_score))
    if (last := decide.close("stopped")) is not None:
        told.append(Replayed(last.t_start_ns // MS, now, last.peak_score))
    return told


def stored(frames: Frames, size: int = 1000) -> Iterator[ScoreRun]:
    """Yield the frames as the page has stored them, in runs of at most this size; each start begins a new one."""
    columns = np.array(frames, np.float64).reshape(-1, 4)
    now, epochs = np.cumsum(columns[:, 0]).astype(np.int64) * MS, np.cumsum(columns[:, 3])
    cuts = sorted({*range(0, len(frames), size), *(np.flatnonzero(columns[:, 3]).tolist()), len(frames)})
    for begin, end in itertools.pairwise(cuts):
        part, n = slice(begin, end), end - begin
        repeated = columns[part, 2].astype(np.bool_)
        epoch = str(epochs[begin])
        yield ScoreRun(epoch, THRESHOLD, now[part], now[part], columns[part, 1], repeated, np.zeros(n, np.uint8))


@settings(max_examples=400, deadline=None)
@given(RULES, FRAMES, st.sampled_from([1, 2, 3, 7, 1000]))
def test_simulation_equals_what_the_device_does(rules: Rules, frames: Frames, size: int) -> None:
    """Whatever the scores and the settings are, and however they are cut, the alerts are those of the device."""
    expected = live(rules, frames)
    compared = compare(stored(frames, size), rules, Rules(Alerts(), math.inf))
    assert compared.now.alerts == expected
    assert compared.now.count == len(expected)
    assert compared.frames == len(frames)
    assert compared.then.count == 0


def belt(seed: int, share: float) -> Iterator[ScoreRun]:
    """Yield a day of scores at 25 frames a second, of which this share is over the threshold, for some 2 s each."""
    random = np.random.default_rng(seed)
    at_ns = np.arange(DAY_FRAMES, dtype=np.int64) * 40 * MS
    over = np.repeat(random.random(DAY_FRAMES // 50) < share, 50)
    score = random.gamma(9.0, 0.7, DAY_FRAMES).clip(0, 9.9) + over * 5.0
    no, live_ = np.zeros(MINUTE_FRAMES, np.bool_), np.ones(MINUTE_FRAMES, np.uint8)
    for at in range(0, DAY_FRAMES, MINUTE_FRAMES):
        part = slice(at, at + MINUTE_FRAMES)
        yield ScoreRun("a", THRESHOLD, at_ns[part], at_ns[part], score[part], no, live_)


@pytest.mark.slow
@pytest.mark.alone
def test_a_day_is_quick_and_lists_have_a_bound() -> None:
    """A day with a hundred alerts now and thousands then takes moments; all are counted, and a thousand are listed."""
    scores, began = belt(1, 0.04), time.process_time()
    now, then = Rules(Alerts(cooldown_ms=600_000), THRESHOLD), Rules(Alerts(), THRESHOLD)
    compared = compare(scores, now, then, max_seconds=60)
    assert time.process_time() - began < MAX_DAY_S
    assert 50 < compared.now.count < MAX_LISTED < compared.then.count
    assert len(compared.then.alerts) == MAX_LISTED
    assert (compared.first_ms, compared.last_ms, compared.frames) == (0, (DAY_FRAMES - 1) * 40, DAY_FRAMES)


def test_simulation_that_takes_too_long_says_so() -> None:
    """After its time-out a simulation ends with an error."""
    with pytest.raises(TooLong):
        Simulation(Rules(Alerts(), 1.0), until_s=0.0).feed(next(stored([(40, 2.0, False, 0)])))


def test_clock_that_goes_back_is_no_error() -> None:
    """A damaged series, with a clock that jumps back by an hour, is replayed as if it stood still."""
    (run,) = stored([(40, 20.0, False, 0)] * 50)
    run.clock_ns[25:] -= 3_600_000 * MS
    simulation = Simulation(Rules(Alerts(), THRESHOLD))
    simulation.feed(run)
    simulation.end()
    assert simulation.count == 1
