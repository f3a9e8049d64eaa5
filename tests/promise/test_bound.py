"""Upper bounds of a rate from counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, norm, t

from runtime.learning.promise.bound import dispersion, garwood, upper_bound
from runtime.learning.promise.choose import NONE_SEEN

ROUNDING = 1e-9


@given(st.integers(0, 5000))
def test_bound_is_garwoods(count: int):
    """The bound is half the 95 % quantile of chi-squared with 2 (count + 1) degrees of freedom."""
    assert garwood(count) == pytest.approx(chi2.ppf(0.95, 2 * (count + 1)) / 2, rel=ROUNDING)


def test_none_seen_bounds_by_three():
    """No alert in T hours bounds them by 3 / T an hour, 72 / T a day: 1 a day needs 72 hours."""
    assert garwood(0) == pytest.approx(NONE_SEEN, abs=0.005)  # 2.996
    assert 24 * upper_bound([0, 0], [36, 36]) == pytest.approx(1, abs=0.002)


def test_even_counts_are_bounded_as_a_poisson_number():
    """Stretches that differ no more than by chance are one long stretch, but for Student's quantile, here 2.353."""
    level = norm.cdf(t.ppf(0.95, 3))
    assert upper_bound([5, 4, 6, 5], [1, 1, 1, 1]) == pytest.approx(chi2.ppf(level, 42) / 2 / 4)


def test_alerts_that_come_together_widen_the_bound():
    """Twenty alerts of one stretch out of four say less than five of each: they vary 20 times as much as by chance."""
    assert dispersion([20, 0, 0, 0], [1, 1, 1, 1]) == pytest.approx(20)  # (15² + 3 · 5²) / 5 / 3
    assert upper_bound([20, 0, 0, 0], [1, 1, 1, 1]) == pytest.approx(20 * chi2.ppf(norm.cdf(t.ppf(0.95, 3)), 4) / 2 / 4)


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0.1, 10)), min_size=1, max_size=8))
def test_bound_is_never_below_that_of_independent_alerts(seen: list[tuple[int, float]]):
    """Whatever the stretches, the bound is at least Garwood's for all of their alerts."""
    counts, hours = [count for count, _ in seen], [lasted for _, lasted in seen]
    assert upper_bound(counts, hours) >= garwood(sum(counts)) / sum(hours) * (1 - ROUNDING)
