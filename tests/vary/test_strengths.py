"""The strengths of alterations: fixed ones reach the ends of a tolerance, random ones stay within it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge_config.bundle.may_vary import NOTHING, MayVary
from runtime.learning.vary.change import Change
from runtime.learning.vary.strengths import FOCUS, at_random, displacement, fixed, looks, steps

DRAWS = 400
NEAR_END = 0.9
"""Share of a range that so many uniform draws reach: all but impossible to miss."""

RANGES: dict[str, tuple[MayVary, Callable[[Change], float], float, float]] = {
    "gain": (MayVary(light=0.2), lambda change: change.gain, 0.8, 1.2),
    "gamma": (MayVary(light=0.2), lambda change: change.gamma, 0.7, 1.4),
    "shift": (MayVary(shift=4), lambda change: float(np.hypot(change.right, change.down)), 0, 4),
    "right": (MayVary(shift=4), lambda change: change.right, -4, 4),
    "rotation": (MayVary(rotation=5), lambda change: change.turn, -5, 5),
    "any rotation": (MayVary(rotation="any"), lambda change: change.turn, -180, 180),
    "focus": (MayVary(focus=True), lambda change: change.blur, 0, FOCUS),
}


@pytest.mark.parametrize("name", RANGES)
def test_random_strengths_fill_the_tolerance_and_stay_in_it(name: str) -> None:
    """Random alterations are within the tolerance, and come near both of its ends."""
    may_vary, value, low, high = RANGES[name]
    values = [value(at_random(may_vary, 0, picture)) for picture in range(DRAWS)]
    middle, half = (low + high) / 2, (high - low) / 2
    assert low - 1e-5 <= min(values)
    assert max(values) <= high + 1e-5
    assert max(values) >= middle + NEAR_END * half - 0.1 * half
    if name != "shift":
        assert min(values) <= middle - NEAR_END * half + 0.1 * half


@pytest.mark.parametrize("name", ["gain", "gamma", "right", "rotation"])
def test_fixed_strengths_reach_both_ends(name: str) -> None:
    """The bank learns what lies at both ends of a tolerance."""
    may_vary, value, low, high = RANGES[name]
    values = [value(change) for change in fixed(may_vary, steps(may_vary), seed=0)]
    assert (min(values), max(values)) == pytest.approx((low, high))


def test_fixed_strengths_come_in_turn() -> None:
    """With one tolerance, its strengths come one after the other, and then again."""
    may_vary = MayVary(light=0.1)
    once = fixed(may_vary, steps(may_vary), seed=0)
    assert len(set(once)) == steps(may_vary)
    assert fixed(may_vary, 2 * steps(may_vary), seed=1) == once * 2


def test_several_tolerances_come_together() -> None:
    """With several tolerances each strength of each occurs, and some alterations have more than one."""
    may_vary = MayVary(light=0.2, rotation=5)
    alone = [*fixed(MayVary(light=0.2), 9, seed=0), *fixed(MayVary(rotation=5), 4, seed=0)]
    changes = fixed(may_vary, steps(may_vary), seed=0)
    assert len(changes) == len(alone)
    for change, part in zip(changes, alone, strict=True):
        assert change.turn == part.turn or not part.turn
        assert (change.gain, change.gamma) == (part.gain, part.gamma) or part.turn
    assert any(change.turn and (change.gain, change.gamma) != (1, 1) for change in changes)


def test_random_strengths_belong_to_seed_and_picture() -> None:
    """The same seed and picture give the same alteration, others another."""
    may_vary = MayVary(light=0.2, shift=3, rotation=4, focus=True, flip=True)
    assert at_random(may_vary, 1, 2) == at_random(may_vary, 1, 2)
    assert len({at_random(may_vary, seed, picture) for seed in range(3) for picture in range(3)}) == 9


def test_nothing_may_vary() -> None:
    """Without a tolerance nothing is altered."""
    assert at_random(NOTHING, 0, 0) == Change()
    assert (fixed(NOTHING, 5, seed=0), looks(NOTHING), displacement(NOTHING, 100, 200)) == ([], [], 0)


def test_displacement_is_the_farthest_move_of_a_point() -> None:
    """A shift counts as it is, a rotation as the way of a corner, relative to the width; any place is no limit."""
    assert displacement(MayVary(shift=4), 100, 200) == pytest.approx(0.02)
    corner = np.array([100, 50])
    turned = np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]) @ corner
    way = float(np.linalg.norm(turned - corner))
    assert displacement(MayVary(rotation=np.degrees(0.1)), 100, 200) == pytest.approx(way / 200)
    assert displacement(MayVary(rotation="any"), 100, 200) is None
    assert displacement(MayVary(flip=True), 100, 200) is None


@pytest.mark.parametrize("first", [0, 75, 1000])
def test_light_is_spread_evenly_over_pictures_in_a_row(first: int) -> None:
    """Of 40 pictures in a row, every tenth of the range of gains and of gammas has one."""
    changes = [at_random(MayVary(light=0.2), 5, picture) for picture in range(first, first + 40)]
    gains = [change.gain for change in changes if change.gamma == 1]
    gammas = [change.gamma for change in changes if change.gain == 1]
    assert np.histogram(gains, 10, (0.8, 1.2))[0].all()
    assert np.histogram(np.clip([gamma - 1 for gamma in gammas if gamma >= 1], 0, 0.4), 5, (0, 0.4))[0].all()
    assert np.histogram([gamma for gamma in gammas if gamma < 1], 5, (0.7, 1))[0].all()
