"""Full nearest-neighbour search of patch features in the memory bank: two kinds, and what they share.

`GraphSearch` follows the HNSW graph: fast, and never below the true distance, but one patch in some hundreds may be far
above it, and a score is a maximum over hundreds. `ExactSearch` compares with the whole bank and is the reference.
Devices use `runtime.search.lazy` instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_config.errors import BundleIndexInvalid
from runtime.frame import Neighbours, Tier
from runtime.search import _kernels

K = TypeVar("K", bound=np.generic)

ROUNDING = 2.0**-24
"""Relative error of one float32 operation; a sum of n products is off by at most n of them."""

TINY = float(np.finfo(np.float32).tiny)
"""Smallest normal float32: squares below it lose digits, or become zero."""

_ALL = np.empty(0, dtype=np.int64)  # for no rows in particular
_UNDIVIDED = np.empty(0, dtype=np.float32)

_EXACT_ROWS = 256  # patches compared at a time: the products with a large bank stay below some 100 MB


class Search(Protocol):
    """Anything that finds near entries of the bank for patch features float32 [patches, D]."""

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find one entry for each patch."""


class Deciding(Protocol):
    """A search whose largest distances are exact; others on request."""

    def __call__(self, features: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> Neighbours:
        """Find one entry for each patch; with `active`, bool [patches], at least one, for those only."""

    def refine(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Make all distances of `at_least` or more exact, in place."""

    def tell_apart(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Lower every distance whose true value is below `at_least` below it, in place; others may remain bounds."""


def distances(
    features: NDArray[np.float32],
    entries: NDArray[np.float32],
    rows: NDArray[np.int64] | None = None,
    divisors: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return the distances, row by row, of features float32 [n, D] (or [D]) and entries, float32 [n].

    All compared distances are computed by the same loop, so that the same two vectors always have the same distance.

    Args:
        features: one for each entry, or one for all.
        entries: float32 [n, D], or with `rows` the bank, float32 [k, D].
        rows: int64 [n], of the bank.
        divisors: what distances to each of `entries` are divided by, float32 [n] or [k]; None: 1.
    """
    apart = np.empty(len(entries) if rows is None else len(rows), dtype=np.float32)
    rows = _ALL if rows is None else _plain(rows, np.int64)
    by = _UNDIVIDED if divisors is None else _plain(divisors, np.float32)
    _kernels.distances(features.shape[-1], _plain(features, np.float32), _plain(entries, np.float32), rows, by, apart)
    return apart


def _plain(array: NDArray[np.generic], kind: type[K]) -> NDArray[K]:
    """Return an array in the form that the loops take: in C order, of this type."""
    return np.ascontiguousarray(array, dtype=kind)


class GraphSearch:
    """Approximate nearest neighbour by hnswlib. Its distances are of real entries, so never below the true ones."""

    def __init__(self, index: hnswlib.Index, *, ef: int, threads: int = 0) -> None:
        """Search `index`, space l2, with a candidate list of `ef`; 0 threads means all cores."""
        self._index = index
        self._ef = ef
        self._threads = threads or -1

    @classmethod
    def load(cls, path: Path, *, dimension: int, ef: int, threads: int = 0) -> GraphSearch:
        """Load index.hnsw, whose header must have been checked.

        Raises:
            BundleIndexInvalid: hnswlib cannot load the file.
        """
        index = hnswlib.Index(space="l2", dim=dimension)
        try:
            index.load_index(str(path))
        except RuntimeError as error:
            raise BundleIndexInvalid(f"hnswlib refuses it ({error})", where=str(path)) from error
        return cls(index, ef=ef, threads=threads)

    @property
    def ef(self) -> int:
        """Length of the candidate list."""
        return self._ef

    def entries(self, count: int) -> NDArray[np.float32]:
        """Return the first entries of the bank as the index has them, float32 [count, D]."""
        return np.asarray(self._index.get_items(np.arange(count)), dtype=np.float32)

    def with_ef(self, ef: int) -> GraphSearch:
        """Return a search of the same index with another candidate list."""
        return GraphSearch(self._index, ef=ef, threads=max(self._threads, 0))

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find one entry for each patch."""
        self._index.set_ef(self._ef)  # not stored in the file, and shared with searches of another ef
        labels, squares = self._index.knn_query(features, k=1, num_threads=self._threads)
        return all_of(Tier.GRAPH, np.sqrt(squares[:, 0]), labels[:, 0].astype(np.int64))


class ExactSearch:
    """Nearest neighbour by comparing with every entry of the bank, float32 [k, D]; the first of equals."""

    def __init__(self, bank: NDArray[np.float32], divisors: NDArray[np.float32] | None = None) -> None:
        """Store the bank, what distances to its entries are divided by, float32 [k], and their squared norms."""
        self._bank = bank
        self._divisors = divisors
        self._factors = None if divisors is None else np.square(divisors.min() / divisors)
        self._norms = np.einsum("kd,kd->k", bank, bank)
        self._largest = float(self._norms.max())

    def __call__(self, features: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> Neighbours:
        """Find the nearest entry for each patch."""
        if active is not None:
            return spread(self(features[active]), active)
        parts = [self._nearest(features[row : row + _EXACT_ROWS]) for row in range(0, len(features), _EXACT_ROWS)]
        index = np.concatenate(parts)
        return all_of(Tier.EXACT, distances(features, self._bank, index, self._divisors), index)

    def refine(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Do nothing, as all are exact."""

    def tell_apart(self, features: NDArray[np.float32], found: Neighbours, at_least: float) -> None:
        """Do nothing, as all are exact."""

    def _nearest(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Compare by one matrix product; where its rounding could matter, by the distances themselves."""
        norms = np.einsum("nd,nd->n", features, features)
        squares = self._norms - 2 * features @ self._bank.T
        rounding = self._rounding(norms)
        if self._factors is not None:
            squares += norms[:, None]  # if nothing is divided, it is the same for all entries
            squares *= self._factors
        index = np.argmin(squares, axis=1).astype(np.int64)
        limits = squares[np.arange(len(index)), index] + rounding
        near = ~(squares > limits[:, None])
        for row in np.flatnonzero(np.count_nonzero(near, axis=1) > 1):
            entries = np.flatnonzero(near[row])
            index[row] = entries[np.argmin(distances(features[row], self._bank, entries, self._divisors))]
        return np.asarray(index)

    def _rounding(self, norms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bound how far two squared distances may change places, for patches with squared norms float32 [n]."""
        dimension = self._bank.shape[1]
        terms = dimension + dimension // 8 + 28  # products and norms; sums and factors; distances: see search.md
        return np.asarray(4 * terms * (ROUNDING * (norms + self._largest) + TINY), dtype=np.float32)


def all_of(tier: Tier, distance: NDArray[np.float32], index: NDArray[np.int64]) -> Neighbours:
    """Return neighbours that are all of one tier."""
    return Neighbours(distance, index, np.full(len(index), tier, dtype=np.uint8))


def spread(found: Neighbours, active: NDArray[np.bool_]) -> Neighbours:
    """Scatter the result of the active patches, bool [patches]; the others are final, at 0."""
    distance, index = np.zeros(len(active), dtype=np.float32), np.zeros(len(active), dtype=np.int64)
    tier = np.full(len(active), Tier.EXACT, dtype=np.uint8)
    distance[active], index[active], tier[active] = found.distance, found.index, found.tier
    return Neighbours(distance, index, tier, active)
