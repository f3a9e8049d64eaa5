"""Rounding of weights: outputs change less than with the nearest levels, and sums still fit 16 bits."""

from __future__ import annotations

import numpy as np
import pytest

from export.network.int8.round_weights import MAX_PAIR, rounded
from export.network.int8.weight_ranges import LEVELS, largest_of

PLACES = 4000

MAX_SHARE = 0.7
"""Of the mean squared change that the nearest levels make. GPTQ reports far less for inputs that go together."""


def inputs(count: int, seed: int) -> np.ndarray:
    """Return inputs [count, places] as a ReLU leaves them: not below zero, and bright or dark together."""
    random = np.random.default_rng(seed)
    return np.maximum(random.normal(1, 1, PLACES) + random.normal(0, 0.4, (count, PLACES)), 0)


def change(weights: np.ndarray, other: np.ndarray, seen: np.ndarray) -> float:
    """Return the mean squared change of outputs over the places."""
    apart = (weights - other).reshape(len(weights), -1).astype(np.float64)
    return float(((apart @ seen) ** 2).mean())


def nearest(weights: np.ndarray) -> np.ndarray:
    step = (largest_of(weights) / LEVELS).reshape(-1, 1, 1, 1)
    return np.rint(weights / step) * step


@pytest.mark.parametrize("shape", [(24, 64, 1, 1), (24, 1, 3, 3)], ids=["pointwise", "depthwise"])
def test_outputs_change_less_than_with_the_nearest_levels(shape: tuple[int, ...]) -> None:
    """On places that were not shown, outputs are nearer to float32 than with every weight rounded for itself."""
    weights = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    shown, others = inputs(shape[1] * shape[2] * shape[3], 1), inputs(shape[1] * shape[2] * shape[3], 2)
    moments = (shown @ shown.T / PLACES)[None]
    if shape[1] == 1:
        moments = moments.repeat(len(weights), axis=0)
    found = change(weights, rounded(weights, moments), others)
    assert found <= MAX_SHARE * change(weights, nearest(weights), others)


def test_weights_lie_on_levels_and_no_pair_saturates() -> None:
    """Each weight is a whole number of steps, at most 127, and neighbours of one sign add to 128 at most."""
    weights = np.random.default_rng(3).standard_normal((16, 32, 1, 1)).astype(np.float32)
    shown = inputs(32, 4)
    levels = rounded(weights, (shown @ shown.T / PLACES)[None]) / (largest_of(weights) / LEVELS).reshape(-1, 1, 1, 1)
    assert np.allclose(levels, np.rint(levels), atol=1e-3)
    assert np.abs(levels).max() <= LEVELS + 1e-3
    pairs = np.rint(levels).reshape(16, 16, 2)
    for sign in (1, -1):
        assert np.maximum(sign * pairs, 0).sum(axis=2).max() <= MAX_PAIR


def test_inputs_that_never_occurred_are_no_error() -> None:
    """A channel that is always zero, as behind a dead ReLU, leaves weights finite."""
    weights = np.random.default_rng(5).standard_normal((4, 8, 1, 1)).astype(np.float32)
    assert np.isfinite(rounded(weights, np.zeros((1, 8, 8)))).all()
