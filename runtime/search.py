"""From patch features to their nearest entries of the memory bank.

Three searches with one face. `GraphSearch` follows the HNSW graph: fast, and never below the true distance, but one
patch in some hundreds may end far above it, and a score is a maximum over hundreds. `ExactSearch` compares with the
whole bank and is the reference. `TopExactSearch` is what a device runs: the graph for every patch, then the whole bank
for the few on top, until the distances that decide are the true ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_config.errors import BundleIndexInvalid
from runtime.frame import Neighbours

_ROUNDING = 1e-6
"""Of |q|^2 + |m|^2: what float32 may lose of a squared distance that is taken from the product."""

_LOOSE = 1e3
"""Squared distances below so many roundings are taken again, from the differences, for all entries that could win."""

_EXACT_ROWS = 256  # patches compared at a time: the products with a large bank stay below some 100 MB


class Search(Protocol):
    """Anything that finds near entries of the bank for patch features float32 [patches, D]."""

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find one entry for each patch."""
        ...


class GraphSearch:
    """Approximate nearest neighbour by hnswlib. Its distances are of real entries, so never below the true ones."""

    def __init__(self, index: hnswlib.Index, *, ef: int, threads: int = 0) -> None:
        """Search `index`, space l2, with a candidate list of `ef`; 0 threads means all cores."""
        self._index = index
        self._threads = threads or -1
        self._index.set_ef(ef)  # not saved in the file

    @classmethod
    def load(cls, path: Path, *, dimension: int, ef: int, threads: int = 0) -> GraphSearch:
        """Load index.hnsw, whose header was checked before.

        Raises:
            BundleIndexInvalid: hnswlib does not take the file.
        """
        index = hnswlib.Index(space="l2", dim=dimension)
        try:
            index.load_index(str(path))
        except RuntimeError as error:
            raise BundleIndexInvalid(f"hnswlib refuses it ({error})", where=str(path)) from error
        return cls(index, ef=ef, threads=threads)

    def vectors(self) -> NDArray[np.float32]:
        """Give the entries that the index was built over, float32 [k, D], by their number."""
        numbers = np.arange(self._index.get_current_count())
        return np.asarray(self._index.get_items(numbers, return_type="numpy"), dtype=np.float32)

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find one entry for each patch."""
        labels, squares = self._index.knn_query(features, k=1, num_threads=self._threads)
        return Neighbours(np.sqrt(squares[:, 0]), labels[:, 0].astype(np.int64))


class ExactSearch:
    """Nearest neighbour by comparing with every entry of the bank, float32 [k, D]."""

    def __init__(self, bank: NDArray[np.float32]) -> None:
        """Keep the bank and the squared norms of its entries."""
        self._bank = bank
        self._norms = np.einsum("kd,kd->k", bank, bank)
        self._largest = float(self._norms.max())

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find the nearest entry for each patch."""
        index = np.concatenate(
            [self._nearest(features[row : row + _EXACT_ROWS]) for row in range(0, len(features), _EXACT_ROWS)]
        )
        return Neighbours(np.linalg.norm(features - self._bank[index], axis=1), index)

    def _nearest(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Compare by one matrix product; where it cancels too much, by the differences."""
        squares = self._norms - 2 * features @ self._bank.T  # but for |q|^2, which is the same for all entries
        index = np.argmin(squares, axis=1).astype(np.int64)
        norms = np.einsum("nd,nd->n", features, features)
        least = squares[np.arange(len(index)), index]
        rounding = _ROUNDING * (norms + self._largest)
        for row in np.flatnonzero(least + norms < _LOOSE * rounding):
            near = np.flatnonzero(squares[row] <= least[row] + 2 * rounding[row])
            index[row] = near[np.argmin(np.linalg.norm(self._bank[near] - features[row], axis=1))]
        return np.asarray(index)


class TopExactSearch:
    """The graph for every patch, and the exact search for those that could decide the score.

    The patches on top are searched exactly until those on top have been: every other patch's true distance is at most
    its graph distance, which is at most their exact ones. So the k largest distances, and where they are, equal those
    of an exact search over every patch. Most frames need hardly more than k exact searches.
    """

    def __init__(self, graph: Search, exact: Search, k: int = 1) -> None:
        """Take a search that never goes below the true distance, the exact one, and how many distances decide."""
        self._graph = graph
        self._exact = exact
        self._k = k

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find one entry for each patch."""
        found = self._graph(features)
        distance, index = found.distance.copy(), found.index.copy()
        is_exact = np.zeros(len(features), dtype=bool)
        while not is_exact[top := self._top(distance)].all():
            loose = top[~is_exact[top]]
            best = self._exact(features[loose])
            # The two sum in another order: where they mean the same entry, rounding must not lift the distance.
            distance[loose], index[loose] = np.minimum(distance[loose], best.distance), best.index
            is_exact[loose] = True
        return Neighbours(distance, index)

    def _top(self, distance: NDArray[np.float32]) -> NDArray[np.int64]:
        """Give the patches with the k largest distances; the first of equals, as argmax does."""
        if self._k == 1:
            return np.array([np.argmax(distance)])
        return np.argsort(-distance, kind="stable")[: self._k]
