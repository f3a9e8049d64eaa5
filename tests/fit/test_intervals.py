"""Counts of pictures: exact intervals and what a promise allows, by sums over their distributions."""

from __future__ import annotations

from math import comb, exp, lgamma

import numpy as np
import pytest
import scipy.special  # noqa: F401 - what is tested loads it late: without the workshop these tests are left out

from export.intervals import allowed, in_words, share
from runtime.learning.calibrate import calibrate

TAIL = 0.025
RELATIVE = 1e-6
"""Of a sum of a few hundred float64 terms."""


def at_least(found: int, of: int, rate: float) -> float:
    """Return the chance of at least `found` of `of` pictures, by the binomial distribution."""
    return sum(comb(of, k) * rate**k * (1 - rate) ** (of - k) for k in range(found, of + 1))


@pytest.mark.parametrize(("found", "of"), [(1, 1), (0, 5), (5, 5), (47, 50), (1, 300), (150, 300)])
def test_interval_is_that_of_clopper_and_pearson(found: int, of: int) -> None:
    """At the lower bound so many or more are seen in 2.5 % of the tests, at the upper one so many or fewer."""
    counted = share(found, of)
    assert counted.low == 0 if found == 0 else at_least(found, of, counted.low) == pytest.approx(TAIL, rel=RELATIVE)
    below = 1 - at_least(found + 1, of, counted.high)
    assert counted.high == 1 if found == of else below == pytest.approx(TAIL, rel=RELATIVE)


def test_no_pictures_say_nothing() -> None:
    """Of no pictures the share is unknown and the interval is everything."""
    nothing = share(0, 0)
    assert (nothing.rate, nothing.low, nothing.high) == (None, 0.0, 1.0)
    assert in_words(nothing) == "-"


def test_share_in_words() -> None:
    """The share, the count and the interval are said."""
    assert in_words(share(47, 50)) == "94.00% (47 of 50; 83.45% to 98.75% with 95% confidence)"


def beta_binomial(k: int, m: int, a: int, b: int) -> float:
    """Return the chance of k of m where the rate is Beta(a, b)."""

    def log_beta(x: float, y: float) -> float:
        return lgamma(x) + lgamma(y) - lgamma(x + y)

    return comb(m, k) * exp(log_beta(k + a, m - k + b) - log_beta(a, b))


@pytest.mark.parametrize(("n", "alpha", "pictures"), [(99, 0.01, 178), (52, 0.01, 20), (198, 0.05, 26), (10, 0.01, 5)])
def test_allowed_is_the_quantile_of_the_beta_binomial(n: int, alpha: float, pictures: int) -> None:
    """So many false alarms or fewer have a chance of 99 %, and one fewer has not."""
    calibration = calibrate(np.arange(n, dtype=float), alpha)
    rank = int(calibration.threshold) + 1
    most = allowed(calibration, pictures)
    chances = [beta_binomial(k, pictures, n + 1 - rank, rank) for k in range(most + 1)]
    assert sum(chances) >= 0.99 > sum(chances[:-1])
