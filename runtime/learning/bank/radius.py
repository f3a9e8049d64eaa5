"""The covering radius: the largest distance of a training patch to the bank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.features import Rows
from runtime.learning.bank.in_slices import slices
from runtime.learning.progress import progress
from runtime.search.full import Search, distances

ROWS = 4096
"""Features read or searched at a time, a few MB."""


@dataclass(frozen=True, slots=True, eq=False)
class DistanceBounds:
    """Features, and how far each is from the bank at most.

    Attributes:
        features: float32 [M, D].
        rows: of those that count, int64 [N], those with the highest bounds first.
        values: their bounds, float32 [N], descending.
    """

    features: Rows
    rows: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def by_entries(
        cls,
        features: Rows,
        rows: NDArray[np.int64],
        bank: NDArray[np.float32],
        near: NDArray[np.int32],
        divisors: NDArray[np.float32] | None,
    ) -> DistanceBounds:
        """Bound the distance of each row by that to an entry near it, int32 [N]."""
        values = np.empty(len(rows), dtype=np.float32)
        for some in slices(len(rows), ROWS):
            values[some] = distances(features[rows[some]], bank, near[some].astype(np.int64), divisors)
        order = np.argsort(-values, kind="stable")
        return cls(features, rows[order], values[order])

    def farthest(self, search: Search, skip: int, most: int, largest: float) -> float | None:
        """Return the largest distance among at most so many features after the first `skip`, if bounds are above it.

        Args:
            search: of the bank; its largest distance is exact.
            skip: features with the highest bounds, which are left out.
            most: features after these.
            largest: only features whose bounds are above it are searched; None is returned where there are none.
        """
        some = slice(skip, skip + most)
        rows = np.sort(self.rows[some][self.values[some] > largest])
        return float(search(self.features[rows]).distance.max()) if len(rows) else None


def covering_radius(
    features: Rows,
    search: Search,
    rows: NDArray[np.int64] | None = None,
    known: tuple[NDArray[np.float32], NDArray[np.int32]] | None = None,
    divisors: NDArray[np.float32] | None = None,
) -> float:
    """Return r, the largest distance of a feature to its nearest entry of the bank, of features that are all here.

    Args:
        features: float32 [M, D].
        search: of the bank; its largest distance must be exact, its others may be too large.
        rows: of the features that count, int64 [N]; None means all.
        known: the bank, float32 [k, D], and for each row an entry near it, int32 [N]: only features that are farther
            from theirs than the largest distance found so far are searched. It changes the time, not the result.
        divisors: what the search divides distances to each entry by, float32 [k]; None: nothing.
    """
    rows = np.arange(len(features)) if rows is None else rows
    if known is None:
        bounds = DistanceBounds(features, rows, np.full(len(rows), np.inf, dtype=np.float32))
    else:
        bounds = DistanceBounds.by_entries(features, rows, *known, divisors)
    return largest_distance(lambda skip, largest: [bounds.farthest(search, skip, ROWS, largest)], ROWS)


def largest_distance(farthest: Callable[[int, float], list[float | None]], step: int) -> float:
    """Search features, those with the highest bounds first, until no bound is above the largest distance.

    Args:
        farthest: returns the largest distance among at most `step` features of each part after some first ones, whose
            bounds are above a distance; None where there are none.
        step: features of a part at a time.
    """
    largest = 0.0

    def blocks() -> Iterator[float]:
        skip = 0
        while found := [one for one in farthest(skip, largest) if one is not None]:
            yield max(found)
            skip += step

    for found in progress(blocks(), "covering radius", unit="block"):
        largest = max(largest, found)
    return largest
