"""Greedy coreset selection (PatchCore section 3.2, algorithm 1): farthest first, in a random projection.

The projected features are rounded to a grid so fine that it lies at the limits of float32, and so coarse that every
squared distance is an integer of at most 2^53. Then float64 computes each distance without any rounding, whatever the
order of the sums: the block selection, the plain loop, one thread or many, any BLAS, all see the same numbers.

What saves time changes no number either. Points that a new entry cannot be nearest to are passed over: most of them by
the triangle inequality, which is exact on the grid, and most others by a product in float32 with a bound on its error.
Only what is left, a tenth or so, is computed in float64.

Cost: O(N k d*) at worst. Memory: 4 N d* bytes of grid and some 50 N bytes of distances, beside the features: these are
only read, by rows, and may lie in a file. On two shared cores, 16,384 of 163,840 patches of real pictures took 6 s,
and 10,000 of 1,000,000 took 35 s and 1.4 GiB; with the features, of 176 numbers, in a file 0.6 GiB of it are private.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.features import Rows
from runtime.learning.bank.in_slices import each, slices, workers
from runtime.learning.progress import bar, progress
from runtime.search.full import Search, distances

T = TypeVar("T")

_BLOCK = 512  # candidates at a time: measured best between 256 and 1024 on 160,000 x 128
_COARSE_ROWS = 2048  # rows compared in float32 at a time: with some hundred new entries 2 MB, which stay in cache
_EXACT_ROWS = 512  # the same in float64
_READ_ROWS = 4096  # features read at a time, a few MB
_EXACT_BITS = 53  # of a float64
_COARSE_BITS = 24  # of a float32


class Enough(Protocol):
    """Decides whether the bank is large enough, after `steps` entries."""

    @property
    def steps(self) -> tuple[int, ...]:
        """Sizes at which it is asked, ascending."""

    def __call__(self, places: NDArray[np.int64]) -> bool:
        """Return whether these places, int64 [k], are enough; each call has those of the last one as its beginning."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen among N rows.

    Attributes:
        places: in the rows, int64 [k], in the order in which they were chosen.
        nearest: of each row, an entry that is near it (the nearest in the projection), int32 [N].
    """

    places: NDArray[np.int64]
    nearest: NDArray[np.int32]


def select(
    features: Rows,
    size: int,
    *,
    seed: int,
    projection_dim: int | None,
    rows: NDArray[np.int64] | None = None,
    enough: Enough | None = None,
) -> Selection:
    """Choose the coreset.

    Args:
        features: float32 [M, D].
        size: k, from 1 to N; with `enough` the largest.
        seed: of the projection and of the first entry.
        projection_dim: d*; None selects in the full space.
        rows: of `features` to choose from, int64 [N]; None means all.
        enough: stops before `size`. What is chosen is the beginning of what would be chosen without it.
    """
    rows = np.arange(len(features)) if rows is None else rows
    random = np.random.default_rng(seed)
    first = int(random.integers(len(rows)))
    points = features[rows] if projection_dim is None else project(features, rows, projection_dim, random)
    chosen = _choose(to_grid(points), size, first, enough)
    return Selection(chosen.rows[: chosen.count], chosen.nearest)


def thin(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Return at most so many of some rows, int64 [N], chosen at random, in the order in which they are."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False, shuffle=False))


def covering_radius(
    features: Rows,
    search: Search,
    rows: NDArray[np.int64] | None = None,
    known: tuple[NDArray[np.float32], NDArray[np.int32]] | None = None,
    divisors: NDArray[np.float32] | None = None,
) -> float:
    """Return r, the largest distance of a feature to its nearest entry of the bank.

    Args:
        features: float32 [M, D].
        search: of the bank; its largest distance must be exact, its others may be too large.
        rows: of the features that count, int64 [N]; None means all.
        known: the bank, float32 [k, D], and for each row an entry near it, int32 [N]: only features that are farther
            from theirs than the largest distance found so far are searched. It changes the time, not the result.
        divisors: what the search divides distances to each entry by, float32 [k]; None: nothing.
    """
    rows = np.arange(len(features)) if rows is None else rows
    bounds = np.full(len(rows), np.inf, dtype=np.float32)
    parts = slices(len(rows), _READ_ROWS)
    if known is not None:
        bank, near = known
        for some in parts:
            bounds[some] = distances(features[rows[some]], bank, near[some].astype(np.int64), divisors)
    downwards = np.argsort(-bounds, kind="stable")
    largest = 0.0
    for some in progress(parts, "covering radius", unit="block"):
        part = downwards[some]
        if bounds[part[0]] <= largest:
            break
        largest = max(largest, float(search(features[np.sort(rows[part])]).distance.max()))
    return largest


def project(
    features: Rows, rows: NDArray[np.int64], dimension: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Project rows of float32 [M, D] to float32 [N, d*] by a Gaussian matrix with entries scaled by 1 / sqrt(d*)."""
    matrix = (random.standard_normal((features.shape[1], dimension)) / math.sqrt(dimension)).astype(np.float32)
    points = np.empty((len(rows), dimension), dtype=np.float32)

    def fill(some: slice) -> None:
        np.matmul(features[rows[some]], matrix, out=points[some])

    with workers() as pool:
        each(pool, fill, len(rows), _READ_ROWS)
    return points


