"""Score synthetic faults of stated sizes and contrasts as a device does, wherever the pictures are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.gate.sized_faults import FRAMES, PlacedFault, SizedFault, cell_side, fits, is_grey, place, plan, seen_box
from runtime.frame import Image
from runtime.learning.gate.synthetic_faults import Judged, all_judged
from runtime.learning.parts.gate import ServedAs, here_of, read_here
from runtime.learning.parts.part import PartOfPictures
from runtime.learning.parts.portable import PortableBank
from runtime.scoring.scorer import Scorer

MAX_HOSTS = 45
"""Maximum number of pictures that faults are drawn on: each is read once."""


@dataclass(frozen=True, slots=True, eq=False)
class FaultScores:
    """What the faults scored.

    Attributes:
        faults: the faults.
        scores: float64 [faults].
        cell: side of a patch, pixels of the camera.
    """

    faults: list[SizedFault]
    scores: NDArray[np.float64]
    cell: float


PlacedFaults = Mapping[int, list[PlacedFault]]
"""The faults of each host, by its number, ascending."""

JudgeFaults = Callable[[PlacedFaults], Mapping[int, list[float]]]
"""Scores the faults of each host, wherever it is read."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreFaults:
    """What do these faults score on a device? A question about a part of the pictures."""

    faults: PlacedFaults

    def __call__(self, part: PartOfPictures, bank: PortableBank, served: ServedAs) -> dict[int, list[float]]:
        """Return it for the hosts that are here."""
        own, scorer = here_of(part, self.faults), served.scorer(part, bank, together=True)

        def scored(shown: tuple[int, Image]) -> tuple[int, list[float]]:
            number, picture = shown
            return number, score_placed(picture, self.faults[number], scorer.another())

        return dict(part.walk_together(scored, read_here(part, own), "synthetic faults", len(own)))


def score_placed(picture: Image, faults: Iterable[PlacedFault], scorer: Scorer) -> list[float]:
    """Return the scores of a picture with each of its faults."""
    return [scorer(fault(picture)).value for fault in faults]


def score_faults(
    first: Image,
    hosts_hw: Mapping[int, tuple[int, int]],
    scorer: Scorer,
    judge: JudgeFaults,
    seed: int,
    judged: Judged = all_judged,
) -> FaultScores:
    """Score faults of all kinds, sizes and contrasts.

    Args:
        first: the first host, uint8 [H, W, 3] BGR.
        hosts_hw: height and width of normal pictures that are not in the bank, by number, ascending: 1 to `MAX_HOSTS`.
        scorer: the stages as the device runs them.
        judge: scores the faults.
        seed: random seed of the places; the same pictures and seed give the same faults.
        judged: where pictures are judged: there the middle of a fault is.
    """
    cell = cell_side(first.shape[:2], scorer)
    frames = FRAMES // len(scorer.preprocess(first))  # each costs as many inputs as it has tiles
    faults = plan(fits(first, cell, scorer), colours=not is_grey(first), seed=seed, frames=frames)
    random = np.random.default_rng(seed)
    of_host = {host: range(at, len(faults), len(hosts_hw)) for at, host in enumerate(hosts_hw)}
    found = judge(
        {
            host: _place_all([faults[at] for at in of_host[host]], host_hw, scorer, random, judged(host_hw))
            for host, host_hw in hosts_hw.items()
        }
    )
    scores = np.zeros(len(faults))
    for host, places in of_host.items():
        scores[places] = found[host]
    return FaultScores(faults, scores, cell)


def _place_all(
    faults: list[SizedFault],
    picture_hw: tuple[int, int],
    scorer: Scorer,
    random: np.random.Generator,
    judged: NDArray[np.bool_] | None,
) -> list[PlacedFault]:
    box, cell = seen_box(picture_hw, scorer), cell_side(picture_hw, scorer)
    return [place(fault, cell, box, random, judged) for fault in faults]
