"""The quantiles of bounds, which a device computes without scipy, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from runtime.learning.promise.quantiles import (
    gamma_below,
    gamma_quantile,
    normal_below,
    student_below,
    student_quantile,
)

SAME = 1e-12
"""Relative: both are as exact as float64 allows, up to some rounding."""

SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


@pytest.mark.parametrize("count", [0, 0.3, 1, 2.5, 10, 40, 123.4, 5000])
def test_gamma(count: float) -> None:
    """Quantiles and shares of the gamma distribution are scipy's, for counts that are no whole numbers too."""
    for share in SHARES:
        found = gamma_quantile(count + 1, share)
        assert found == pytest.approx(special.gammaincinv(count + 1, share), rel=SAME)
        assert gamma_below(count + 1, found) == pytest.approx(share, rel=1e-9)
    assert gamma_below(count + 1, 0.0) == 0.0


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 8, 39])
def test_student(degrees: int) -> None:
    """Quantiles and shares of Student's distribution are scipy's."""
    for share in SHARES:
        assert student_quantile(degrees, share) == pytest.approx(special.stdtrit(degrees, share), rel=SAME, abs=SAME)
        assert student_below(degrees, 2 * share) == pytest.approx(special.stdtr(degrees, 2 * share), rel=SAME)


def test_normal() -> None:
    """Shares of the normal distribution are scipy's."""
    for x in np.linspace(-5, 5, 21):
        assert normal_below(x) == pytest.approx(special.ndtr(x), rel=SAME)
