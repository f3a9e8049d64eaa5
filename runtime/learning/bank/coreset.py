"""Greedy coreset selection (PatchCore section 3.2, algorithm 1): farthest first, in a random projection.

The projected features are rounded to a grid so fine that it lies at the limits of float32, and so coarse that every
squared distance is an integer of at most 2^53. Then float64 computes each distance without any rounding, whatever the
order of the sums: the block selection, the plain loop, one thread or many, any BLAS, all see the same numbers.

What saves time changes no number either. A point that is nearer to some entry than the farthest points is compared
with no further entries until those have come down to it; most pairs are excluded by a product in 16 bits with a bound
on its error. Only what is left is computed in float64 (`runtime.learning.bank.chosen`).

Cost: O(N k d*) at worst. Memory: 4 N d* bytes of grid and some 50 N bytes of distances, beside the features: these are
only read, by rows, and may lie in a file. Of 576,000 patches of a fixed camera 8,192 took 3 s of a processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.chosen import Chosen, Comparer, Entries, Offer, Old, next_block
from runtime.learning.bank.features import Rows
from runtime.learning.bank.grid import READ_ROWS, Selecting, projected, to_grid
from runtime.learning.bank.in_slices import Pool, slices, workers
from runtime.learning.progress import bar

T = TypeVar("T")

_BLOCK = 512  # candidates of a single part: measured best between 256 and 1024 on 160,000 x 128


class Enough(Protocol):
    """Decides whether the bank is large enough, after `steps` entries."""

    @property
    def steps(self) -> tuple[int, ...]:
        """Sizes at which it is asked, ascending."""

    def __call__(self, rows: NDArray[np.int64]) -> bool:
        """Return whether these rows, int64 [k], are enough; each call has those of the last one as its beginning."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen among N rows.

    Attributes:
        places: in the rows, int64 [k], in the order in which they were chosen.
        nearest: of each row, an entry that is near it in the projection, int32 [N].
    """

    places: NDArray[np.int64]
    nearest: NDArray[np.int32]


class Choosing:
    """The selection over some rows: their points, and what was chosen so far.

    Attributes:
        rows: int64 [n], ascending, as everybody knows them.
        points: float32 [n, d]; integers, once they are on the grid.
        chosen: the entries; only on the grid.
    """

    chosen: Chosen

    def __init__(
        self,
        features: Rows,
        local: NDArray[np.int64],
        rows: NDArray[np.int64],
        blocks: list[slice],
        how: Selecting,
        pool: Pool,
        old: Callable[[int], Comparer] | None = None,
    ) -> None:
        """Project the features of some rows.

        Args:
            features: float32 [M, D].
            local: which of them, int64 [n].
            rows: their numbers everywhere, int64 [n], ascending.
            blocks: of the n rows, projected together: float32 rounds otherwise in a product of another shape.
            how: to select.
            pool: threads.
            old: gives what a process keeps of the entries, for a length of the points; by default one of its own.
        """
        self.rows = rows
        self.points = projected(features, local, blocks, how.matrix, pool)
        self._pool = pool
        dimension = self.points.shape[1]
        self._old = Old(how.size, dimension) if old is None else old(dimension)

    def largest(self) -> float:
        """Return the largest absolute value of the points."""
        return float(max(self.points.max(initial=0.0), -self.points.min(initial=0.0)))

    def onto_grid(self, largest: float) -> None:
        """Round the points to the grid for values up to `largest`, and begin to choose."""
        self.chosen = Chosen(to_grid(self.points, largest), self.rows, self._old, self._pool)

    def at(self, row: int) -> Entries | None:
        """Return a row with its point; None if it is not here."""
        place = np.flatnonzero(self.rows == row)
        return Entries(self.rows[place], self.points[place]) if len(place) else None


class Group(Protocol):
    """All rows to choose from, wherever they are."""

    @property
    def parts(self) -> int:
        """Number of parts."""

    def tell(self, change: Callable[[Choosing], None]) -> None:
        """Change each part of the rows."""

    def ask(self, question: Callable[[Choosing], T]) -> list[T]:
        """Return an answer for each part of the rows."""


def choose(group: Group, first: int, how: Selecting, enough: Enough | None = None) -> NDArray[np.int64]:
    """Choose rows farthest first, `first` to begin with: int64 [k].

    Equal to the plain loop, in blocks (`runtime.learning.bank.chosen.next_block`).
    """
    largest = max(group.ask(Choosing.largest)) or 1.0
    group.tell(OntoGrid(largest))
    (entry,) = (found for found in group.ask(At(first)) if found is not None)
    steps = [step for step in (enough.steps if enough else ()) if step < how.size]
    rows = np.full(how.size, first, dtype=np.int64)
    count = 1
    group.tell(Add(entry, group.parts))
    with bar("select coreset", how.size, "entry") as moving:
        moving(1)
        for until in (*steps, how.size):
            while count < until:
                new = next_block(group.ask(Offers(group.parts)), until - count)
                group.tell(Add(new, group.parts))
                rows[count : count + len(new.rows)] = new.rows
                count += len(new.rows)
                moving(len(new.rows))
            if enough and enough(rows[:count]):
                break
    return rows[:count]


@dataclass(frozen=True, slots=True)
class OntoGrid:
    """Round all points to the grid for values up to `largest`."""

    largest: float

    def __call__(self, choosing: Choosing) -> None:
        """Begin to choose."""
        choosing.onto_grid(self.largest)


@dataclass(frozen=True, slots=True, eq=False)
class Add:
    """Choose further entries.

    Attributes:
        new: the entries.
        parts: number of parts, each of which will be asked for the farthest points.
    """

    new: Entries
    parts: int

    def __call__(self, choosing: Choosing) -> None:
        """Compute the distances to them."""
        choosing.chosen.add(self.new, offered(self.parts))


@dataclass(frozen=True, slots=True)
class At:
    """Asks each part for a row."""

    row: int

    def __call__(self, choosing: Choosing) -> Entries | None:
        """Return it with its point."""
        return choosing.at(self.row)


@dataclass(frozen=True, slots=True)
class Offers:
    """Which points are the farthest?

    Attributes:
        parts: number of parts that are asked.
    """

    parts: int

    def __call__(self, choosing: Choosing) -> Offer:
        """Return those of a part."""
        return choosing.chosen.offer(offered(self.parts))


def offered(parts: int) -> int:
    """Return the number of points that each of some parts offers in a block. Any number gives the same selection.

    Of M points that all parts offer, a block takes about M^(1/2), so that there are as many blocks as M^(-1/2). Each
    costs M^2 comparisons, and F beside: a pass over the points of every part, and a message to each worker. The sum,
    M^(-1/2) (F + M^2), is least at M^2 = F / 3. F stays the same where the passes count, since a part stays
    as large, and grows with the parts where the messages count: so M grows like something between parts^0 and
    parts^(1/2). With 1/3 no part offers so much that the decision, in one place, becomes the slowest step.
    """
    return max(1, round(_BLOCK / math.pow(parts, 2 / 3)))


class _Alone:
    """Rows that are all here."""

    parts = 1

    def __init__(self, choosing: Choosing) -> None:
        self._choosing = choosing

    def tell(self, change: Callable[[Choosing], None]) -> None:
        change(self._choosing)

    def ask(self, question: Callable[[Choosing], T]) -> list[T]:
        return [question(self._choosing)]


def select(
    features: Rows,
    size: int,
    *,
    seed: int,
    projection_dim: int | None,
    rows: NDArray[np.int64] | None = None,
    enough: Enough | None = None,
) -> Selection:
    """Choose the coreset of features that are all here.

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
    how = Selecting.of(size, features.shape[1], projection_dim, random)
    with workers() as pool:
        choosing = Choosing(features, rows, np.arange(len(rows)), slices(len(rows), READ_ROWS), how, pool)
        return Selection(choose(_Alone(choosing), first, how, enough), choosing.chosen.nearest)


def thin(count: int, most: int, seed: int) -> NDArray[np.int64] | None:
    """Return at most so many of range(count), chosen at random, ascending, int64 [n]; None for all."""
    if count <= most:
        return None
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False, shuffle=False))


def farthest_first(points: NDArray[np.float32], size: int, first: int) -> NDArray[np.int64]:
    """Choose `size` rows of `points` (from `to_grid`), each the farthest from those before; ties go to the lowest row.

    Equal to the plain loop, in blocks.
    """
    rows, how = np.arange(len(points)), Selecting(size, None)
    with workers() as pool:
        choosing = Choosing(points, rows, rows, slices(len(rows), READ_ROWS), how, pool)
        return choose(_Alone(choosing), first, how)
