"""Pruned exact search for a few patches, without the product with the whole bank.

A bank varies much along its principal axes, and little along the others. Split a vector v into a part p along some axes
and a rest of length r: then |q - m| is at least the distance of (p_q, r_q) and (p_m, r_m) (Cauchy-Schwarz). These
shorter vectors are put into compact groups, so that one comparison with the middle of a group, less its radius, can
exclude it. In the remaining groups these vectors bound each entry, and only those that could be nearer are compared
in full.

Distances may be divided by a number for each entry, its divisor: then a patch that is at distance d so far wants the
entries m with |q - m| <= d * divisor(m).
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Neighbours
from runtime.search import _kernels

SHARE = 0.95
"""Share of the bank's variance that the axes explain: on 48,000 x 176 they are 58, and some 400 entries are left."""

_NO_TABLE = np.empty(0, dtype=np.int32)

_GROUPED_AXES = 16  # axes for grouping
_SAMPLE = 4096  # entries that the axes are computed from: any axes are correct, these are good
_ROWS = 2048  # of the bank at once, so that no second copy of it is in memory
_LARGER = 1 + 1e-6  # a length in float32 must not be below the true one


class Known(NamedTuple):
    """Known entries for the patches of a camera, before a search.

    Attributes:
        history: entries nearest in recent frames, the newest first, int64 [n, length].
        around: patches around each, int64 [n, a].
        expected: the distance that decided in the last frame: patches well below it are skipped.
    """

    history: NDArray[np.int64]
    around: NDArray[np.int64]
    expected: float


NOTHING_KNOWN = Known(np.empty(0, np.int64), np.empty(0, np.int64), 0.0)


