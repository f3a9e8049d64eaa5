"""The HNSW index over the bank, and the table of neighbours for the re-weighting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Index
from edge_config.saving import cut_short
from runtime.frame import Image, Neighbours
from runtime.learning.progress import bar, progress
from runtime.search.build_index import build_index as build
from runtime.search.full import GraphSearch, Search

M = 32
"""Links per entry. With 16, whole regions of a greedy coreset (its entries lie far apart) are hard to reach: on real
pictures the top patch of most frames was missed. 32 costs the search nothing, as fewer steps lead there."""

EF_CONSTRUCTION = 500
RECALL_PICTURES = 8
"""Held-out pictures that recall is measured on, spread evenly."""

WANTED_RECALL = 0.991
"""Recall@1 that ef is chosen for, on the hardest kind of query; the promise to users is 0.99."""

EF_STEPS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

SAME_DISTANCE = 1e-4
"""Relative: an entry no farther than this counts as the nearest, since equal entries have different numbers."""

_TABLE_ROWS = 512


def build_index(bank: NDArray[np.float32]) -> hnswlib.Index:
    """Build the graph over a bank float32 [k, D]; by one thread, so that the same bank gives the same graph."""
    with bar("build index", len(bank), "entry") as moving:
        return build(bank, m=M, ef_construction=EF_CONSTRUCTION, threads=1, added=moving)


def save_index(index: hnswlib.Index, path: Path) -> None:
    """Write an index to a file; hnswlib itself does not notice a disk that is full.

    Raises:
        OSError: the disk did not take all of it.
    """
    index.save_index(str(path))
    if not path.exists() or path.stat().st_size != index.index_file_size():
        raise cut_short(path)


def recall_queries(
    images: Iterable[Image], embed: Callable[[Image], NDArray[np.float32]], judged: NDArray[np.bool_] | None = None
) -> list[NDArray[np.float32]]:
    """Return the features of pictures as they are, and upside down: two kinds of queries, float32 [n, D].

    Of the grid of patches only those that are `judged`, bool [rows, columns], are taken; None: all.

    The graph finds the neighbours of normal patches easily; of strange ones, which matter, it misses more, and a scene
    that stands on its head is strange in every patch.
    """
    here, there = (slice(None), slice(None)) if judged is None else (judged.ravel(), judged[::-1].ravel())
    upright, turned = zip(*((embed(image)[here], embed(image[::-1])[there]) for image in images), strict=True)
    return [np.concatenate(upright), np.concatenate(turned)]


def search_truly(queries: Sequence[NDArray[np.float32]], search: Search) -> list[Neighbours]:
    """Return the true nearest entries of kinds of patch features, by an exact search."""
    return [search(kind) for kind in progress(queries, "measure recall", unit="kind")]


def choose_ef(
    index: hnswlib.Index, queries: Sequence[NDArray[np.float32]], exact: Sequence[Neighbours], threads: int = 0
) -> Index:
    """Find the smallest candidate list with the wanted recall on every kind of query.

    Args:
        index: the graph.
        queries: kinds of patch features that are not in the bank, each float32 [n, D].
        exact: their true nearest entries.
        threads: of hnswlib; 0 means all cores.

    Returns:
        The section of the manifest, with the lowest recall of the kinds; the largest step if none suffices.
    """
    for ef in EF_STEPS:
        graph = GraphSearch(index, ef=ef, threads=threads)
        recall = min(recall_at_1(graph(kind), true) for kind, true in zip(queries, exact, strict=True))
        if recall >= WANTED_RECALL:
            break
    return Index(space="l2", M=M, ef_construction=EF_CONSTRUCTION, ef=ef, recall_at_1=recall)


def recall_at_1(found: Neighbours, exact: Neighbours) -> float:
    """Return the share of patches whose found entry is as near as the nearest."""
    # float32 differences of large numbers: an absolute floor for patches that lie on an entry
    floor = SAME_DISTANCE * float(exact.distance.max(initial=0.0))
    return float(np.mean(found.distance <= exact.distance * (1 + SAME_DISTANCE) + floor))


def neighbour_table(bank: NDArray[np.float32], b: int, wanted: NDArray[np.int64] | None = None) -> NDArray[np.int32]:
    """Find the b nearest entries of each entry, itself first, then by distance and number.

    Args:
        bank: float32 [k, D].
        b: at most k.
        wanted: entries whose rows are wanted, int64 [n]; None: all.

    Returns:
        Rows of the bank, int32 [k, b], or [n, b].

    Raises:
        ValueError: the bank has fewer than b entries.
    """
    size = len(bank)
    if size < b:
        raise ValueError(f"{b} neighbours asked of a bank of {size}")
    points = bank.astype(np.float64)
    norms = np.einsum("kd,kd->k", points, points)
    wanted = np.arange(size) if wanted is None else wanted
    table = np.empty((len(wanted), b), dtype=np.int32)
    for start in progress(range(0, len(wanted), _TABLE_ROWS), "neighbour table", unit="block"):
        rows = wanted[start : start + _TABLE_ROWS]
        squares = norms - 2 * points[rows] @ points.T  # without the row's own norm, which does not change the order
        squares[np.arange(len(rows)), rows] = -np.inf
        limits = np.partition(squares, b - 1, axis=1)[:, b - 1]
        for place, (line, limit) in enumerate(zip(squares, limits, strict=True), start):
            near = np.flatnonzero(line <= limit)  # more than b where several are equally far
            table[place] = near[np.argsort(line[near], kind="stable")][:b]
    return table
