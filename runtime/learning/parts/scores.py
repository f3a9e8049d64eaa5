"""Score pictures where their features lie: among the others, and as a device does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Scoring
from runtime.learning.parts.features import SpreadFeatures
from runtime.learning.parts.part import PartOfPictures
from runtime.learning.parts.portable import PortableBank

Scores = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Numbers of pictures, and what belongs to each, float64 [n, ...]."""


class SpreadOthers:
    """The bank, by pictures, for pictures wherever they lie."""

    def __init__(self, bank: PortableBank) -> None:
        """Take the bank."""
        self._bank = bank

    def scores(self, table: SpreadFeatures, numbers: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Return how strange some pictures are, float64 [n]."""
        return _together(numbers, table.parts.ask(AmongOthers(numbers, k), self._bank, what="judge pictures"))

    def distances(self, table: SpreadFeatures, number: int) -> NDArray[np.float32]:
        """Return the distance of each patch of a picture, float32 [patches]."""
        (found,) = (one for one in table.parts.ask(PatchesAmongOthers(number), self._bank) if one is not None)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class AmongOthers:
    """How strange are these pictures?

    Attributes:
        numbers: of all, int64 [n].
        k: number of patch distances whose mean says it.
    """

    numbers: NDArray[np.int64]
    k: int

    def __call__(self, part: PartOfPictures, bank: PortableBank) -> Scores:
        """Return the scores of those that are here."""
        own, others = part.here(self.numbers), bank.others
        found = part.place.pool.map(lambda number: others.score(part.judged(number), number, self.k), own.tolist())
        return own, np.array(list(part.walk(found, "judge pictures", len(own))), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class PatchesAmongOthers:
    """How far is each patch of a picture from the other pictures?"""

    number: int

    def __call__(self, part: PartOfPictures, bank: PortableBank) -> NDArray[np.float32] | None:
        """Return float32 [patches]; None where the picture is not here."""
        if self.number not in part.numbers:
            return None
        return bank.others.distances(part.judged(self.number), self.number)


def held_out_scores(
    features: SpreadFeatures,
    numbers: NDArray[np.int64],
    bank: PortableBank,
    scoring: Scoring,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score held-out pictures, or copies of them, as a device does.

    Returns:
        Their scores, and the length of the longest feature of each, float64 [n].
    """
    question = AsServed(numbers, scoring, features.judged)
    both = _together(numbers, features.parts.ask(question, bank, what="calibrate"))
    return both[:, 0], both[:, 1]


@dataclass(frozen=True, slots=True, eq=False)
class AsServed:
    """What do these pictures score on a device?

    Attributes:
        numbers: of all, int64 [n].
        scoring: score mode.
        judged: patches that are judged, bool [grid]; None: all.
    """

    numbers: NDArray[np.int64]
    scoring: Scoring
    judged: NDArray[np.bool_] | None

    def __call__(self, part: PartOfPictures, bank: PortableBank) -> Scores:
        """Return score and longest feature of those that are here."""
        own = part.here(self.numbers)
        scorer = bank.scorer(part.network.network, self.scoring, self.judged)
        found = np.empty((len(own), 2))
        for row, number in zip(found, part.walk(own.tolist(), "calibrate", len(own)), strict=True):
            features = part.features(number)
            if self.scoring.mode == "paper":  # of two entries that are equally far, the history would choose one
                scorer = scorer.another()
            row[:] = scorer.judge(features).value, np.linalg.norm(features, axis=1).max()
        return own, found


def _together(numbers: NDArray[np.int64], parts: list[Any]) -> NDArray[np.float64]:
    """Put what belongs to pictures into the order of `numbers`, ascending or not."""
    order = np.argsort(numbers, kind="stable")
    some = next(values for _, values in parts)
    found = np.empty((len(numbers), *some.shape[1:]))
    for own, values in parts:
        found[order[np.searchsorted(numbers, own, sorter=order)]] = values
    return found
