"""The threshold of a bundle that grew."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_config.bundle.held_out import MAX_SCORES, expanded, thinned
from runtime.learning.calibrate import calibrate
from runtime.learning.grow.threshold import calibrate_again

ALPHA = 0.1
ROOT = calibrate(np.linspace(1, 2, 50), ALPHA)


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=3 * MAX_SCORES))
def test_stored_scores_are_expanded_to_upper_bounds(scores: list[float]) -> None:
    """Each score that thinning left out is taken for one that is at least as high, and none is missing."""
    ascending = sorted(scores)
    found = expanded(len(ascending), thinned(ascending))
    assert len(found) == len(ascending)
    assert all(one >= other for one, other in zip(found, ascending, strict=True))


def test_without_held_out_pictures_nothing_changes() -> None:
    """Where no picture was held out, the calibration is the root's."""
    assert calibrate_again(ROOT, np.empty(0)) == ROOT


@pytest.mark.parametrize("held_out", [[0.1], [0.1, 0.2, 0.3], [5.0], [0.5] * 40 + [3.0], [1.9] * 5])
def test_threshold_holds_for_old_and_new(held_out: list[float]) -> None:
    """At most the wanted share of the root's scores, and of the new ones, is over it; too few new ones: none is."""
    found = calibrate_again(ROOT, np.array(held_out))
    old, new = np.linspace(1, 2, 50), np.array(held_out)
    assert (old > found.threshold).sum() <= math.floor((len(old) + 1) * ALPHA)
    assert (new > found.threshold).sum() <= math.floor((len(new) + 1) * ALPHA)
    assert found.threshold >= ROOT.threshold


def test_few_pictures_are_taken_to_spread_like_the_roots() -> None:
    """Too few for the wanted rate, they lift the threshold to the ratio above their median that the root's has."""
    ratio = ROOT.threshold / 1.5
    assert calibrate_again(ROOT, np.array([1.9, 2.0, 2.1])).threshold == pytest.approx(2.0 * ratio)
    assert calibrate_again(ROOT, np.full(9, 2.0)).threshold == pytest.approx(2.0)
    assert calibrate_again(ROOT, np.array([1.4, 1.5, 1.6])).threshold == ROOT.threshold


def test_the_promise_is_that_of_all_scores_together() -> None:
    """Number of scores and guaranteed rate are those of the threshold's rank among old and new scores."""
    held_out = np.array([0.5, 1.5, 1.7, 4.0])
    found = calibrate_again(ROOT, held_out)
    together = np.concatenate([np.linspace(1, 2, 50), held_out])
    rank = (together <= found.threshold).sum()
    assert found.n == 54
    assert found.promised_alpha == pytest.approx(1 - rank / 55)
    assert found.scores == tuple(np.sort(together))


def test_foreign_scores_of_the_root_remain_foreign() -> None:
    """What did not set the root's threshold does not set the new one."""
    root = calibrate(np.append(np.linspace(1, 2, 98), [50.0, 60.0]), 0.01, foreign=2)
    found = calibrate_again(root, np.array([1.4, 1.5]))
    assert found.threshold == 2.0
    assert found.foreign == 2
