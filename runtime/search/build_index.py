"""Build the HNSW index over a bank: at export, and on a device that does not use the one in the bundle."""

from __future__ import annotations

from collections.abc import Callable

import hnswlib
import numpy as np
from numpy.typing import NDArray

SEED = 100  # hnswlib's default, fixed because the graph depends on it

_ADDED_AT_A_TIME = 500


def build_index(
    bank: NDArray[np.float32],
    *,
    m: int,
    ef_construction: int,
    threads: int,
    added: Callable[[int], object] = lambda _: None,
) -> hnswlib.Index:
    """Build the graph over a bank float32 [k, D]; an entry's label is its row.

    Args:
        bank: the entries.
        m: maximum number of links of an entry.
        ef_construction: length of the candidate list while building.
        threads: 0 means all cores. With one thread the graph is reproducible; with several it depends on their order,
            but scores do not: the deciding distances are made exact.
        added: receives the number of entries added, repeatedly.
    """
    size, dimension = bank.shape
    index = hnswlib.Index(space="l2", dim=dimension)
    index.init_index(max_elements=size, M=m, ef_construction=ef_construction, random_seed=SEED)
    for start in range(0, size, _ADDED_AT_A_TIME):
        part = bank[start : start + _ADDED_AT_A_TIME]
        index.add_items(part, np.arange(start, start + len(part)), num_threads=threads or -1)
        added(len(part))
    return index
