"""Pruned exact search for a few patches, without the product with the whole bank.

The tables (see `tables.py`) bound how near the entries of a group can be at least, so that one comparison excludes it.
In the remaining groups they bound each entry, and only those that could be nearer are compared in full.

Distances may be divided by a number for each entry, its divisor: then a patch that is at distance d so far wants the
entries m with |q - m| <= d * divisor(m).
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Neighbours
from runtime.search import _kernels
from runtime.search.tables import make_tables

_NO_TABLE = np.empty(0, dtype=np.int32)
_ALL = np.empty(0, dtype=np.bool_)


class Known(NamedTuple):
    """Known entries for the patches of a camera, before a search.

    Attributes:
        history: entries nearest in recent frames, the newest first, int64 [n, length].
        around: patches around each, int64 [n, a].
        expected: the distance that decided in the last frame: patches well below it are skipped.
    """

    history: NDArray[np.int64]
    around: NDArray[np.int64]
    expected: float


NOTHING_KNOWN = Known(np.empty(0, np.int64), np.empty(0, np.int64), 0.0)


class PrunedSearch:
    """Compare patches with every entry of the bank, float32 [k, D], that could be nearer than a known one.

    Attributes:
        divisors: what distances to each entry are divided by, float32 [k]; None: 1.
        axes: that the bank varies along most, orthonormal, float64 [D, axes].
    """

    def __init__(
        self,
        bank: NDArray[np.float32],
        neighbours: NDArray[np.int32] | None = None,
        divisors: NDArray[np.float32] | None = None,
        threads: int = 1,
    ) -> None:
        """Compute the axes and the tables.

        Args:
            bank: the entries.
            neighbours: table of neighbours of the entries, int32 [k, b]: patches walk along it from a known entry.
            divisors: what distances to each entry are divided by, float32 [k], above 0; None: 1.
            threads: that share a call where there is enough to do; 0 means all cores. What is found is the same.

        Raises:
            ValueError: `neighbours` is of another bank: its length differs, or it has entries that this one lacks;
                or a divisor is no number above 0.
        """
        if neighbours is not None and len(neighbours) != len(bank):
            raise ValueError(f"neighbours of {len(neighbours)} entries, the bank has {len(bank)}")
        if divisors is not None and not (np.isfinite(divisors) & (divisors > 0)).all():
            raise ValueError("a divisor that is not above 0, or not finite")
        self.divisors = divisors
        beside = np.ascontiguousarray(_NO_TABLE if neighbours is None else neighbours, dtype=np.int32)
        by = np.ones(len(bank), dtype=np.float32) if divisors is None else np.ascontiguousarray(divisors)
        rows = np.ascontiguousarray(bank)
        shared = threads or len(os.sched_getaffinity(0))
        tables = make_tables(rows, by)
        self.axes = tables.principal
        self._tables = _kernels.Tables(rows, beside, by, *tables, float(by.max()), shared)

    @property
    def compared(self) -> int:
        """Number of entries compared in full so far."""
        return self._tables.compared

    def search(
        self,
        features: NDArray[np.float32],
        *,
        k: int,
        known: Known = NOTHING_KNOWN,
        listed: bool = True,
        active: NDArray[np.bool_] | None = None,
    ) -> tuple[Neighbours, float]:
        """Find one entry for each patch; the k largest distances are exact.

        Args:
            features: float32 [n, D].
            k: at least 1.
            known: known entries for the patches; where there are none, all patches are searched by the tables.
            listed: whether all of them are compared with patches that may decide, or only the first.
            active: bool [n], the patches to search; None: all.

        Returns:
            What was found, and the k-th largest distance, 0 if there are fewer patches.
        """
        count = len(features)
        parts = np.empty(count, np.float32), np.empty(count, np.int64), np.empty(count, np.uint8)
        some = _ALL if active is None else active
        decides = self._tables.search(np.ascontiguousarray(features), some, parts, known, k, listed)
        return Neighbours(*parts, active), decides

    def settle(
        self,
        features: NDArray[np.float32],
        found: Neighbours,
        *,
        k: int,
        at_least: float = np.inf,
        known: Known = NOTHING_KNOWN,
    ) -> None:
        """Refine in place, best first, until the k largest distances, and all from `at_least` on, are exact.

        Args:
            features: float32 [n, D].
            found: distances to some entries, from `distances`.
            k: at least 1.
            at_least: smallest distance that is made exact, whatever k is.
            known: known entries for patches of the tier `KNOWN`.
        """
        parts = found.distance, found.index, found.tier
        self._tables.settle(np.ascontiguousarray(features), parts, known, k, at_least)

    def tell_apart(
        self, features: NDArray[np.float32], found: Neighbours, *, at_least: float, known: Known = NOTHING_KNOWN
    ) -> None:
        """Lower every distance whose true value is below `at_least` below it, in place.

        It is faster to show that no entry is nearer than to find the nearest one, the more so for distant patches.

        Args:
            features: float32 [n, D].
            found: distances to some entries, from `distances`.
            at_least: a float32 value; other distances are not changed.
            known: known entries for patches of the tier `KNOWN`.
        """
        parts = found.distance, found.index, found.tier
        self._tables.tell_apart(np.ascontiguousarray(features), parts, known, at_least)
