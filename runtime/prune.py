"""The exact nearest entry of one patch, without the product with the whole bank.

Along its principal axes a bank differs much, along the others little. For q and m, split into a part p along those
axes and a rest of length r, |q - m|^2 >= |q|^2 + |m|^2 - 2 (p_q . p_m + r_q r_m) (Cauchy-Schwarz). One product with a
narrow table bounds all distances from below; only entries that could still be nearer are compared in full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.search import ROUNDING, TINY, distances

SHARE = 0.95
"""Of the bank's variance that the axes explain. Measured on 48,000 x 176: 0.95 (62 axes) leaves some 200 entries to
compare; fewer axes leave thousands, more make the table wider than they save."""

_SAMPLE = 4096  # entries that the axes are computed from: any axes are right, these are good
_ROWS = 4096  # of the bank at a time, in float64


class PrunedSearch:
    """Compare one patch with every entry of the bank, float32 [k, D], that could be nearer than a known one."""

    def __init__(self, bank: NDArray[np.float32]) -> None:
        """Compute the axes and the table."""
        self._bank = bank
        sample = bank[:: -(-len(bank) // _SAMPLE)].astype(np.float64)
        self._centre = sample.mean(axis=0)
        self._axes = _principal_axes(sample - self._centre)
        self._table, largest = self._make_table()
        self._largest = largest
        self._terms = bank.shape[1] + 8  # at most so many roundings in any of the sums

    def __call__(self, feature: NDArray[np.float32], distance: float, entry: int) -> tuple[float, int]:
        """Give distance and number of the nearest entry of a patch float32 [D]; the first of equals.

        Args:
            feature: the patch.
            distance: to a known entry, from `distances`.
            entry: its number.
        """
        near = self._could_be_nearer(feature, distance)
        if len(near) == 0:  # the rounding bound keeps the known entry itself in; this is for NaN
            return distance, entry
        apart = distances(feature, self._bank[near])
        best = int(np.argmin(apart))
        return float(apart[best]), int(near[best])

    def _could_be_nearer(self, feature: NDArray[np.float32], distance: float) -> NDArray[np.int64]:
        """Give the entries, in order, whose lower bound is no more than `distance`."""
        centred = feature - self._centre
        inside = centred @ self._axes
        norm = float(centred @ centred)
        outside = np.sqrt(max(norm - float(inside @ inside), 0.0))
        bounds = np.concatenate((inside, (outside, 1.0))).astype(np.float32) @ self._table  # but for |q|^2
        rounding = self._terms * (ROUNDING * (distance**2 + norm + (np.sqrt(norm) + self._largest) ** 2) + TINY)
        return np.flatnonzero(bounds <= distance**2 - norm + rounding)

    def _make_table(self) -> tuple[NDArray[np.float32], float]:
        """Give -2 p_m, -2 r_m and |m|^2 of all entries, float32 [axes + 2, k], and the largest |m|."""
        axes = self._axes.shape[1]
        table = np.empty((axes + 2, len(self._bank)), dtype=np.float32)
        largest = 0.0
        for start in range(0, len(self._bank), _ROWS):
            rows = slice(start, start + _ROWS)
            centred = self._bank[rows] - self._centre
            inside = centred @ self._axes
            norms = np.einsum("nd,nd->n", centred, centred)
            table[:axes, rows] = -2 * inside.T
            table[axes, rows] = -2 * np.sqrt(np.maximum(norms - np.einsum("nd,nd->n", inside, inside), 0))
            table[axes + 1, rows] = norms
            largest = max(largest, float(np.sqrt(norms.max())))
        return table, largest


def _principal_axes(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the fewest orthonormal axes, float64 [D, axes], that explain `SHARE` of the variance of [n, D]."""
    variances, axes = np.linalg.eigh(centred.T @ centred)  # the smallest first
    explained = np.cumsum(variances[::-1])
    count = int(np.searchsorted(explained, SHARE * explained[-1])) + 1
    return np.ascontiguousarray(axes[:, ::-1][:, :count])
