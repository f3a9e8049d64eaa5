"""Measure what each tolerance costs: synthetic faults found with it and without it, on small banks of equal size.

Two banks are made from the same few training pictures: one also from their altered copies. Two thresholds come from the
same held-out pictures, as they are and altered. The same faults are scored with both. A few pictures suffice for a
comparison, and bound its time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Scoring
from export.options import Options
from runtime.frame import Image
from runtime.learning.bank.bank import bank_size
from runtime.learning.bank.coreset import select
from runtime.learning.bank.index import neighbour_table
from runtime.learning.bank.measure import NEAREST, make_measure
from runtime.learning.gate.synthetic_faults import Judged, with_faults
from runtime.learning.pictures.images import Pictures, evenly
from runtime.learning.progress import progress
from runtime.learning.vary.copies import Plan, plan
from runtime.learning.vary.strengths import each_alone
from runtime.scoring.adjust import Adjust
from runtime.scoring.score import ScoreFrame
from runtime.search.full import ExactSearch

MAX_LEARNT, MAX_HELD = 24, 32
"""Maximum number of training and held-out pictures for the comparison, spread evenly."""

FAULTS = 3
"""Synthetic faults in each held-out picture, one at a time."""

MAX_ENTRIES = 2000
"""Maximum number of entries of each bank."""

Features = NDArray[np.float32]


class ToleranceCost(msgspec.Struct, frozen=True):
    """What a tolerance costs.

    Attributes:
        tolerance: the tolerance alone, as `--may-vary` takes it.
        found, found_without: share of synthetic faults over the threshold with it and without it, 0 to 1.
        faults: number of synthetic faults.
    """

    tolerance: str
    found: float
    found_without: float
    faults: int


@dataclass(slots=True)
class _Case:
    """What is learnt and what calibrates, as features of pictures; `chosen` says which copies are still to be made."""

    chosen: Plan
    learnt: list[Features] = field(default_factory=list)
    calibrated: list[Features] = field(default_factory=list)

    def add(self, place: int, image: Image, embed: Callable[[Image], Features]) -> None:
        """Embed the copies of a picture."""
        for pairs, features in ((self.chosen.learnt, self.learnt), (self.chosen.held, self.calibrated)):
            features += [embed(change(image)) for number, change in pairs if number == place]


def measure_tolerances(
    pictures: Pictures,
    held: NDArray[np.bool_],
    embed: Callable[[Image], Features],
    judged_pixels: Judged,
    scoring: Scoring,
    threshold_of: Callable[[NDArray[np.float64]], float],
    options: Options,
) -> list[ToleranceCost]:
    """Measure the cost of each declared tolerance by itself.

    Args:
        pictures: the normal pictures.
        held: bool [pictures], True for held out.
        embed: from a picture to its patch features, float32 [patches, D].
        judged_pixels: where faults are.
        scoring: score mode.
        threshold_of: from scores of held-out pictures to the threshold.
        options: tolerances, share of the coreset, seed.
    """
    learnt, judged = _some(~held, MAX_LEARNT), _some(held, MAX_HELD)
    places = np.arange(len(learnt) + len(judged)) >= len(learnt)
    alone = each_alone(options.may_vary)
    cases = [_Case(plan(tolerance, places, options.seed)) for tolerance in alone]
    plain = _Case(Plan([], []))
    walk = chain(pictures.again(learnt), pictures.again(judged))
    for place, image in enumerate(progress(walk, "cost of tolerances", total=len(places), unit="picture")):
        (plain.calibrated if places[place] else plain.learnt).append(embed(image))
        for case in cases:
            case.add(place, image, embed)
    rounds = (with_faults(pictures.again(judged), options.seed + turn, judged_pixels) for turn in range(FAULTS))
    faults = [embed(broken) for _, broken in chain.from_iterable(rounds)]
    size = min(MAX_ENTRIES, bank_size(options, len(plain.learnt) * len(faults[0])))

    def found(learnt: list[Features], calibrated: list[Features]) -> float:
        score = _scores(np.concatenate(learnt), size, scoring, options)
        return float((score(faults) > threshold_of(score(calibrated))).mean())

    without = found(plain.learnt, plain.calibrated)
    return [
        ToleranceCost(str(tolerance), found(plain.learnt + case.learnt, case.calibrated), without, len(faults))
        for tolerance, case in zip(alone, cases, strict=True)
    ]


def _some(chosen: NDArray[np.bool_], most: int) -> list[int]:
    """Return the numbers of at most `most` of the chosen pictures, spread evenly."""
    numbers = np.flatnonzero(chosen)
    return [int(numbers[place]) for place in evenly(len(numbers), most)]


def _scores(
    patches: Features, size: int, scoring: Scoring, options: Options
) -> Callable[[list[Features]], NDArray[np.float64]]:
    """Return a function that scores pictures against a bank of some of the patches, searched exactly."""
    projection_dim = options.projection_dim if 0 < options.projection_dim < patches.shape[1] else None
    bank = patches[select(patches, size, seed=options.seed, projection_dim=projection_dim).places]
    table = neighbour_table(bank, min(max(scoring.b, 1 + NEAREST), size))
    divisors = make_measure(Adjust(np.ones(bank.shape[1], np.float32)), bank, table, options.spacing).divisors
    search = ExactSearch(bank, divisors)
    score = ScoreFrame(bank, table[:, : scoring.b], scoring.mode, scoring.k, divisors)
    return lambda pictures: np.array([score(features, search(features)).value for features in pictures])
