"""The conformal threshold and what it promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from runtime.learning.calibrate import STRETCHES, calibrate, hold_out, pictures_needed
from tests.support import reference

ALPHAS = ("0.001", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.3", "0.7")
FLOAT64 = 1e-12
DRAWS = 2000
RATE_SIGMAS = 5.0  # of the mean over the draws: one run in two million would fail, and the seed is fixed


def scores(n: int) -> np.ndarray:
    """Return the numbers 1 to n, shuffled: the score of rank r is r."""
    return np.random.default_rng(n).permutation(np.arange(1, n + 1)).astype(np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", ALPHAS)
def test_threshold_is_the_conformal_quantile(alpha: str):
    """For every n the threshold is the ceil((n+1)(1-alpha))-th smallest score, in exact arithmetic."""
    for n in range(1, 400):
        found = calibrate(scores(n), float(alpha))
        rank = min(reference.conformal_rank(n, alpha), n)
        assert found.threshold == rank, n
        assert found.n == n
        assert found.alpha == float(alpha)
        assert found.promised_alpha == pytest.approx(1 - rank / (n + 1), abs=FLOAT64)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_too_few_pictures_promise_what_they_can(alpha: str):
    """With fewer pictures than alpha needs, the largest score is the threshold and 1/(n+1) the promise."""
    needed = pictures_needed(float(alpha))
    for n in {1, 2, needed // 2, needed - 1} & set(range(1, needed)):
        found = calibrate(scores(n), float(alpha))
        assert found.threshold == n
        assert found.promised_alpha == pytest.approx(1 / (n + 1), abs=FLOAT64)
        assert found.promised_alpha > float(alpha)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_pictures_needed_is_the_smallest_number_that_can_promise(alpha: str):
    """The number is the first n whose conformal rank exists, and with it the promise is kept."""
    needed = pictures_needed(float(alpha))
    assert needed == next(n for n in itertools.count(1) if reference.conformal_rank(n, alpha) <= n)
    assert calibrate(scores(needed), float(alpha)).promised_alpha <= float(alpha) + FLOAT64


@pytest.mark.parametrize(("n", "rank"), [(99, 99), (100, 100), (199, 198), (999, 990)])
def test_rounding_of_the_rate_moves_no_rank(n: int, rank: int):
    """At 1 %, where 1 - alpha is no float64, the rank is that of exact arithmetic."""
    assert calibrate(scores(n), 0.01).threshold == rank


def test_quantiles_describe_the_scores():
    """The recorded quantiles are those of the scores, by level, up to the largest."""
    found = calibrate(scores(101), 0.1).quantiles
    assert found == {"0.5": 51, "0.9": 91, "0.95": 96, "0.99": 100, "1.0": 101}


@pytest.mark.slow
@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (60, 0.05), (99, 0.01), (30, 0.2)])
def test_the_false_alarm_rate_keeps_its_promise(n: int, alpha: float):
    """Over many calibrations a new normal picture is over the threshold as rarely as promised, and about as often."""
    random = np.random.default_rng(0)
    found = [calibrate(random.random(n), alpha) for _ in range(DRAWS)]
    rates = np.array([1 - each.threshold for each in found])  # of scores that are uniform on [0, 1)
    tolerance = RATE_SIGMAS * rates.std() / np.sqrt(DRAWS)
    assert found[0].promised_alpha <= alpha + FLOAT64
    assert rates.mean() == pytest.approx(found[0].promised_alpha, abs=tolerance)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.75, 0.99])
def test_hold_out_gives_the_wanted_number(share: float):
    """For every number of pictures the wanted share is held out, at least one, and at least one is left to learn."""
    for count in range(2, 301):
        held = hold_out(count, share)
        assert held.shape == (count,)
        assert held.dtype == np.bool_
        assert held.sum() == min(max(1, round(count * share)), count - 1), count


def runs(held: np.ndarray) -> np.ndarray:
    """Return the lengths of the runs of held-out pictures."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.75, 0.99])
def test_hold_out_takes_at_most_a_few_contiguous_stretches(share: float):
    """What is held out are a few runs of neighbours, whatever the number of pictures and the share."""
    for count in range(2, 301):
        assert 1 <= len(runs(hold_out(count, share))) <= STRETCHES, count


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25])
def test_hold_out_takes_stretches_of_equal_length(share: float):
    """At the usual shares there are four runs (or one for each picture, if fewer) that differ by one at most."""
    for count in range(2, 301):
        held = hold_out(count, share)
        lengths = runs(held)
        assert len(lengths) == min(STRETCHES, held.sum()), count
        assert np.ptp(lengths) <= 1, count


def test_hold_out_repeats_itself():
    """The same number of pictures gives the same choice: nothing in it is random."""
    assert (hold_out(117, 0.25) == hold_out(117, 0.25)).all()
