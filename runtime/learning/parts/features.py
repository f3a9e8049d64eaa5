"""Patch features of all pictures, wherever they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.moments import Ask
from runtime.learning.bank.over_grid import over_grid
from runtime.learning.parts.part import About, Adjusting, EmbedCopies, Take
from runtime.learning.parts.spread import Parts
from runtime.learning.vary.copies import Copies, Plan


class SpreadFeatures:
    """Patch features of pictures, one after the other; after those of all pictures, those of altered copies of some.

    Attributes:
        parts: where they lie.
        patches: of a picture, only those that are judged.
        dimension: length D of a feature.
        pictures: number of the picture that each picture (itself) and copy shows, int64 [pictures + copies].
        judged: which patches of the grid they are, bool [grid]; None: all.
    """

    def __init__(self, parts: Parts, count: int, grid: tuple[int, ...], judged: NDArray[np.bool_] | None) -> None:
        """Take the features of pictures.

        Args:
            parts: where they lie.
            count: number of pictures.
            grid: number of patches over the grid, and length of a feature.
            judged: which patches of the grid they are; None: all.
        """
        self.parts = parts
        self.patches = grid[0] if judged is None else int(judged.sum())
        self.dimension = grid[1]
        self.judged = judged
        self.pictures = np.arange(count)
        self._count = count

    def __len__(self) -> int:
        """Return the number of pictures, without copies."""
        return self._count

    def add_copies(self, plan: Plan) -> Copies:
        """Embed altered copies of some pictures, and append them."""
        self.parts.tell(EmbedCopies(plan, self._count))
        self.pictures = np.append(self.pictures, np.array([one[0] for one in plan.in_order()], dtype=np.int64))
        return plan.numbers(self._count)

    def pictures_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the picture that each row belongs to; for a row of a copy, that of the copied one."""
        return np.asarray(self.pictures[rows // self.patches])

    def about(self, numbers: NDArray[np.int64]) -> Ask[Any]:
        """Return what asks each part about the features of some pictures and copies."""
        return lambda question: self.parts.ask(About(numbers, question))

    def restore(self) -> None:
        """Undo all adjustments."""
        self.parts.tell(Adjusting())

    def subtract(self, offset: NDArray[np.float32]) -> None:
        """Subtract an offset at each patch, float32 [patches, D], before they are multiplied."""
        self.parts.tell(Adjusting(offset=offset))

    def multiply(self, scale: NDArray[np.float32]) -> None:
        """Multiply the features by a factor for each channel, float32 [D], above 0."""
        self.parts.tell(Adjusting(scale=scale))

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of some rows, float32 [n, D]."""
        found = np.empty((len(rows), self.dimension), dtype=np.float32)
        for places, features in self.parts.ask(Take(rows)):
            found[places] = features
        return found

    def judged_rows(self, number: int) -> NDArray[np.float32]:
        """Return the features of the judged patches of a picture or copy, float32 [patches, D]."""
        if not 0 <= number < len(self.pictures):
            raise IndexError(number)
        return self.take(np.arange(number * self.patches, (number + 1) * self.patches))

    def __getitem__(self, number: int) -> NDArray[np.float32]:
        """Return the features of a picture or copy over the grid, float32 [grid, D]; 0 where it is not judged."""
        return self.over_grid(self.judged_rows(number))

    def over_grid(self, judged: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put what belongs to the judged patches, float32 [patches, D], in their places: [grid, D], 0 elsewhere."""
        return over_grid(judged, self.judged)
