"""The measure of a bank, from the normal pictures: the scale of each channel, and the spacing of the bank.

Free of torch, onnx and scipy: a device can do the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.bank.features import Rows

FLOOR = 1e-3
"""Smallest standard deviation of a channel, as a share of the largest: a channel that hardly varies over the normals is
mostly rounding, and must not outweigh all others."""

_READ_ROWS = 4096  # features read at a time, a few MB


def channel_scale(features: Rows, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a factor for each channel, float32 [D]: 1 / sqrt of its standard deviation over the training patches.

    Half of the way to equal deviations: a channel that varies much says less, and still more than others. All factors
    together are such that the root mean square length of these features stays what it was.

    Args:
        features: float32 [M, D], perhaps too large for memory: they are read in slices only.
        rows: of the training patches, int64 [N].
    """
    centre = features[rows[:1]][0].astype(np.float64)
    sums, squares = np.zeros_like(centre), np.zeros_like(centre)
    for start in range(0, len(rows), _READ_ROWS):
        apart = features[rows[start : start + _READ_ROWS]] - centre
        sums += apart.sum(axis=0)
        squares += np.einsum("nd,nd->d", apart, apart)
    mean = sums / len(rows)
    variance = np.maximum(squares / len(rows) - mean**2, 0)
    deviation = np.sqrt(variance)
    if not deviation.max() > 0:
        return np.ones(len(centre), dtype=np.float32)
    scale = 1 / np.sqrt(np.maximum(deviation, FLOOR * deviation.max()))
    lengths = variance + (centre + mean) ** 2
    return np.asarray(scale * np.sqrt(lengths.sum() / (scale**2 @ lengths)), dtype=np.float32)
