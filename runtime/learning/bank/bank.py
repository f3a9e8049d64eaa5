"""Build the memory bank: coreset of the training patches, index, table of neighbours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import Coreset, Index
from runtime.learning.bank import saturation
from runtime.learning.bank.coreset import Selection, covering_radius, select, thin
from runtime.learning.bank.features import Rows
from runtime.learning.bank.index import build_index, choose_ef, neighbour_table, save_index
from runtime.learning.bank.measure import NEAREST, Spacing, make_measure
from runtime.learning.options import LearnOptions
from runtime.scoring.adjust import Adjust
from runtime.search.full import ExactSearch, GraphSearch
from runtime.search.lazy import LazySearch
from runtime.search.measure import Measure, write_measure
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
        exact: compares with the whole bank, in this measure.
        graph: follows the index; near to it is what is near in Euclidean distance.
    """

    coreset: Coreset
    index: Index
    rows: NDArray[np.int64]
    bank: NDArray[np.float32]
    neighbours: NDArray[np.int32]
    measure: Measure
    exact: ExactSearch
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


def make_bank(
    features: Rows,
    adjust: Adjust,
    queries: list[NDArray[np.float32]],
    judged: Sequence[NDArray[np.float32]],
    options: LearnOptions,
    folder: Path,
    threads: int,
    train: NDArray[np.int64],
    originals: int | None = None,
) -> MemoryBank:
    """Select patches, build their index and measure its recall.

    Args:
        features: adjusted, float32 [M, D], perhaps too large for memory: they are read in slices only.
        adjust: what was done to them.
        queries: to measure recall on, kinds of float32 [n, D].
        judged: features of a few held-out pictures, adjusted, each float32 [patches, D], for `--coreset auto`.
        options: of the coreset.
        folder: of the bundle.
        threads: of hnswlib.
        train: rows of `features` to select from, int64 [N].
        originals: number of patches that a share is of; by default N. Altered copies of pictures do not add to it.
    """
    coreset, candidates, chosen = _select(features, judged, options, train, originals or len(train))
    bank, size = features[candidates[chosen.places]], len(chosen.places)
    arrays.write(folder / bundles.BANK, bank=bank)
    graph = build_index(bank)
    save_index(graph, folder / bundles.INDEX)
    table = neighbour_table(bank, min(max(options.b, 1 + NEAREST), size))
    neighbours = np.ascontiguousarray(table[:, : options.b])
    arrays.write(folder / bundles.NEIGHBOURS, neighbours=neighbours)
    measure = make_measure(adjust, bank, table, options.spacing)
    write_measure(folder / bundles.MEASURE, measure)
    index = choose_ef(graph, queries, ExactSearch(bank), threads)
    search = GraphSearch(graph, ef=index.ef, threads=threads)
    near = chosen.nearest[np.searchsorted(candidates, train, side="right").clip(1) - 1]  # that of a candidate beside it
    radius, serving = _radii(features, bank, near, measure, search, train)
    spacing: Spacing = "none" if measure.undivided else "local"
    coreset = msgspec.structs.replace(coreset, covering_radius=radius, spacing=spacing, serving_radius=serving)
    rows = np.searchsorted(train, candidates[chosen.places])
    exact = ExactSearch(bank, measure.divisors)
    return MemoryBank(coreset, index, rows, bank, neighbours, measure, exact, search)


def _radii(
    features: Rows,
    bank: NDArray[np.float32],
    near: NDArray[np.int32],
    measure: Measure,
    graph: GraphSearch,
    train: NDArray[np.int64],
) -> tuple[float, float]:
    """Return the largest distance of a training patch to the bank, Euclidean and as scores measure it."""
    radius = covering_radius(features, LazySearch(graph, bank, PrunedSearch(bank)), train, (bank, near))
    if measure.undivided:
        return radius, radius
    pruned = PrunedSearch(bank, divisors=measure.divisors)
    search = LazySearch(graph, bank, pruned)
    return radius, covering_radius(features, search, train, (bank, near), measure.divisors)


def _select(
    features: Rows,
    judged: Sequence[NDArray[np.float32]],
    options: LearnOptions,
    train: NDArray[np.int64],
    originals: int,
) -> tuple[Coreset, NDArray[np.int64], Selection]:
    """Return the section of the manifest, without the radius; the rows to choose from; and what was chosen."""
    auto = options.coreset == "auto"
    candidates = thin(train, most_candidates(options), options.seed)
    enough = saturation.Saturation(features, candidates, judged) if auto else None
    projection_dim = options.projection_dim if 0 < options.projection_dim < features.shape[1] else None
    chosen = select(
        features,
        bank_size(options, originals),
        seed=options.seed,
        projection_dim=projection_dim,
        rows=candidates,
        enough=enough,
    )
    coreset = Coreset(
        size=len(chosen.places),
        fraction=options.coreset if isinstance(options.coreset, float) else None,
        patches=originals,
        seed=options.seed,
        projection_dim=projection_dim,
        covering_radius=0,
        spacing="none",
        stopped="option" if enough is None else "scores" if enough.reached else "limit",
        change=enough.change if enough else None,
        candidates=len(candidates) if len(candidates) < len(train) else None,
    )
    return coreset, candidates, chosen
