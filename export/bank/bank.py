"""Build the memory bank: coreset of the training patches, index, table of neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import Coreset, Index
from export.bank.coreset import covering_radius, select
from export.bank.features import Rows
from export.bank.index import build_index, choose_ef, neighbour_table, save_index
from export.options import Options
from runtime.search.full import ExactSearch, GraphSearch
from runtime.search.lazy import LazySearch
from runtime.search.measure import Measure, plain, write_measure
from runtime.search.pruned import PrunedSearch

MIN_BANK = 16
"""Entries of the smallest bank: the re-weighting and the graph need neighbours."""


@dataclass(frozen=True, slots=True)
class MemoryBank:
    """The memory bank, and its sections of the manifest.

    Attributes:
        coreset, index: sections of the manifest.
        rows: of the training patches that it was selected from, int64 [k].
        bank: float32 [k, D], in greedy order.
        neighbours: int32 [k, b].
        measure: of its distances.
        exact: compares with the whole bank.
        graph: follows the index.
    """

    coreset: Coreset
    index: Index
    rows: NDArray[np.int64]
    bank: NDArray[np.float32]
    neighbours: NDArray[np.int32]
    measure: Measure
    exact: ExactSearch
    graph: GraphSearch


def bank_size(options: Options, train: int) -> int:
    """Return the number of entries of a bank that is selected from `train` patches."""
    wanted = options.coreset if isinstance(options.coreset, int) else round(options.coreset * train)
    return min(max(MIN_BANK, wanted), train)


def make_bank(
    features: Rows,
    scale: NDArray[np.float32],
    queries: list[NDArray[np.float32]],
    options: Options,
    folder: Path,
    threads: int,
    train: NDArray[np.int64],
    originals: int | None = None,
) -> MemoryBank:
    """Select patches, build their index and measure its recall.

    Args:
        features: scaled, float32 [M, D], perhaps too large for memory: they are read in slices only.
        scale: that they were multiplied by, float32 [D].
        queries: to measure recall on, kinds of float32 [n, D].
        options: of the coreset.
        folder: of the bundle.
        threads: of hnswlib.
        train: rows of `features` to select from, int64 [N].
        originals: number of patches that a share is of; by default N. Altered copies of pictures do not add to it.
    """
    projection_dim = options.projection_dim if 0 < options.projection_dim < features.shape[1] else None
    share = options.coreset if isinstance(options.coreset, float) else None
    size = bank_size(options, originals or len(train))
    rows = select(features, size, seed=options.seed, projection_dim=projection_dim, rows=train)
    bank = features[train[rows]]
    arrays.write(folder / bundles.BANK, bank=bank)
    graph = build_index(bank)
    save_index(graph, folder / bundles.INDEX)
    neighbours = neighbour_table(bank, min(options.b, size))
    arrays.write(folder / bundles.NEIGHBOURS, neighbours=neighbours)
    measure = replace(plain(size, len(scale)), scale=scale)
    write_measure(folder / bundles.MEASURE, measure)
    exact = ExactSearch(bank)
    index = choose_ef(graph, queries, exact, threads)
    search = GraphSearch(graph, ef=index.ef, threads=threads)
    coreset = Coreset(
        size=size,
        fraction=share,
        patches=len(train),
        seed=options.seed,
        projection_dim=projection_dim,
        covering_radius=covering_radius(features, LazySearch(search, bank, PrunedSearch(bank)), train),
        spacing="none",
    )
    return MemoryBank(coreset, index, rows, bank, neighbours, measure, exact, search)
