"""Count the synthetic faults that a new threshold no longer finds.

A threshold follows the scores of the new normal pictures. Where all of them show something new, such as a label, it is
lifted over that, and over every fault that scores less. Golden frames show this only by chance: there is one with a
fault, and a strong one.

A fault is judged by its own patches, those that it changes: in pictures that score over the old threshold as they are,
every fault would count as found before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Scoring
from runtime.frame import Image
from runtime.learning.gate.synthetic_faults import Judged, with_faults
from runtime.scoring.scorer import Scorer

MAX_PICTURES = 48
"""Maximum number of new pictures that faults are drawn on, spread evenly."""

ROUNDS = 2
"""Faults on each picture, one at a time."""

MAX_LOST = 0.25
"""Maximum share of the faults found before that may be lost. A threshold that rises by a tenth, as light and wear of a
day make it, loses 4 % of them in the office and 22 % on the demo belt, where they are faint; one that follows a label
of 40 pixels on every picture of the belt loses them all."""

MIN_FOUND = 10
"""With fewer faults found before, their share says nothing."""

CHANGED = 0.25
"""A patch belongs to a fault if it changes by at least this share of the largest change."""


class FaultsLost(msgspec.Struct, frozen=True):
    """Synthetic faults on normal pictures, by the old threshold and by the new one.

    Attributes:
        faults: number of faults: on the new pictures, and on the bundle's normal golden frames.
        before: number over the old threshold.
        after: number over the new threshold.
        limit: largest share of those found before that may be lost.
    """

    faults: int
    before: int
    after: int
    limit: float = MAX_LOST

    @property
    def lost(self) -> float:
        """Share of the faults found before that are not found any more, 0 to 1."""
        return 1 - self.after / self.before if self.after < self.before else 0.0

    @property
    def too_many(self) -> bool:
        """Whether more are lost than may be."""
        return self.before >= MIN_FOUND and self.lost > self.limit

    def __str__(self) -> str:
        """Return the counts in words."""
        lost = f", {self.lost:.0%} lost (limit {self.limit:.0%})" if self.after < self.before else ""
        return f"{self.after} of {self.faults} synthetic faults are found, {self.before} by the old threshold{lost}"


def count_lost(
    pictures: Sequence[Iterable[Image]], scorer: Scorer, scoring: Scoring, before: float, after: float, judged: Judged
) -> FaultsLost:
    """Draw faults on normal pictures, and count those over the old threshold and over the new one.

    Args:
        pictures: the same pictures for each round, uint8 [H, W, 3] BGR.
        scorer: the stages as the device runs them.
        scoring: the score mode of the bundle.
        before: the old threshold.
        after: the new one.
        judged: where pictures are judged.
    """
    rounds = (with_faults(some, seed, judged) for seed, some in enumerate(pictures))
    scores = np.array([_of_fault(*pair, scorer, scoring) for pair in chain.from_iterable(rounds)])
    return FaultsLost(len(scores), int((scores > before).sum()), int((scores > after).sum()))


def _of_fault(picture: Image, damaged: Image, scorer: Scorer, scoring: Scoring) -> float:
    """Score a fault by the patches that it changes."""
    features = scorer.embed(scorer.preprocess(damaged))
    change = np.linalg.norm(features - scorer.embed(scorer.preprocess(picture)), axis=1)
    if scorer.judged is not None:
        change = np.where(scorer.judged, change, 0.0)
    active = _changed(change, scoring.k if scoring.mode == "topk" else 1)
    return scorer.score(features, scorer.whole(features, active)).value if active.any() else 0.0


def _changed(change: NDArray[np.float32], least: int) -> NDArray[np.bool_]:
    """Return the patches that changed much, bool [patches]: at least so many of those that changed at all."""
    enough = min(CHANGED * float(change.max()), float(np.sort(change)[-min(least, len(change))]))
    return np.asarray((change >= enough) & (change > 0))
