"""Weights in 8 bits: sums of two products fit 16 bits on every processor, with hardly more error than 8 bits have."""

from __future__ import annotations

import numpy as np
import pytest

from export.network.int8.weight_ranges import LEVELS, largest_of

MAX_ACTIVATION = 255
MAX_SUM = 2**15 - 1
"""Of an x86 without VNNI: `vpmaddubsw` adds two products of neighbours and saturates."""

MAX_WIDENED = 1.5
"""Of random weights. 7 bits would be 2: the largest weight of a channel seldom lies beside another large one."""


def levels(weights: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Return the weights in levels, as a symmetric quantiser rounds them."""
    return np.rint(weights / (largest.reshape(-1, 1, 1, 1) / LEVELS)).astype(np.int64)


@pytest.mark.parametrize("shape", [(40, 64, 1, 1), (24, 16, 3, 3), (5, 3, 3, 3), (1, 2, 1, 1)], ids=str)
def test_no_two_products_saturate(shape: tuple[int, ...]) -> None:
    """With any activations, no sum of two neighbouring products leaves 16 bits; one pair has the worst weights."""
    weights = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    weights[0, :2, 0, 0] = np.abs(weights).max()  # beside each other
    rows = levels(weights, largest_of(weights)).transpose(0, 2, 3, 1).reshape(len(weights), -1)
    pairs = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))).reshape(len(weights), -1, 2)
    for sign in (1, -1):
        worst = np.maximum(sign * pairs, 0).sum(axis=2).max() * MAX_ACTIVATION
        assert worst <= MAX_SUM
    assert np.abs(rows).max() <= LEVELS


def test_most_of_8_bits_are_used() -> None:
    """Ranges are those of 8 bits, or little wider: the mean over channels is far from that of 7 bits."""
    weights = np.random.default_rng(2).standard_normal((200, 96, 1, 1)).astype(np.float32)
    widened = largest_of(weights) / np.abs(weights).max(axis=(1, 2, 3))
    assert widened.min() >= 1
    assert widened.mean() < MAX_WIDENED


def test_depthwise_weights_keep_all_levels() -> None:
    """A depthwise convolution adds no two products in 16 bits: its largest weight is the last level."""
    weights = np.ones((4, 1, 3, 3), np.float32)
    assert (levels(weights, largest_of(weights)) == LEVELS).all()


def test_a_channel_of_zeros_has_a_range() -> None:
    """A channel without a weight gets a step above zero, and stays zero."""
    weights = np.zeros((2, 8, 1, 1), np.float32)
    largest = largest_of(weights)
    assert (largest > 0).all()
    assert (levels(weights, largest) == 0).all()
