"""The measure of a bank, from the normal pictures: scale of each channel, and spacing of the bank.

Free of torch, onnx and scipy: a device can do the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.moments import Ask, moments
from runtime.scoring.adjust import Adjust
from runtime.search.measure import Measure, plain

Spacing = Literal["none", "local"]

FLOOR = 1e-3
"""Smallest standard deviation of a channel, as a share of the largest: a channel that hardly varies over the normals is
mostly rounding, and must not outweigh all others."""

NEAREST = 8
"""Nearest entries whose mean distance is the spacing at an entry: those of the re-weighting, b - 1 in the paper."""

CAP = 0.95
"""Quantile of the bank's spacings that none exceeds: an entry that lies alone, as that of a fault among the normals
does, must not be near to everything."""

_READ_ROWS = 4096  # features read at a time, a few MB


def channel_scale(ask: Ask[Any], centre: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return a factor for each channel, float32 [D]: 1 / sqrt of its standard deviation over the training patches.

    Half of the way to equal deviations: a channel that varies much says less, and still more than others. All factors
    together are such that the root mean square length of these features stays what it was.

    Args:
        ask: about the training patches.
        centre: one of them, float32 [D].
        count: number of them.
    """
    middle = centre.astype(np.float64)
    sums, squares = moments(ask, centre, count, by_position=False)
    mean = sums / count
    variance = np.maximum(squares / count - mean**2, 0)
    deviation = np.sqrt(variance)
    if not deviation.max() > 0:
        return np.ones(len(middle), dtype=np.float32)
    scale = 1 / np.sqrt(np.maximum(deviation, FLOOR * deviation.max()))
    lengths = variance + (middle + mean) ** 2
    return np.asarray(scale * np.sqrt(lengths.sum() / (scale**2 @ lengths)), dtype=np.float32)


def local_spacing(
    bank: NDArray[np.float32], neighbours: NDArray[np.int32]
) -> tuple[NDArray[np.float32], np.float32] | None:
    """Return the mean distance of each entry to its nearest entries, capped, float32 [k], and the bank's mean of that.

    Args:
        bank: scaled, float32 [k, D].
        neighbours: the nearest entries of each, itself first, int32 [k, b]; of more than `NEAREST`, the first count.

    Returns:
        None where no two entries differ: there is no spacing then.
    """
    near = neighbours[:, 1 : 1 + NEAREST]
    if not near.size:
        return None
    spacing = np.zeros(len(bank))
    for start in range(0, len(bank), _READ_ROWS):
        rows = slice(start, start + _READ_ROWS)
        for column in near[rows].T:
            spacing[rows] += np.linalg.norm(bank[rows].astype(np.float64) - bank[column], axis=1)
    spacing /= near.shape[1]
    capped: NDArray[np.float32] = np.minimum(spacing, np.quantile(spacing, CAP)).astype(np.float32)
    mean = np.float32(capped.mean(dtype=np.float64))
    return (capped, mean) if mean > 0 else None


def make_measure(adjust: Adjust, bank: NDArray[np.float32], neighbours: NDArray[np.int32], spacing: Spacing) -> Measure:
    """Return the measure of a bank of features that were adjusted."""
    found = local_spacing(bank, neighbours) if spacing == "local" else None
    measure = replace(plain(*bank.shape), scale=adjust.scale, offset=adjust.offset)
    return measure if found is None else replace(measure, spacing=found[0], mean=found[1])
