"""The exact nearest entries of a few patches, without the product with the whole bank.

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
_PATCHES = 32  # at a time: what is possible is marked for each of them and every entry
_ROWS = 2048  # of the bank at a time: they stay in the cache


class PrunedSearch:
    """Compare patches with every entry of the bank, float32 [k, D], that could be nearer than a known one."""

    def __init__(self, bank: NDArray[np.float32]) -> None:
        """Compute the axes and the table."""
        self._bank = bank
        sample = bank[:: -(-len(bank) // _SAMPLE)].astype(np.float64)
        self._centre = sample.mean(axis=0)
        self._axes = _principal_axes(sample - self._centre)
        self._table, self._largest = self._make_table()
        self._terms = bank.shape[1] + 8  # at most so many roundings in any of the sums

    def __call__(
        self, features: NDArray[np.float32], distance: NDArray[np.float32], index: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Give distance and number of the nearest entry of each patch float32 [n, D]; the first of equals.

        Args:
            features: few patches: all go through the table at once, which is read from memory only once.
            distance: to a known entry of each, from `distances`, float32 [n].
            index: the numbers of these, int64 [n].
        """
        distance, index = distance.copy(), index.copy()
        for start in range(0, len(features), _PATCHES):
            part = slice(start, start + _PATCHES)
            entries, patches = self._could_be_nearer(features[part], distance[part])
            for patch in range(start, min(start + _PATCHES, len(features))):
                near = entries[patches == patch - start]
                if len(near):  # the rounding bound keeps the known entry itself in; none are left of NaN
                    apart = distances(features[patch], self._bank[near])
                    best = np.argmin(apart)
                    distance[patch], index[patch] = apart[best], near[best]
        return distance, index

    def _could_be_nearer(
        self, features: NDArray[np.float32], distance: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give all entries, in order, and patches of which the lower bound is no more than the patch's `distance`."""
        centred = features - self._centre
        inside = centred @ self._axes
        norms = np.einsum("nd,nd->n", centred, centred)
        outside = np.sqrt(np.maximum(norms - np.einsum("nd,nd->n", inside, inside), 0))
        squares = distance.astype(np.float64) ** 2
        rounding = self._terms * (ROUNDING * (squares + norms + (np.sqrt(norms) + self._largest) ** 2) + TINY)
        # |q|^2 and the limit go into the product: to compare with one number is faster than with one for each patch.
        columns = np.vstack((inside.T, outside, np.ones(len(features)), norms - squares - rounding)).astype(np.float32)
        possible = np.empty((len(self._bank), len(features)), dtype=bool)
        for start in range(0, len(self._bank), _ROWS):
            rows = slice(start, start + _ROWS)
            np.less_equal(self._table[rows] @ columns, 0, out=possible[rows])
        return np.divmod(np.flatnonzero(possible), len(features))

    def _make_table(self) -> tuple[NDArray[np.float32], float]:
        """Give -2 p_m, -2 r_m, |m|^2 and 1 of all entries, float32 [k, axes + 3], and the largest |m|."""
        axes = self._axes.shape[1]
        table = np.ones((len(self._bank), axes + 3), dtype=np.float32)
        for start in range(0, len(self._bank), _ROWS):
            rows = slice(start, start + _ROWS)
            centred = self._bank[rows] - self._centre
            inside = centred @ self._axes
            norms = np.einsum("nd,nd->n", centred, centred)
            table[rows, :axes] = -2 * inside
            table[rows, axes] = -2 * np.sqrt(np.maximum(norms - np.einsum("nd,nd->n", inside, inside), 0))
            table[rows, axes + 1] = norms
        return table, float(np.sqrt(table[:, axes + 1].max()))


def _principal_axes(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the fewest orthonormal axes, float64 [D, axes], that explain `SHARE` of the variance of [n, D]."""
    variances, axes = np.linalg.eigh(centred.T @ centred)  # the smallest first
    explained = np.cumsum(variances[::-1])
    count = int(np.searchsorted(explained, SHARE * explained[-1])) + 1
    return np.ascontiguousarray(axes[:, ::-1][:, :count])
