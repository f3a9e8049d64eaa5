"""Let the table of neighbours and the HNSW index follow a bank that grew, without computing them from scratch."""

from __future__ import annotations

from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.index import neighbour_table

_MARGIN = 1e-6
"""Relative: more than the rounding of a squared distance in float64, less than a row too many costs."""

_ROWS = 1024  # of the bank at a time


def grown_table(bank: NDArray[np.float32], table: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the table of neighbours of a bank, float32 [k, D], from that of its beginning, int32 [n, b].

    Only rows of new entries, and rows that a new entry belongs to, are computed.
    """
    old, b = table.shape
    rows = np.concatenate([_changed(bank, table), np.arange(old, len(bank))])
    grown = np.empty((len(bank), b), np.int32)
    grown[:old] = table
    grown[rows] = neighbour_table(bank, b, rows)
    return grown


def _changed(bank: NDArray[np.float32], table: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the old entries that a new entry is nearer to than the last neighbour in their row."""
    old = len(table)
    new = bank[old:].astype(np.float64)
    if not len(new):
        return np.empty(0, np.int64)
    norms = np.einsum("nd,nd->n", new, new)
    changed: list[NDArray[np.int64]] = []
    for start in range(0, old, _ROWS):
        some = bank[start : min(start + _ROWS, old)].astype(np.float64)
        own = np.einsum("nd,nd->n", some, some)
        nearest = (norms - 2 * some @ new.T).min(axis=1) + own
        last = np.square(some - bank[table[start : start + len(some), -1]]).sum(axis=1)
        changed.append(start + np.flatnonzero(nearest <= last + _MARGIN * (own + norms.max())))
    return np.concatenate(changed)


def grown_index(path: Path, bank: NDArray[np.float32]) -> hnswlib.Index:
    """Return the index of a bank, float32 [k, D], from that of its beginning; by one thread, so that it is repeatable.

    Args:
        path: of the index of the beginning, which was verified.
        bank: the grown bank.
    """
    index = hnswlib.Index(space="l2", dim=bank.shape[1])
    index.load_index(str(path), max_elements=len(bank))
    old = index.get_current_count()
    if old < len(bank):
        index.add_items(bank[old:], np.arange(old, len(bank)), num_threads=1)
    return index
