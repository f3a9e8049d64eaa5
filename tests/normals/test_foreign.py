"""The rule for foreign scores: what it finds, what it leaves, and that a threshold below them keeps its promise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.learning.calibrate import calibrate
from runtime.learning.normals.foreign import CHANCE, MIN_RATIO, count_foreign, gaps, limit

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

TAILS: dict[str, Draw] = {
    "normal": lambda random, n: np.abs(random.normal(10, 1, n)),
    "normal, far from zero": lambda random, n: random.normal(100, 1, n),
    "gamma": lambda random, n: random.gamma(2, 3, n),
    "exponential": lambda random, n: random.exponential(5, n) + 1,
    "log-normal": lambda random, n: random.lognormal(2, 0.5, n),
    "log-normal, wide": lambda random, n: random.lognormal(2, 1, n),
    "power law": lambda random, n: random.pareto(3, n) + 1,
    "power law without mean": lambda random, n: random.pareto(1, n) + 1,
    "two kinds": lambda random, n: np.where(random.random(n) < 0.5, random.normal(14, 1, n), random.normal(10, 0.5, n)),
    "copies": lambda random, n: np.round(random.normal(10, 0.3, n), 1),
}
"""Scores of normal pictures, from light to heavy tails. Two kinds of pictures are as frequent: one that is in less than
`MAX_SHARE` of the pictures and far above the others looks foreign, and nothing in the scores says that it is not."""

SETS = 1000
ALLOWED = 25
"""Sets of `SETS` with a foreign score at most: `CHANCE` allows for ten; more than 25: one run in a hundred thousand."""


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 25, 100, 400])
@pytest.mark.parametrize("tail", TAILS)
def test_normal_scores_are_not_foreign(tail: str, n: int) -> None:
    """Of sets of normal scores hardly one has a foreign score, with few pictures or many, whatever the tail."""
    random = np.random.default_rng(n)
    found = sum(count_foreign(TAILS[tail](random, n)) > 0 for _ in range(SETS))
    assert SETS * CHANCE < ALLOWED
    assert found <= ALLOWED


@given(
    n=st.integers(20, 300),
    tail=st.sampled_from(["normal, far from zero", "copies"]),  # no gap of their own: a wider tail has one in 1 of 500
    foreign=st.integers(1, 8),
    factor=st.floats(4, 10),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=150)
def test_scores_far_above_all_others_are_foreign(n: int, tail: str, foreign: int, factor: float, seed: int) -> None:
    """A handful of scores at several times the largest normal one is foreign, and no normal one with them."""
    random = np.random.default_rng(seed)
    normal = TAILS[tail](random, n)
    foreign = min(foreign, limit(n) - 1)
    strange = normal.max() * factor * random.uniform(1, 1.5, foreign)
    assert count_foreign(random.permutation(np.append(normal, strange))) == foreign


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_the_rule_knows_no_unit(scores: list[float], unit: float) -> None:
    """It takes any scores, ties and zeros too; never more than its share is foreign, and all of these are above."""
    drawn = np.array(scores)
    found = count_foreign(drawn)
    assert 0 <= found <= limit(len(drawn))
    if found:
        ordered = np.sort(drawn)
        assert ordered[-found] >= MIN_RATIO * ordered[-found - 1] * (1 - 1e-9)
    if (drawn > 1e-3).all():
        assert count_foreign(drawn * unit) == found


def test_chance_of_a_gap_is_exact_for_a_power_law() -> None:
    """The chance that the rule states is uniform over sets whose tail is a power law: no more and no less."""
    random = np.random.default_rng(0)
    for n, f in ((11, 1), (30, 1), (60, 4)):
        chances = np.array([gaps(random.pareto(2, n) + 1, f)[0][f - 1] for _ in range(2000)])
        for level in (0.01, 0.1, 0.5):
            assert (chances < level).mean() == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 2000))


@pytest.mark.slow
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("n", [20, 100])
def test_the_promise_is_kept_where_foreign_scores_are_put_aside(tail: str, n: int) -> None:
    """With one picture in fifty foreign, new pictures of the same mixture exceed thresholds as rarely as promised."""
    random = np.random.default_rng(n)

    def draw(count: int) -> NDArray[np.float64]:
        scores = TAILS[tail](random, count)
        return np.where(random.random(count) < 0.02, 8 * scores + 50, scores)

    new = np.sort(draw(200_000))
    promised, seen = [], []
    for _ in range(400):
        scores = draw(n)
        found = calibrate(scores, 0.01, count_foreign(scores))
        promised.append(found.promised_alpha)
        seen.append(1 - np.searchsorted(new, found.threshold, side="right") / len(new))
    excess = np.array(seen) - np.array(promised)
    assert excess.mean() <= 3 * excess.std() / np.sqrt(len(excess))
