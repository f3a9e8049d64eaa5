"""How strange each picture is among the others: its score against the bank without itself and its twins.

A picture's own patches are in the bank, and so may be those of near copies: a person who stays for three frames, the
same fault on five products. So the distance of a patch is that to the `twins + 1`-th nearest *picture*, where a picture
is as far as the nearest of its entries. What is normal is in many pictures, and what is strange in few. A held-out
picture is judged by the same distance, so that both can be compared.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.in_slices import each, workers
from runtime.learning.normals._nearest import nearest
from runtime.learning.progress import progress

TWINS = 4
"""Pictures that are left out for each patch beside its own: the nearest."""

SHARE = 4
"""Pictures in the bank for each one that may be left out: of few pictures none is."""

PREFIX = 1024
"""Entries of the bank that give every patch a first bound, and the first of each picture. The bank is in greedy order:
its beginning is a cover."""

MAX_EXACT = 64
"""Patches of a picture that are compared with the whole bank at most; the others keep out of the score."""

_BLOCK = 32  # patches compared with the whole bank at a time: of 100,000 entries 13 MB
_ROWS = 400  # patches compared with the prefix at a time: their products stay in the cache


class Table(Protocol):
    """Patch features of pictures.

    Attributes:
        judged: which patches of the grid they are of, bool [grid]; None for all.
    """

    judged: NDArray[np.bool_] | None

    def __len__(self) -> int:
        """Return the number of pictures."""

    def __getitem__(self, picture: int) -> NDArray[np.float32]:
        """Return the features of a picture, float32 [patches, D]."""


def patches_of(table: Table, number: int) -> NDArray[np.float32]:
    """Return the features of the patches of a picture that are judged."""
    judged = table.judged
    return table[number] if judged is None else table[number][judged.reshape(-1)]


class Strangeness(Protocol):
    """Says how far pictures are from the others."""

    def scores(self, table: Any, numbers: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Return the mean of the k largest distances of some pictures, float64 [n]."""

    def distances(self, table: Any, number: int) -> NDArray[np.float32]:
        """Return the distance of each patch of a picture, float32 [patches]."""


class Others:
    """The bank, by pictures: how far patches are from the pictures that they are not from."""

    def __init__(
        self, bank: NDArray[np.float32], owner: NDArray[np.int64], spacing: NDArray[np.float32] | None = None
    ) -> None:
        """Take the bank.

        Args:
            bank: float32 [k, D], in greedy order.
            owner: picture that each entry is from, int64 [k].
            spacing: what the distance to each entry is divided by, float32 [k]; None for plain distances.
        """
        self._middle = bank.mean(axis=0)  # nearer to zero, so that squares lose fewer digits
        scale = np.ones(len(bank), dtype=np.float32) if spacing is None else spacing
        self._whole = _Entries(bank - self._middle, owner, scale)
        first = np.unique(np.append(np.arange(min(PREFIX, len(bank))), np.unique(owner, return_index=True)[1]))
        self._prefix = _Entries(bank[first] - self._middle, owner[first], scale[first])
        self.pictures = len(self._whole.pictures)
        self.twins = max(0, min(TWINS, self.pictures // SHARE))

    def scores(self, table: Table, numbers: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Return how strange some pictures of a table are, float64 [n]: the mean of their k largest distances."""
        with workers() as pool:
            found = pool.map(lambda number: self.score(patches_of(table, number), number, k), numbers.tolist())
            return np.array(list(progress(found, "judge pictures", total=len(numbers), unit="picture")))

    def score(self, features: NDArray[np.float32], own: int, k: int) -> float:
        """Return the mean of the k largest distances of a picture's patches, float32 [patches, D].

        Args:
            features: of the picture.
            own: its number; one that no entry is from for a held-out picture.
            k: at least 1.
        """
        features = features - self._middle
        bounds = np.concatenate(
            [self._prefix.apart(features[row : row + _ROWS], own, self.twins) for row in range(0, len(features), _ROWS)]
        )
        order = np.argsort(-bounds, kind="stable")
        k = min(k, len(order))
        exact = np.empty(0, dtype=np.float32)
        for start in range(0, min(len(order), max(MAX_EXACT, k)), _BLOCK):
            block = order[start : start + _BLOCK]
            if len(exact) >= k and exact[k - 1] >= bounds[block[0]]:
                break
            exact = -np.sort(-np.append(exact, self._whole.apart(features[block], own, self.twins)))
        return float(exact[:k].mean(dtype=np.float64))

    def distances(self, features: NDArray[np.float32], own: int) -> NDArray[np.float32]:
        """Return the distance of each patch of a picture, float32 [patches]."""
        features = features - self._middle
        with workers() as pool:
            parts = each(pool, lambda rows: self._whole.apart(features[rows], own, self.twins), len(features), _BLOCK)
        return np.concatenate(parts)


class _Entries:
    """Entries of the bank, sorted by the pictures that they are from."""

    def __init__(self, entries: NDArray[np.float32], owner: NDArray[np.int64], scale: NDArray[np.float32]) -> None:
        order = np.argsort(owner, kind="stable")
        self._entries = np.ascontiguousarray(entries[order])
        self._norms = np.einsum("kd,kd->k", self._entries, self._entries)
        self._weights = (1 / scale[order] ** 2).astype(np.float32)
        self.pictures, self._starts = np.unique(owner[order], return_index=True)

    def apart(self, features: NDArray[np.float32], own: int, twins: int) -> NDArray[np.float32]:
        """Return how far patches are from the `twins + 1`-th nearest picture that is not their own, float32 [n].

        It is 0 if there is no such picture.
        """
        found = np.zeros(len(features), dtype=np.float32)
        if np.count_nonzero(self.pictures != own) > twins:
            lengths = np.einsum("nd,nd->n", features, features)
            place = int(np.searchsorted(self.pictures, own))
            mine = place if place < len(self.pictures) and self.pictures[place] == own else -1
            of_entries = self._norms, self._weights, self._starts
            nearest(features @ self._entries.T, lengths, *of_entries, mine, twins, found)
        return np.sqrt(np.maximum(found, 0))
