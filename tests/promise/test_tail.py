"""Rates of alerts beyond what a recording holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import genpareto

from edge_config.settings.sections import Alerts
from runtime.learning.promise.choose import choose, choose_threshold
from runtime.learning.promise.count import Stretch, count
from runtime.learning.promise.tail import Tail, find_tail, fit_pareto, survival

MANY = 20_000
SHAPE_ERROR, SCALE_ERROR = 0.05, 0.06
"""Some four standard errors of the moments with so many samples."""


@pytest.mark.parametrize("shape", [0.0, 0.1, 0.25])
def test_pareto_tail_is_recovered(shape: float):
    """Shape and scale of many samples of scipy's generalised Pareto distribution are found again."""
    samples = genpareto.rvs(shape, scale=3.0, size=MANY, random_state=np.random.default_rng(1))
    found, scale = fit_pareto(np.asarray(samples))
    assert found == pytest.approx(shape, abs=SHAPE_ERROR)
    assert scale == pytest.approx(3.0, rel=SCALE_ERROR)


def test_bounded_tail_is_taken_for_an_exponential_one():
    """Samples that have an upper end do not promise that no alert ever lies beyond it: the tail is the safe one."""
    samples = genpareto.rvs(-0.4, scale=3.0, size=MANY, random_state=np.random.default_rng(1))
    shape, scale = fit_pareto(np.asarray(samples))
    assert (shape, scale) == (0.0, pytest.approx(samples.mean()))


@pytest.mark.parametrize("shape", [0.0, 0.3])
@pytest.mark.parametrize("over", [0.0, 0.5, 20.0])
def test_survival_is_scipys(shape: float, over: float):
    """The probability to exceed a value is that of scipy's distribution."""
    assert survival(over, shape, 2.0) == pytest.approx(genpareto.sf(over, shape, scale=2.0))


def test_threshold_and_rate_belong_together():
    """Over the threshold for a rate exactly this rate is expected, and the bound is above it."""
    random = np.random.default_rng(2)
    levels = 10 + random.exponential(2.0, 50)
    tail = Tail(10.0, levels, 0.5, *fit_pareto(levels - 10))
    for rate in (50.0, 1.0, 1 / 24):
        assert tail.rate(tail.threshold(rate)) == pytest.approx(rate)
        assert tail.upper(tail.threshold(rate)) > rate
    assert tail.threshold(1e9) == tail.base


def spikes(hours: float, seed: int) -> Stretch:
    """Make scores of 5 frames a second with 60 spikes an hour, each of 4 frames, exponential above 10."""
    random = np.random.default_rng(seed)
    frames = round(hours * 3600 * 5)
    scores = random.uniform(1, 5, frames)
    for start in random.choice(frames // 40, round(60 * hours), replace=False) * 40:
        scores[start : start + 4] = 10 + random.exponential(2.0)
    return Stretch(np.arange(frames) / 5, scores, np.zeros(frames, dtype=bool))


def test_levels_are_the_heights_of_the_peaks():
    """Each spike is a peak, whose level is its height, to the grid of thresholds that are tried."""
    stretch = spikes(0.5, 3)
    tail = find_tail([stretch], Alerts())
    heights = np.unique(stretch.scores[stretch.scores >= 10])[::-1]
    assert np.abs(tail.levels[: len(heights)] - heights).max() <= (heights[0] - tail.base) / 16


@pytest.mark.slow
def test_extrapolated_number_of_alerts_comes_true():
    """Of a quarter of an hour the threshold for 48 alerts a day is chosen; in 2 hours of the same, 4 are expected.

    A safe tail gives fewer; the error of a rate that 15 spikes give at a thirtieth of it is a factor of six.
    """
    choice = choose_threshold([spikes(0.25, 6)], 48, Alerts())
    assert count([spikes(2, 7)], choice.threshold, choice.alerts) <= 6 * 4


def test_longer_video_is_counted():
    """Where there are hours enough for the wanted number, nothing is extrapolated, and the count keeps to it."""
    stretch = spikes(0.5, 4)
    choice = choose_threshold([stretch], 24 * 20, Alerts())
    assert choice.tail is None
    assert count([stretch], choice.threshold, choice.alerts) <= 10


def test_choice_is_deterministic():
    """The same recording gives the same threshold, duration and bound."""
    first, second = (choose_threshold([spikes(0.25, 1)], 24, Alerts()) for _ in range(2))
    assert (first.threshold, first.alerts) == (second.threshold, second.alerts)
    assert first.tail is not None
    assert second.tail is not None
    assert first.tail.upper(first.threshold) == second.tail.upper(second.threshold)


@pytest.mark.slow
def test_longer_duration_is_chosen_where_short_peaks_set_the_threshold():
    """Where all high scores last less than half a second, a least duration of half a second spares the threshold."""
    stretch = spikes(0.25, 5)  # 4 frames last 0.6 s
    scores = stretch.scores.copy()
    over = np.flatnonzero(scores >= 10)
    scores[over[2::4]], scores[over[3::4]] = 3.0, 3.0  # 2 frames last 0.2 s
    choice = choose([Stretch(stretch.seconds, scores, stretch.repeated)], 24)
    assert choice.alerts.min_ms is not None
    assert choice.alerts.min_ms >= 500
    assert choice.threshold < 10
