"""The tables that exclude entries of a bank: short vectors, in compact groups, in 8 bits.

A bank varies much along its principal axes, and little along the others. Split a vector v into a part p along some axes
and a rest of length r: then |q - m| is at least the distance of (p_q, r_q) and (p_m, r_m) (Cauchy-Schwarz). These
shorter vectors are put into groups. Of each group the tables hold a point near its middle, and how far its entries are
from there at most; of each entry a point near it, and how far it is from there. So points may be rounded to 8 bits:
what that changes is part of how far the entries are.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.search import _kernels

SHARE = 0.95
"""Share of the bank's variance that the axes explain: on 48,000 x 176 they are 58, and some 400 entries are left."""

_LEVELS = 127  # of a coordinate in 8 bits, on each side of 0
_SAMPLE = 4096  # entries that the axes are computed from: any axes are correct, these are good
_ROWS = 2048  # of the bank at once, so that no second copy of it is in memory
_LARGER = 1 + 1e-6  # a length in float32 must not be below the true one
_ROUNDED = 2.0**-23  # a vector rounded to float32 is off by less than this share of its length


class BankTables(NamedTuple):
    """The tables of a bank of k entries; blocks are as `_blocks` lays them out.

    Attributes:
        centre: that vectors are less.
        axes: that they are split by, side by side in blocks, float64 [blocks, D, WIDTH], some of nothing at the end.
        steps: what a level is of each coordinate, along the axes and of the rest, float64 [axes + 1].
        middles: blocks of the points of the groups, of their first NARROW coordinates: these exclude most groups.
        entries: blocks of the points of the entries, one for each group.
        order: entries, those of a group together, -1 in a group that is not full, int64 [groups * BLOCK].
        largest: the largest length of an entry or a point, from the centre.
        levels: the largest length of a point, in levels.
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    steps: NDArray[np.float64]
    middles: NDArray[np.float32]
    entries: NDArray[np.float32]
    order: NDArray[np.int64]
    largest: float
    levels: float

    @property
    def principal(self) -> NDArray[np.float64]:
        """The axes, float64 [D, axes]."""
        across = self.axes.transpose(1, 0, 2).reshape(len(self.centre), -1)
        return np.ascontiguousarray(across[:, : len(self.steps) - 1])


class _Points(NamedTuple):
    """Points for some rows of coordinates.

    Attributes:
        levels: int8 [n, c].
        squares: of their lengths from the centre, by the coordinates up to each of `_ends`, float64 [n, stages].
        reach: how far its entries are from it at most, float64 [n].
        widths: the largest of theirs, float64 [n].
        longest: the largest length, in levels.
    """

    levels: NDArray[np.int8]
    squares: NDArray[np.float64]
    reach: NDArray[np.float64]
    widths: NDArray[np.float64]
    longest: float


def make_tables(bank: NDArray[np.float32], divisors: NDArray[np.float32]) -> BankTables:
    """Put the entries of a bank, float32 [k, D], into groups; as shares of the largest divisor they have widths."""
    sample = bank[:: -(-len(bank) // _SAMPLE)].astype(np.float64)
    centre = sample.mean(axis=0)
    axes = _principal_axes(sample - centre)
    vectors, longest = _coordinates(bank, centre, axes)
    steps = np.abs(vectors).max(axis=0).astype(np.float64) / _LEVELS
    steps[steps == 0] = 1
    # A group reaches as far as its largest divisor, so they count as one more axis: a normal patch is about one away.
    order = _order(np.column_stack((vectors[:, : _kernels.NARROW], divisors)))
    groups = vectors[order].reshape(-1, _kernels.BLOCK, vectors.shape[1])
    widths = (divisors[order] / np.float64(divisors.max())).reshape(-1, _kernels.BLOCK)
    narrow = min(_kernels.NARROW, len(steps))
    middles = _points(groups[:, :, :narrow], steps[:narrow], widths, longest)
    entries = _points(groups.reshape(-1, 1, vectors.shape[1]), steps, widths.reshape(-1, 1), longest)
    missing = np.arange(len(order)) >= len(bank)
    order[missing] = -1
    everything = middles, entries
    return BankTables(
        centre,
        _side_by_side(axes),
        steps,
        _blocks(middles, np.zeros(len(groups), dtype=np.bool_)),
        _blocks(entries, missing),
        order,
        max(longest, *(float(np.sqrt(points.squares.max())) for points in everything)),
        max(points.longest for points in everything),
    )


def _coordinates(
    bank: NDArray[np.float32], centre: NDArray[np.float64], axes: NDArray[np.float64]
) -> tuple[NDArray[np.float32], float]:
    """Return the parts of entries along the axes and the lengths of their rests, float32 [k, axes + 1]; the longest."""
    coordinates, longest = np.empty((len(bank), axes.shape[1] + 1), dtype=np.float32), 0.0
    for start in range(0, len(bank), _ROWS):
        centred = bank[start : start + _ROWS] - centre
        inside = centred @ axes
        norms = np.einsum("nd,nd->n", centred, centred)
        rest = np.sqrt(np.maximum(norms - np.einsum("nd,nd->n", inside, inside), 0))
        coordinates[start : start + _ROWS] = np.column_stack((inside, rest))
        longest = max(longest, float(np.sqrt(norms.max())))
    return coordinates, longest


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


def _points(
    groups: NDArray[np.float32], steps: NDArray[np.float64], widths: NDArray[np.float64], longest: float
) -> _Points:
    """Return the points near the middles of groups of coordinates, float32 [n, rows, c], widths [n, rows]."""
    levels, ends = np.empty((len(groups), len(steps)), dtype=np.int8), _ends(len(steps))
    squares, reach, longest_square = np.empty((len(groups), len(ends))), np.empty(len(groups)), 0
    rows = max(1, _ROWS // groups.shape[1])
    for start in range(0, len(groups), rows):
        some, part = groups[start : start + rows], slice(start, start + rows)
        levels[part] = np.rint(some.mean(axis=1, dtype=np.float64) / steps)
        points = levels[part] * steps
        longest_square = max(longest_square, int(np.square(levels[part], dtype=np.int64).sum(axis=1).max()))
        for stage, end in enumerate(ends):
            squares[part, stage] = np.square(points[:, :end]).sum(axis=1)
        reach[part] = np.sqrt(np.square(some - points[:, None]).sum(axis=2).max(axis=1))
    reach = reach * _LARGER + longest * _ROUNDED
    return _Points(levels, squares, reach, widths.max(axis=1), float(np.sqrt(longest_square)))


def _ends(coordinates: int) -> list[int]:
    """Return how many coordinates are looked at up to each stage: NARROW more in each, and in the last all."""
    stages = min(_kernels.STAGES, -(-coordinates // _kernels.NARROW))
    return [*(_kernels.NARROW * stage for stage in range(1, stages)), coordinates]


def _blocks(points: _Points, missing: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Lay out points block by block, float32 [blocks, n].

    A block is of BLOCK points: three columns, and the levels of the coordinates of the first stage, pair after pair, of
    each point side by side, 8 bits each; for each later stage a column, and the levels of its coordinates.
    |q - g| - reach <= d w is the same as |g|^2 - reach^2 - 2 q . g - w^2 d^2 - 2 reach w d <= -|q|^2, where d w is what
    is near enough, w the width; the columns are the terms without q and d, the first by the coordinates of the first
    stage, the later ones by all up to there. Points that are missing, and those that fill up the last block, are
    infinitely far.
    """
    (count, width), ends = points.levels.shape, _ends(points.levels.shape[1])
    blocks, pairs = -(-count // _kernels.BLOCK), -(-width // 2)
    columns = np.zeros((blocks * _kernels.BLOCK, 2 + len(ends)), dtype=np.float32)
    columns[:, 0] = np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.where(missing[:, None], np.inf, points.squares - np.square(points.reach)[:, None])
        columns[:count, 0], columns[:count, 3:] = lengths[:, 0], lengths[:, 1:]
        columns[:count, 1:3] = np.column_stack((points.widths**2, 2 * points.reach * points.widths))
    levels = np.zeros((blocks * _kernels.BLOCK, 2 * pairs), dtype=np.int8)
    levels[:count, :width] = points.levels
    beside = columns.reshape(blocks, _kernels.BLOCK, -1).transpose(0, 2, 1)
    below = levels.reshape(blocks, _kernels.BLOCK, pairs, 2).transpose(0, 2, 1, 3).reshape(blocks, -1)
    starts = [0, *(end // 2 for end in ends[:-1]), pairs]  # in pairs
    laid = [beside[:, :3].reshape(blocks, -1)]
    for stage, (start, end) in enumerate(pairwise(starts)):
        part = below[:, 2 * _kernels.BLOCK * start : 2 * _kernels.BLOCK * end]
        laid += [beside[:, 2 + stage]] * (stage > 0) + [np.ascontiguousarray(part).view(np.float32)]
    return np.concatenate(laid, axis=1)


def _side_by_side(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lay out axes float64 [D, axes] in blocks [blocks, D, WIDTH], the last one filled up."""
    full = np.pad(axes, ((0, 0), (0, -axes.shape[1] % _kernels.WIDTH)))
    return np.ascontiguousarray(full.reshape(len(axes), -1, _kernels.WIDTH).transpose(1, 0, 2))