class PrunedSearch:
    """Compare patches with every entry of the bank, float32 [k, D], that could be nearer than a known one."""

    def __init__(
        self,
        bank: NDArray[np.float32],
        neighbours: NDArray[np.int32] | None = None,
        divisors: NDArray[np.float32] | None = None,
    ) -> None:
        """Compute the axes and the tables.

        Args:
            bank: the entries.
            neighbours: table of neighbours of the entries, int32 [k, b]: patches walk along it from a known entry.
            divisors: what distances to each entry are divided by, float32 [k], above 0; None: 1.

        Raises:
            ValueError: `neighbours` is of another bank: its length differs, or it has entries that this one lacks;
                or a divisor is no number above 0.
        """
        if neighbours is not None and len(neighbours) != len(bank):
            raise ValueError(f"neighbours of {len(neighbours)} entries, the bank has {len(bank)}")
        if divisors is not None and not (np.isfinite(divisors) & (divisors > 0)).all():
            raise ValueError("a divisor that is not above 0, or not finite")
        beside = np.ascontiguousarray(_NO_TABLE if neighbours is None else neighbours, dtype=np.int32)
        sample = bank[:: -(-len(bank) // _SAMPLE)].astype(np.float64)
        centre = sample.mean(axis=0)
        axes = _principal_axes(sample - centre)
        self.divisors = divisors
        self.axes = axes
        by = np.ones(len(bank), dtype=np.float32) if divisors is None else np.ascontiguousarray(divisors)
        widest = float(by.max())
        order, middles, entries, largest = _make_tables(bank, centre, axes, by)
        rows = np.ascontiguousarray(bank)
        self._tables = _kernels.Tables(rows, beside, by, middles, entries, order, centre, axes, largest, widest)

    @property
    def compared(self) -> int:
        """Number of entries compared in full so far."""
        return self._tables.compared

    def settle(
        self,
        features: NDArray[np.float32],
        found: Neighbours,
        *,
        k: int,
        at_least: float = np.inf,
        known: Known = NOTHING_KNOWN,
        most: int = sys.maxsize,
    ) -> NDArray[np.int64]:
        """Refine in place, best first, until the k largest distances, and all from `at_least` on, are exact.

        Args:
            features: float32 [n, D].
            found: distances to some entries, from `distances`.
            k: at least 1.
            at_least: smallest distance that is made exact, whatever k is.
            known: known entries for patches of the tier `KNOWN`.
            most: maximum number of patches compared with the bank without the graph's bound.

        Returns:
            Patches to search in the graph first, int64 [m]; none if all are final.
        """
        parts = found.distance, found.index, found.tier
        rows = self._tables.settle(np.ascontiguousarray(features), parts, known, k, most, at_least)
        return np.frombuffer(rows, dtype=np.int64)

    def tell_apart(
        self, features: NDArray[np.float32], found: Neighbours, *, at_least: float, known: Known = NOTHING_KNOWN
    ) -> None:
        """Lower every distance whose true value is below `at_least` below it, in place.

        It is faster to show that no entry is nearer than to find the nearest one, the more so for distant patches.

        Args:
            features: float32 [n, D].
            found: distances to some entries, from `distances`.
            at_least: a float32 value; other distances are not changed.
            known: known entries for patches of the tier `KNOWN`.
        """
        parts = found.distance, found.index, found.tier
        self._tables.tell_apart(np.ascontiguousarray(features), parts, known, at_least)


def _split(vectors: NDArray[np.float32], centre: NDArray[np.float64], axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return |v|^2 of the centred vectors float32 [n, D], the part along the axes, and the length of the rest."""
    centred = vectors - centre
    inside = centred @ axes
    norms = np.einsum("nd,nd->n", centred, centred)
    rest = np.sqrt(np.maximum(norms - np.einsum("nd,nd->n", inside, inside), 0))
    return np.column_stack((norms, inside, rest))


def _make_tables(
    bank: NDArray[np.float32], centre: NDArray[np.float64], axes: NDArray[np.float64], divisors: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], float]:
    """Put the entries into groups.

    Args:
        bank: float32 [k, D].
        centre: float64 [D].
        axes: float64 [D, axes].
        divisors: float32 [k]; as shares of the largest they are called widths.

    Returns:
        order: entries, those of a group together, -1 in a group that is not full, int64 [groups * BLOCK].
        middles: middles of the groups, from `_middles`, float32 [blocks, columns + 1, BLOCK].
        entries: |m|^2, -2 times the other columns of `_split`, -width^2, float32 [groups, columns, BLOCK].
        The largest |m|.
    """
    starts = range(0, len(bank), _ROWS)
    vectors = np.concatenate([_split(bank[start : start + _ROWS], centre, axes).astype(np.float32) for start in starts])
    largest = float(np.sqrt(vectors[:, 0].max()))
    # A group reaches as far as its largest divisor, so they count as one more axis: a normal patch is about one away.
    order = _order(np.column_stack((vectors[:, 1 : 1 + _GROUPED_AXES], divisors)))
    vectors, widths = vectors[order], divisors[order] / np.float64(divisors.max())
    middles = _middles(vectors[:, 1:], widths)
    vectors[:, 1:] *= -2
    missing = np.arange(len(order)) >= len(bank)
    order[missing] = -1
    vectors[missing, 0] = np.inf
    entries = np.column_stack((vectors, -np.square(widths).astype(np.float32)))
    return order, middles, _side_by_side(entries), largest


def _principal_axes(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fewest orthonormal axes, float64 [D, axes], that explain `SHARE` of the variance of [n, D]."""
    variances, axes = np.linalg.eigh(centred.T @ centred)  # the smallest first
    explained = np.cumsum(variances[::-1])
    count = int(np.searchsorted(explained, SHARE * explained[-1])) + 1
    return np.ascontiguousarray(axes[:, ::-1][:, :count])


def _order(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Order points float32 [n, axes] into compact groups; the last point fills up the last group.

    All parts are halved at once, each along the axis on which it is widest, until they are groups.
    """
    group = _kernels.BLOCK
    order = np.arange(len(points))
    starts = np.zeros(1, dtype=np.int64)
    span = 2.0 * np.ptp(points) + 1.0
    while True:
        sizes = np.diff(starts, append=len(points))
        large = sizes > group
        if not large.any():
            return np.pad(order, (0, -len(order) % group), mode="edge")
        inside = points[order]
        lowest, highest = np.minimum.reduceat(inside, starts), np.maximum.reduceat(inside, starts)
        widest = np.argmax(highest - lowest, axis=1)
        part = np.repeat(np.arange(len(starts)), sizes)
        along = inside[np.arange(len(order)), widest[part]]
        order = order[np.argsort(along + part * span)]  # part after part
        halves = starts + -(-sizes // (2 * group)) * group
        starts = np.sort(np.concatenate((starts, halves[large])))


def _middles(vectors: NDArray[np.float32], widths: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return middle and radius of each group of vectors, in the form in which patches are compared with entries.

    |q - c| - radius <= d w is the same as |c|^2 - radius^2 - 2 q . c - w^2 d^2 - 2 radius w d <= -|q|^2, where d w is
    what is near enough, and w the largest width of the group.
    """
    points = vectors.reshape(-1, _kernels.BLOCK, vectors.shape[1])
    middles = points.mean(axis=1, dtype=np.float64)
    radii = np.sqrt(np.square(points - middles[:, None]).sum(axis=2).max(axis=1)) * _LARGER
    norms = np.einsum("nd,nd->n", middles, middles)
    widest = widths.reshape(-1, _kernels.BLOCK).max(axis=1)
    columns = norms - radii**2, -2 * middles, -(widest**2), -2 * radii * widest
    table = np.column_stack(columns).astype(np.float32)
    missing = np.zeros((-len(table) % _kernels.BLOCK, table.shape[1]), dtype=np.float32)
    missing[:, 0] = np.inf
    return _side_by_side(np.concatenate((table, missing)))


def _side_by_side(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lay out rows [n, columns] block by block, column after column."""
    return np.ascontiguousarray(rows.reshape(-1, _kernels.BLOCK, rows.shape[1]).transpose(0, 2, 1))
