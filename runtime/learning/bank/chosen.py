"""What a selection knows of some points: how far each is from the entries chosen so far, and which are the farthest.

The points of one selection may lie in several processes. On the grid every distance is exact, so that it does not
matter where one is computed, nor together with which others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.in_slices import Pool, each

COARSE_BITS = 24  # of a float32
_COARSE_ROWS = 2048  # rows compared in float32 at a time: with some hundred new entries 2 MB, which stay in cache
_EXACT_ROWS = 512  # the same in float64
_NORM_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Entries that were chosen together.

    Attributes:
        rows: int64 [n].
        points: integers, float32 [n, d].
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """Some points that are farthest now, by row.

    Attributes:
        rows: int64 [n], ascending.
        points: integers, float32 [n, d].
        distances: squared, to the nearest chosen entry, float64 [n]; -1 for chosen ones. No point that is not offered
            is farther than the smallest of them, and of the largest of all points the lowest row is among them.
        more: there are others.
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float32]
    distances: NDArray[np.float64]
    more: bool


class Old:
    """The points of all entries so far, once in each process.

    Attributes:
        count: number of entries.
    """

    def __init__(self, size: int, dimension: int) -> None:
        """Make room for `size` entries."""
        self._points = np.empty((size, dimension), dtype=np.float32)
        self._norms = np.empty(size)
        self._apart: tuple[int, NDArray[np.float64]] | None = None
        self.count = 0

    def append(self, at: int, new: Entries) -> None:
        """Store entries that follow the first `at`, unless they are there already."""
        end = at + len(new.rows)
        if end > self.count:
            self._points[at:end] = new.points
            self._norms[at:end] = norms_of(new.points)
            self.count = end

    def apart(self, at: int, new: Entries, pool: Pool) -> NDArray[np.float64]:
        """Bound from below the squared distances of the first `at` entries to the nearest new one, float64 [at]."""
        if self._apart is None or self._apart[0] != at:
            norms = norms_of(new.points)

            def bound(some: slice) -> NDArray[np.float64]:
                rows = slice(some.start, min(some.stop, at))
                return _at_least(self._points[rows], self._norms[rows], new.points, norms)

            self._apart = at, np.concatenate(each(pool, bound, at, _COARSE_ROWS))
        return self._apart[1]


class Chosen:
    """The entries chosen so far, and for every point the nearest of them.

    Attributes:
        rows: of the points, int64 [N], ascending.
        points: integers, float32 [N, d].
        distances: squared, to the nearest chosen entry, float64 [N]; -1 for the chosen ones.
        nearest: place in the order of choice of the nearest chosen entry, int32 [N].
        count: number of entries.
    """

    def __init__(self, points: NDArray[np.float32], rows: NDArray[np.int64], old: Old, pool: Pool) -> None:
        """Begin without entries."""
        self._old = old
        self._pool = pool
        self.rows = rows
        self.points = points
        parts = each(pool, lambda some: norms_of(points[some]), len(points), _NORM_ROWS)
        self._norms = np.concatenate([np.empty(0), *parts])
        self.distances = np.full(len(points), np.inf)
        self.nearest = np.zeros(len(points), dtype=np.int32)
        self.count = 0

    def add(self, new: Entries) -> None:
        """Choose further entries."""
        self._old.append(self.count, new)
        within = np.arange(len(self.points)) if self.count == 0 else self._nearer(self._within_reach(new), new)
        self._take(within, new)
        places = np.searchsorted(self.rows, new.rows).clip(max=max(0, len(self.rows) - 1))
        if len(self.rows):
            self.distances[places[self.rows[places] == new.rows]] = -1
        self.count += len(new.rows)

    def offer(self, most: int) -> Offer:
        """Return at most so many points, or one more: the farthest; where all are copies of entries, the first ones."""
        distances = self.distances
        if not len(distances) or distances.max() < 0:  # all are chosen
            return self._offer(np.arange(0), more=False)
        if distances.max() == 0:  # only copies of what was chosen are left, and stay equally far
            copies = np.flatnonzero(distances == 0)
            return self._offer(copies[:most], more=len(copies) > most)
        outside = len(distances) - min(most, len(distances))
        candidates = np.argpartition(distances, outside)[outside:]
        return self._offer(np.union1d(candidates, [int(distances.argmax())]), more=outside > 0)

    def _offer(self, places: NDArray[np.int64], *, more: bool) -> Offer:
        return Offer(self.rows[places], self.points[places], self.distances[places], more)

    def _within_reach(self, new: Entries) -> NDArray[np.int64]:
        """Return the points that a new entry can be nearest to, by the triangle inequality.

        Where c is the nearest of point x, and a new entry is nearer still, the two are less than 2 |x - c| apart.
        """
        return np.flatnonzero(self._old.apart(self.count, new, self._pool)[self.nearest] < 4 * self.distances)

    def _nearer(self, places: NDArray[np.int64], new: Entries) -> NDArray[np.int64]:
        """Return those of some points that a new entry may be nearer to than any old one, by bounds in float32."""
        norms = norms_of(new.points)

        def nearer(some: slice) -> NDArray[np.int64]:
            part = places[some]
            least = _at_least(self.points[part], self._norms[part], new.points, norms)
            return part[least < self.distances[part]]

        return np.concatenate([places[:0], *each(self._pool, nearer, len(places), _COARSE_ROWS)])

    def _take(self, places: NDArray[np.int64], new: Entries) -> None:
        """Compute the distances that some points have to new entries."""
        columns, norms = (new.points.astype(np.float64) * -2).T, norms_of(new.points)

        def take(some: slice) -> None:
            part = places[some]
            apart = self.points[part].astype(np.float64) @ columns
            apart += norms
            best = apart.argmin(axis=1)
            distances = apart[np.arange(len(part)), best] + self._norms[part]
            nearer = distances < self.distances[part]
            self.distances[part[nearer]] = distances[nearer]
            self.nearest[part[nearer]] = self.count + best[nearer]

        each(self._pool, take, len(places), _EXACT_ROWS)


