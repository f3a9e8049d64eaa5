"""True nearest entries of many patches, in a fraction of the time of comparing each with the whole bank.

The pruned search passes over entries that its bounds exclude. So that a mistake in it cannot hide behind itself, the
patches that decide a score, and some of the others in every picture, are compared with the whole bank too, by one
matrix product. Every other patch has the distance to a real entry, which no true one exceeds: so the largest distances,
and with them the score, are true even if the pruned search erred.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_config.errors import ParityRefused
from runtime.frame import Neighbours, Tier
from runtime.learning.bank.in_slices import ONE_THREAD, Pool, each
from runtime.search.full import ExactSearch, all_of, distances, spread
from runtime.search.pruned import PrunedSearch

TOP = 64
"""Patches with the largest distances that are compared with the whole bank: more than any score is the mean of by
default."""

EVERY = 25
"""Of the others, each of so many: in 24 pictures of 1,600 patches more than 1,500, so that an error in 0.2 % of all
patches is found with 95 % confidence."""

_ROWS = 400  # searched by one thread at a time
_FIRST = 256  # entries that a first bound is from: the bank is in greedy order, its beginning is a cover


class CheckedSearch:
    """Nearest neighbour of every patch in a bank float32 [k, D]: a `Deciding` whose distances are all exact."""

    def __init__(
        self, bank: NDArray[np.float32], divisors: NDArray[np.float32] | None = None, pool: Pool = ONE_THREAD
    ) -> None:
        """Take the bank, what distances to its entries are divided by, float32 [k] (None: nothing), and threads."""
        self._bank, self._divisors, self._pool = bank, divisors, pool
        self._pruned = PrunedSearch(bank, divisors=divisors)
        self._whole = ExactSearch(bank, divisors)
        first = slice(0, _FIRST)
        self._first = ExactSearch(bank[first], None if divisors is None else divisors[first])
        self._turn = 0

    def __call__(self, features: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> Neighbours:
        """Find the nearest entry of each patch, float32 [patches, D].

        Raises:
            ParityRefused: the pruned search missed one.
        """
        if active is not None:
            return spread(self(features[active]), active)
        found = all_of(Tier.EXACT, np.empty(len(features), np.float32), np.empty(len(features), np.int64))
        each(self._pool, partial(self._settle, features, found), len(features), _ROWS)
        rows = self._compared(found.distance)
        true = self._whole(features[rows])
        own = distances(features, self._bank, found.index, self._divisors)  # no distance is made up
        if not (np.array_equal(true.distance, found.distance[rows]) and np.array_equal(own, found.distance)):
            raise ParityRefused(
                "the pruned search misses nearest entries that a comparison with the whole bank finds",
                remedy="no bundle was made; report it, with the processor and the versions",
            )
        found.index[rows] = true.index  # of several that are equally far, the first
        return found

    def refine(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Do nothing, as all are exact."""

    def tell_apart(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Do nothing, as all are exact."""

    def _settle(self, features: NDArray[np.float32], found: Neighbours, rows: slice) -> None:
        """Find the nearest entries of some rows, from the nearest of the first entries on."""
        first = self._first(features[rows])
        near = all_of(Tier.GRAPH, first.distance, first.index)
        self._pruned.settle(features[rows], near, k=1, at_least=0.0)
        found.distance[rows], found.index[rows] = near.distance, near.index

    def _compared(self, found: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the patches to compare with the whole bank: those on top, and others, in turn."""
        outside = max(0, len(found) - TOP)
        top = np.argpartition(found, min(outside, len(found) - 1))[outside:]
        self._turn = (self._turn + 1) % EVERY
        return np.union1d(top, np.arange(self._turn % len(found), len(found), EVERY))
