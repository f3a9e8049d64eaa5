"""The memory bank: coreset of the training patches, index, table of neighbours; and how large it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Coreset, Index
from runtime.learning.bank import saturation
from runtime.learning.options import LearnOptions
from runtime.search.full import GraphSearch
from runtime.search.measure import Measure

MIN_BANK = 16
"""Entries of the smallest bank: the re-weighting and the graph need neighbours."""


@dataclass(frozen=True, slots=True)
class MemoryBank:
    """The memory bank, and its sections of the manifest.

    Attributes:
        coreset, index: sections of the manifest.
        rows: of all features, that the entries are, int64 [k].
        bank: float32 [k, D], in greedy order.
        neighbours: int32 [k, b].
        measure: of its distances.
        graph: follows the index; near to it is what is near in Euclidean distance.
    """

    coreset: Coreset
    index: Index
    rows: NDArray[np.int64]
    bank: NDArray[np.float32]
    neighbours: NDArray[np.int32]
    measure: Measure
    graph: GraphSearch


def bank_size(options: LearnOptions, train: int) -> int:
    """Return the number of entries of a bank that is selected from `train` patches; with `auto` the largest."""
    return min(max(MIN_BANK, wanted_size(options, train)), train)


def wanted_size(options: LearnOptions, train: int) -> int:
    """Return the number of entries that the options ask for; with `auto` the largest."""
    if options.coreset == "auto":
        return saturation.largest(train)
    return options.coreset if isinstance(options.coreset, int) else round(options.coreset * train)


def most_candidates(options: LearnOptions) -> int:
    """Return the largest number of patches that the bank is selected from."""
    return saturation.MAX_CANDIDATES if options.coreset == "auto" else sys.maxsize
