"""Embed altered copies of the pictures: some of the training pictures for the bank, and each held-out one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.may_vary import NOTHING, MayVary
from runtime.frame import Image
from runtime.learning.bank.features import FeatureTable
from runtime.learning.bank.in_slices import in_turn
from runtime.learning.pictures.images import Pictures
from runtime.learning.progress import progress
from runtime.learning.vary.change import Change
from runtime.learning.vary.strengths import at_random, fixed, steps
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess

LEARNT_SHARE = 0.25
"""Copies for the bank to one training picture: each costs as much time as a picture, and they need not show every part
of every picture, but what changes in another light or place."""

MIN_ROUNDS = 2
"""Each fixed strength is learnt from at least so many pictures, ..."""
MAX_LEARNT = 60
"""... and all together from at most so many, unless there are more strengths."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Where the altered copies are in the table of features.

    Attributes:
        learnt: numbers of copies for the bank, int64 [copies].
        calibrated: the number to calibrate with for each picture, int64 [pictures]: its copy if it is held out and
            something may vary, else its own.
    """

    learnt: NDArray[np.int64]
    calibrated: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which pictures are copied, and how.

    Attributes:
        learnt: picture and alteration of each copy for the bank.
        held: picture and alteration of each copy to calibrate with.
    """

    learnt: list[tuple[int, Change]]
    held: list[tuple[int, Change]]

    def __len__(self) -> int:
        """Return the number of copies."""
        return len(self.learnt) + len(self.held)

    def in_order(self) -> list[tuple[int, bool, Change]]:
        """Return picture, whether the bank learns it, and alteration of each copy, in the order of the pictures."""
        learnt = [(picture, True, change) for picture, change in self.learnt]
        held = [(picture, False, change) for picture, change in self.held]
        return sorted(learnt + held, key=itemgetter(0))  # a stable order

    def numbers(self, pictures: int) -> Copies:
        """Return where the copies are in a table of so many pictures that they follow."""
        calibrated = np.arange(pictures)
        learnt: list[int] = []
        for number, (picture, is_learnt, _) in enumerate(self.in_order(), pictures):
            if is_learnt:
                learnt.append(number)
            else:
                calibrated[picture] = number
        return Copies(np.array(learnt, dtype=np.int64), calibrated)


def plan(may_vary: MayVary, held: NDArray[np.bool_], seed: int) -> Plan:
    """Choose pictures and alterations: of the training pictures some, spread evenly; of the held-out ones each.

    Args:
        may_vary: what is no fault.
        held: bool [pictures], True for held out.
        seed: of what is random.
    """
    if may_vary == NOTHING:
        return Plan([], [])
    training = np.flatnonzero(~held)
    least = MIN_ROUNDS * steps(may_vary)
    count = max(least, min(MAX_LEARNT, round(LEARNT_SHARE * len(training))))
    places = np.linspace(0, len(training) - 1, count).round().astype(int)
    learnt = list(zip(training[places].tolist(), fixed(may_vary, count, seed), strict=True))
    return Plan(learnt, [(number, at_random(may_vary, seed, number)) for number in np.flatnonzero(held).tolist()])


def embed_copies(
    chosen: Plan,
    features: FeatureTable,
    pictures: Pictures,
    preprocess: Preprocess,
    embed: Embed,
    *,
    shown: bool = True,
    streams: int = 1,
) -> Copies:
    """Embed the copies, and append them to the table of features.

    Args:
        chosen: which pictures are copied, and how.
        features: of the pictures.
        pictures: the pictures.
        preprocess: the runtime's stage.
        embed: the runtime's stage.
        shown: show the progress.
        streams: copies that are embedded at the same time.
    """

    def of(altered: tuple[int, Image]) -> tuple[int, NDArray[np.float32]]:
        return altered[0], embed(preprocess(altered[1]))

    done = in_turn(streams, of, _altered(chosen, pictures))
    for picture, embedded in progress(done, "embed copies", total=len(chosen), unit="copy") if shown else done:
        features.add_copy(picture, embedded)
    return chosen.numbers(len(features))


def learnt_again(chosen: Plan, pictures: Pictures, learnt: NDArray[np.bool_]) -> Iterator[Image]:
    """Yield once more what the bank was selected from: the training pictures, and then their altered copies.

    Args:
        chosen: which pictures were copied, and how.
        pictures: the normal pictures.
        learnt: the training pictures, bool [pictures].
    """
    yield from pictures.again(np.flatnonzero(learnt).tolist())
    kept = [(picture, change) for picture, change in chosen.learnt if learnt[picture]]
    yield from (image for _, image in _altered(Plan(kept, []), pictures))


def _altered(chosen: Plan, pictures: Pictures) -> Iterator[tuple[int, Image]]:
    """Yield picture and altered copy, in the order of the pictures."""
    ordered = chosen.in_order()
    numbers = sorted({number for number, _, _ in ordered})
    each = groupby(ordered, key=itemgetter(0))
    for image, (number, some) in zip(pictures.again(numbers), each, strict=True):
        for _, _, change in some:
            yield number, change(image)
