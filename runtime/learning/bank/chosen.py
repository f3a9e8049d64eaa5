"""What a selection knows of some points: how far each is from the entries chosen so far, and which are the farthest.

The points of one selection may lie in several processes. On the grid every distance is exact, so that it does not
matter where one is computed, nor together with which others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank._selection import CHUNK, compare
from runtime.learning.bank.in_slices import Pool, each

COARSE_BITS = 24  # of a float32
_MAX_LEVEL = 2.0**15 - 2  # length of a vector of levels: what rounding adds fits into 16 bits too
_ROWS = 2048  # compared by one thread of the processor at a time
_LOWER = 0.98  # squared distances: the limit is lowered by so much at a time
_SMALLEST = 0.5  # squared distances are integers


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


class Comparer(Protocol):
    """All entries so far, once in each process, and what compares points with them.

    Attributes:
        rows: points that one thread compares at a time.
    """

    @property
    def rows(self) -> int: ...  # noqa: D102

    def append(self, at: int, new: Entries) -> None:
        """Store entries that follow the first `at`, unless they are there already; one is the first."""

    def compare(self, points: NDArray[np.float32], places: NDArray[np.int64], known: Comparisons, limit: float) -> None:
        """Compare some points with the entries that they were not compared with, until they are within a limit.

        Every distance that is noted is exact.

        Args:
            points: integers, float32 [N, d].
            places: of them, int64 [n].
            known: what is known of all points; what is found is noted there.
            limit: squared distance.
        """


class Old:
    """Compares on the processor: the points of the entries, and their levels, which points are compared with first.

    Levels are coordinates relative to the first entry in 16 bits. The second entry is the farthest point from the first
    one: with it at a length of 2^15 no sum of products of any two vectors overflows 32 bits.

    Attributes:
        count: number of entries.
    """

    rows = _ROWS

    def __init__(self, size: int, dimension: int) -> None:
        """Make room for `size` entries."""
        chunks = -(-size // CHUNK)
        self.count = 0
        self._points = np.empty((size, dimension), dtype=np.float32)
        self._scale = 0.0  # levels of a unit
        self._levels = np.zeros((chunks, -(-dimension // 2), CHUNK, 2), dtype=np.int16)
        self._halves = np.zeros((chunks, CHUNK), dtype=np.int32)  # of the squared lengths, in levels

    def append(self, at: int, new: Entries) -> None:
        """Store entries that follow the first `at`, unless they are there already; one is the first."""
        end = at + len(new.rows)
        if end <= self.count:
            return
        self._points[at:end] = new.points
        if at == 1 and (farthest := float(norms_of(self._points[1:2], self._points[:1])[0])):
            self._scale = (_MAX_LEVEL - math.sqrt(self._points.shape[1])) / math.sqrt(farthest)
        levels = np.rint((new.points.astype(np.float64) - self._points[0]) * self._scale).astype(np.int16)
        chunks, lanes = np.divmod(np.arange(at, end), CHUNK)
        self._halves[chunks, lanes] = np.square(levels, dtype=np.int64).sum(axis=1) // 2
        if levels.shape[1] % 2:
            levels = np.pad(levels, ((0, 0), (0, 1)))
        self._levels[chunks, :, lanes, :] = levels.reshape(len(levels), -1, 2)
        self.count = end

    def compare(self, points: NDArray[np.float32], places: NDArray[np.int64], known: Comparisons, limit: float) -> None:
        """Compare some points; of `Comparer`."""
        entries = self._points, self._points[0], self._levels, self._halves
        noted = known.distances, known.nearest, known.compared
        compare(points, places, *entries, *noted, self.count, self._scale, limit)


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """What is known of some points, float64, int32 and int32 [N].

    Attributes:
        distances: squared, to the nearest of the entries that a point was compared with; -1 for chosen ones.
        nearest: place in the order of choice of that entry.
        compared: number of entries that a point was compared with, the first ones.
    """

    distances: NDArray[np.float64]
    nearest: NDArray[np.int32]
    compared: NDArray[np.int32]

    @classmethod
    def nothing(cls, count: int) -> Comparisons:
        """Return what is known of so many points at first."""
        return cls(np.full(count, np.inf), np.zeros(count, dtype=np.int32), np.zeros(count, dtype=np.int32))


class Chosen:
    """The entries chosen so far, and how far every point is from them.

    Only points that may be among the next entries need to be compared with all entries. Distances only shrink: a point
    that is nearer than all of those to some entry stays so, and is left with that distance until the largest ones have
    come down to it. Most points never are compared with most entries.

    Attributes:
        rows: of the points, int64 [N], ascending.
        points: integers, float32 [N, d].
        count: number of entries.
    """

    def __init__(self, points: NDArray[np.float32], rows: NDArray[np.int64], old: Comparer, pool: Pool) -> None:
        """Begin without entries."""
        self._old = old
        self._pool = pool
        self.rows = rows
        self.points = points
        self.count = 0
        self._known = Comparisons.nothing(len(points))
        self._limit = np.inf  # points that are farther were compared with all entries,
        self._far = np.empty(0, dtype=np.int64)  # and these are they, ascending

    @property
    def distances(self) -> NDArray[np.float64]:
        """Squared, to the nearest of the entries that a point was compared with, float64 [N]; -1 for chosen ones."""
        return self._known.distances

    @property
    def nearest(self) -> NDArray[np.int32]:
        """Places in the order of choice of these entries, int32 [N]."""
        return self._known.nearest

    def add(self, new: Entries, most: int) -> None:
        """Choose further entries, one to begin with, and find so many of the farthest points."""
        self._old.append(self.count, new)
        if self.count == 0:
            self._compare_first(new.points[:1])
        self.count += len(new.rows)
        self._compare(self._far)
        places = np.searchsorted(self.rows, new.rows).clip(max=max(0, len(self.rows) - 1))
        if len(self.rows):
            self.distances[places[self.rows[places] == new.rows]] = -1
        self._far = self._far[self.distances[self._far] >= self._limit]
        self._reach(most)

    def offer(self, most: int) -> Offer:
        """Return at most so many points, or one more: the farthest; where all are copies of entries, the first ones."""
        far = self._far
        if not len(far):  # only copies of what was chosen are left, and stay equally far; or all are chosen
            copies = np.flatnonzero(self.distances == 0)
            return self._offer(copies[:most], more=len(copies) > most)
        distances = self.distances[far]
        outside = len(far) - min(most, len(far))
        candidates = np.argpartition(distances, outside)[outside:]
        return self._offer(far[np.union1d(candidates, [int(distances.argmax())])], more=len(self.points) > most)

    def _offer(self, places: NDArray[np.int64], *, more: bool) -> Offer:
        return Offer(self.rows[places], self.points[places], self.distances[places], more)

    def _reach(self, wanted: int) -> None:
        """Lower the limit until so many points are beyond it, or all that are apart from every entry."""
        while len(self._far) < wanted:
            limit = _LOWER * self._limit
            places = np.flatnonzero(self.distances >= limit)
            if len(places) == len(self._far):  # none is between
                largest = self.distances.max(where=self.distances < self._limit, initial=0.0)
                if largest <= 0:
                    return
                limit = max(_LOWER * largest, _SMALLEST)
                places = np.flatnonzero(self.distances >= limit)
            self._limit = limit
            self._compare(places[self._known.compared[places] < self.count])
            self._far = places[self.distances[places] >= limit]

    def _compare_first(self, entry: NDArray[np.float32]) -> None:
        """Compute the distances of all points to the first entry, float32 [1, d]."""

        def measure(some: slice) -> None:
            self.distances[some] = norms_of(self.points[some], entry)

        each(self._pool, measure, len(self.points), _ROWS)
        self._known.compared[:] = 1

    def _compare(self, places: NDArray[np.int64]) -> None:
        """Compare some points with the entries that they were not compared with, until they are within the limit."""
        order = places[np.argsort(self._known.compared[places], kind="stable")]

        def compare_some(some: slice) -> None:
            self._old.compare(self.points, order[some], self._known, self._limit)

        each(self._pool, compare_some, len(order), self._old.rows)


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


def norms_of(points: NDArray[np.float32], others: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
    """Square the lengths of points [n, d], or their distances from others [n, d]."""
    exact = points.astype(np.float64)
    if others is not None:
        exact -= others
    return np.asarray(np.einsum("nd,nd->n", exact, exact))
