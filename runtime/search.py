"""From patch features to their nearest entries of the memory bank.

Three searches with one face. `GraphSearch` follows the HNSW graph: fast, and never below the true distance, but one
patch in some hundreds may end far above it, and a score is a maximum over hundreds. `ExactSearch` compares with the
whole bank and is the reference. `TopExactSearch` is what a device runs: the graph for every patch, then the whole bank
for the few on top, until the largest distance is the true one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_config.errors import BundleIndexInvalid
from runtime.frame import Neighbours

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

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find the nearest entry for each patch."""
        index = np.concatenate(
            [
                np.argmin(self._norms - 2 * features[row : row + _EXACT_ROWS] @ self._bank.T, axis=1)
                for row in range(0, len(features), _EXACT_ROWS)
            ]
        )
        # The product cancels near zero; the distance itself is taken from the difference.
        return Neighbours(np.linalg.norm(features - self._bank[index], axis=1), index.astype(np.int64))


class TopExactSearch:
    """The graph for every patch, and the exact search for those that could decide the score.

    The patch on top is searched exactly until the one on top has been: every other patch's true distance is at most
    its graph distance, which is at most the top's exact one. So the largest distance, and where it is, equal those of
    an exact search over every patch. Most frames need one exact search.
    """

    def __init__(self, graph: Search, exact: Search) -> None:
        """Take a search that never goes below the true distance, and the exact one."""
        self._graph = graph
        self._exact = exact

    def __call__(self, features: NDArray[np.float32]) -> Neighbours:
        """Find one entry for each patch."""
        found = self._graph(features)
        distance, index = found.distance.copy(), found.index.copy()
        is_exact = np.zeros(len(features), dtype=bool)
        while not is_exact[top := int(np.argmax(distance))]:
            best = self._exact(features[top : top + 1])
            # The two sum in another order: where they mean the same entry, rounding must not lift the distance.
            distance[top], index[top] = min(distance[top], best.distance[0]), best.index[0]
            is_exact[top] = True
        return Neighbours(distance, index)