def to_grid(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale and round points [N, d] to integers, in place; squared distances, at most 2^53, are exact in float64."""
    largest = float(max(points.max(initial=0.0), -points.min(initial=0.0))) or 1.0
    # |a|^2 + |b|^2 + 2|ab| <= 4 d 2^(2 bits) must not exceed 2^53, and no integer what float32 holds.
    bits = min((_EXACT_BITS - 2 - math.ceil(math.log2(points.shape[1]))) // 2, _COARSE_BITS)
    scale = 2.0 ** (bits - math.frexp(largest)[1])
    for some in slices(len(points), _READ_ROWS):
        points[some] = np.rint(points[some].astype(np.float64) * scale)
    return points


def farthest_first(points: NDArray[np.float32], size: int, first: int) -> NDArray[np.int64]:
    """Choose `size` rows of `points` (from `to_grid`), each the farthest from those before; ties go to the lowest row.

    Equal to the plain loop, in blocks: take the points that are farthest now and let v be the smallest of their
    distances. Distances only shrink, so as long as the farthest candidate is beyond v, no point outside the block is
    as far, and the candidate is what the plain loop would take.
    """
    return _choose(points, size, first, None).rows


def _choose(points: NDArray[np.float32], size: int, first: int, enough: Enough | None) -> _Chosen:
    steps = [step for step in (enough.steps if enough else ()) if step < size]
    with workers() as pool, bar("select coreset", size, "entry") as moving:
        chosen = _Chosen(points, size, first, pool)
        moving(1)
        for until in (*steps, size):
            while chosen.count < until:
                new = _next_block(chosen, until - chosen.count)
                chosen.add(new)
                moving(len(new))
            if enough and enough(chosen.rows[: chosen.count]):
                break
    return chosen


class _Chosen:
    """The rows chosen so far, and for every point the nearest of them.

    Attributes:
        points: integers, float32 [N, d].
        norms: squared, float64 [N].
        rows: int64 [k], of which the first `count` are chosen.
        distances: squared, to the nearest chosen row, float64 [N]; -1 for the chosen ones.
        nearest: place in `rows` of the nearest chosen row, int32 [N].
    """

    def __init__(self, points: NDArray[np.float32], size: int, first: int, pool: Executor) -> None:
        """Choose `first`."""
        self._pool = pool
        self.points = points
        self.norms = np.concatenate(each(pool, lambda some: _norms(points[some]), len(points), _READ_ROWS))
        self.rows = np.full(size, first, dtype=np.int64)
        self.distances = np.full(len(points), np.inf)
        self.nearest = np.zeros(len(points), dtype=np.int32)
        self.count = 0
        self._take(np.arange(len(points)), self.rows[:1])

    def add(self, new: NDArray[np.int64]) -> None:
        """Choose further rows."""
        self._take(self._nearer(self._within_reach(new), new), new)

    def _within_reach(self, new: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the points that a new row can be nearest to, by the triangle inequality.

        Where c is the nearest of point x, and a new row is nearer still, the two are less than 2 |x - c| apart.
        """
        old = self.rows[: self.count]
        apart = each(self._pool, lambda some: self._at_least(old[some], new), self.count, _COARSE_ROWS)
        return np.flatnonzero(np.concatenate(apart)[self.nearest] < 4 * self.distances)

    def _nearer(self, rows: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some points that a new row may be nearer to than any old one, as far as float32 can tell."""

        def nearer(some: slice) -> NDArray[np.int64]:
            part = rows[some]
            return part[self._at_least(part, new) < self.distances[part]]

        return np.concatenate([rows[:0], *each(self._pool, nearer, len(rows), _COARSE_ROWS)])

    def _at_least(self, rows: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.float64]:
        """Bound from below the squared distances of some points to the nearest new row, float64 [rows].

        A sum of d products, in any order, strays by at most d 2^-24 |a||b| in float32; twice that, and a little more
        than d, leave room for the other roundings.
        """
        columns = (self.points[new] * np.float32(-2)).T
        apart = self.points[rows] @ columns
        apart += self.norms[new].astype(np.float32)
        rounding = (self.points.shape[1] + 8) * 2.0 ** (1 - _COARSE_BITS)
        norms = self.norms[rows]
        least: NDArray[np.float64] = apart.min(axis=1) + norms - rounding * (norms + self.norms[new].max())
        return least

    def _take(self, rows: NDArray[np.int64], new: NDArray[np.int64]) -> None:
        """Choose new rows, and compute the distances that some points have to them."""
        columns = (self.points[new].astype(np.float64) * -2).T

        def take(some: slice) -> None:
            part = rows[some]
            apart = self.points[part].astype(np.float64) @ columns
            apart += self.norms[new]
            best = apart.argmin(axis=1)
            distances = apart[np.arange(len(part)), best] + self.norms[part]
            nearer = distances < self.distances[part]
            self.distances[part[nearer]] = distances[nearer]
            self.nearest[part[nearer]] = self.count + best[nearer]

        each(self._pool, take, len(rows), _EXACT_ROWS)
        self.distances[new] = -1
        self.rows[self.count : self.count + len(new)] = new
        self.count += len(new)


def _next_block(chosen: _Chosen, wanted: int) -> NDArray[np.int64]:
    """Choose at least one and at most `wanted` further rows."""
    distances = chosen.distances
    if distances.max() == 0:  # only copies of what was chosen are left, and stay equally far: the lowest rows in turn
        return np.flatnonzero(distances == 0)[: min(wanted, _BLOCK)]
    outside = len(distances) - min(_BLOCK, len(distances))
    candidates = np.sort(np.argpartition(distances, outside)[outside:])
    inside, norms = chosen.points[candidates].astype(np.float64), chosen.norms[candidates]
    apart = norms[:, None] + norms - 2 * (inside @ inside.T)
    nearest = distances[candidates]
    beyond = nearest.min()
    new: list[int] = []
    while len(new) < wanted:
        best = int(np.argmax(nearest))  # the first of equals: the lowest row, since candidates are sorted
        if nearest[best] <= beyond:
            break
        new.append(int(candidates[best]))
        np.minimum(nearest, apart[best], out=nearest)
        nearest[best] = -1
    # Where more points than a block holds are equally far, only a look at all of them finds the lowest row.
    return np.array(new or [int(np.argmax(distances))], dtype=np.int64)


def _norms(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Square the lengths of points [n, d]."""
    exact = points.astype(np.float64)
    return np.asarray(np.einsum("nd,nd->n", exact, exact))