def _at_least(
    points: NDArray[np.float32],
    norms: NDArray[np.float64],
    new: NDArray[np.float32],
    new_norms: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Bound from below the squared distances of some points to the nearest new entry, float64 [points].

    A sum of d products, in any order, strays by at most d 2^-24 |a||b| in float32; twice that, and a little more
    than d, leave room for the other roundings.
    """
    apart = points @ (new * np.float32(-2)).T
    apart += new_norms.astype(np.float32)
    rounding = (points.shape[1] + 8) * 2.0 ** (1 - COARSE_BITS)
    least: NDArray[np.float64] = apart.min(axis=1) + norms - rounding * (norms + new_norms.max())
    return least


def next_block(offers: list[Offer], wanted: int) -> Entries:
    """Choose at least one and at most `wanted` further entries among what all parts offer.

    Distances only shrink. So as long as the farthest candidate is beyond v, the distance that no point has which was
    not offered, it is what the plain loop would take: the lowest row of the farthest.
    """
    rows, distances = (np.concatenate([getattr(one, name) for one in offers]) for name in ("rows", "distances"))
    order = np.argsort(rows, kind="stable")
    rows, distances = rows[order], distances[order]
    points = np.concatenate([one.points for one in offers])[order]
    if distances.max() == 0:  # only copies are left: the lowest rows in turn, as far as all parts have offered theirs
        last = min((int(one.rows[-1]) for one in offers if one.more), default=int(rows[-1]))
        copies = np.flatnonzero((distances == 0) & (rows <= last))[:wanted]
        return Entries(rows[copies], points[copies])
    inside, norms = points.astype(np.float64), norms_of(points)
    apart = norms[:, None] + norms - 2 * (inside @ inside.T)
    nearest = distances.copy()
    beyond = max(float(one.distances.min()) for one in offers if len(one.distances))
    new: list[int] = []
    while len(new) < wanted:
        best = int(np.argmax(nearest))  # the first of equals: the lowest row, since candidates are sorted
        if nearest[best] <= beyond:
            break
        new.append(best)
        np.minimum(nearest, apart[best], out=nearest)
        nearest[best] = -1
    # Where more points than a block holds are equally far, only a look at all of them finds the lowest row.
    found = np.array(new or [int(np.argmax(distances))], dtype=np.int64)
    return Entries(rows[found], points[found])


def norms_of(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Square the lengths of points [n, d]."""
    exact = points.astype(np.float64)
    return np.asarray(np.einsum("nd,nd->n", exact, exact))
