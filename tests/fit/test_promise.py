"""What a threshold promises: on average over calibrations, and with confidence for the one at hand."""

from __future__ import annotations

import json
from fractions import Fraction
from math import comb, expm1, log
from pathlib import Path

import numpy as np
import pytest

from edge_config.bundle.promise import in_words
from runtime.learning.calibrate import calibrate, upper_bound
from runtime.learning.summary import promise
from tests.support.small import call_device

RELATIVE = 1e-9
"""Of the bound: scipy computes it to some 1e-14."""

DRAWS = 20_000
SIGMAS = 5.0
"""Of the share of draws below the bound: one run in two million would fail, and the seed is fixed."""

SIZES = (1, 2, 3, 10, 19, 25, 100, 101)


@pytest.mark.parametrize("n", SIZES)
def test_bound_is_the_beta_quantile(n: int) -> None:
    """At each rank Beta(n + 1 - r, r) is below the bound with 95 %, by the sum of the binomial distribution."""
    for rank in {1, min(2, n), max(1, n // 2), max(1, round(0.9 * n)), max(1, n - 1), n}:
        rate = Fraction(upper_bound(n, rank))
        below = sum(comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1 - rank, n + 1))
        assert float(below) == pytest.approx(0.95, rel=RELATIVE), rank


def test_bound_of_many_pictures() -> None:
    """The largest of 2^31 scores has the bound that it has by its formula."""
    n = 2**31
    assert upper_bound(n, n) == pytest.approx(-expm1(log(0.05) / n), rel=RELATIVE)


def test_hundred_pictures_promise_what_the_paper_and_pencil_say() -> None:
    """With the largest of 100 scores the bound is 1 - 0.05^(1/100), 2.95 %, and the average 0.99 %."""
    found = calibrate(np.arange(100.0), 0.01)
    assert found.upper_alpha == pytest.approx(1 - 0.05**0.01, rel=RELATIVE)
    assert promise(found) == "0.99% on average over calibrations, at most 2.95% with 95% confidence"


@pytest.mark.parametrize(("n", "alpha"), [(20, 0.05), (25, 0.01), (100, 0.01), (300, 0.05)])
def test_the_bound_holds_for_95_in_100_calibrations(n: int, alpha: float) -> None:
    """Of many calibrations on uniform scores 95 % have a true false-alarm rate below the bound: no more, no fewer."""
    draws = np.sort(np.random.default_rng(n).random((DRAWS, n)), axis=1)
    found = calibrate(draws[0], alpha)
    rank = round((1 - found.promised_alpha) * (n + 1))
    rates = 1 - draws[:, rank - 1]
    share = (rates <= found.upper_alpha).mean()
    assert share == pytest.approx(0.95, abs=SIGMAS * np.sqrt(0.95 * 0.05 / DRAWS))


def test_check_and_info_say_both(tiny_bundle: Path) -> None:
    """`check` and `bundle info` show the rate on average and the one with confidence."""
    upper = 1 - 0.05 ** (1 / 99)
    assert in_words(0.01, upper) in call_device("check", tiny_bundle).out
    said = json.loads(call_device("check", tiny_bundle, "--json").out)
    assert (said["promised_alpha"], said["upper_alpha"]) == (0.01, pytest.approx(upper, rel=RELATIVE))
    shown = json.loads(call_device("bundle", "info", tiny_bundle).out)["calibration"]
    assert (shown["promised_alpha"], shown["upper_alpha"]) == (0.01, pytest.approx(upper, rel=RELATIVE))
