"""The rows of all features that entries are chosen from, without a list of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class CandidateRows:
    """The rows to choose from: the patches of some pictures and copies, or some of these.

    Attributes:
        numbers: of pictures and copies, int64 [n], ascending.
        patches: of a picture.
        chosen: places among all of their patches, int64 [N], ascending; None: all.
    """

    numbers: NDArray[np.int64]
    patches: int
    chosen: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers) * self.patches if self.chosen is None else len(self.chosen)

    def row(self, place: int) -> int:
        """Return the row of all features at a place among these."""
        place = place if self.chosen is None else int(self.chosen[place])
        return int(self.numbers[place // self.patches]) * self.patches + place % self.patches

    def of(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[slice]]:
        """Return the rows of some pictures, int64 [n], and which of them belong to one picture."""
        own = np.flatnonzero(np.isin(self.numbers, numbers))
        starts = own * self.patches
        if self.chosen is None:
            rows = (self.numbers[own][:, None] * self.patches + np.arange(self.patches)).reshape(-1)
            ends = np.arange(len(own) + 1) * self.patches
        else:
            bounds = np.searchsorted(self.chosen, [starts, starts + self.patches])
            parts = [self.chosen[first:last] for first, last in bounds.T.tolist()]
            shifts = self.numbers[own] * self.patches - starts
            rows = np.concatenate([np.empty(0, np.int64), *(one + by for one, by in zip(parts, shifts, strict=True))])
            ends = np.cumsum([0, *map(len, parts)])
        pairs = zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        return rows, [slice(first, last) for first, last in pairs if first < last]
