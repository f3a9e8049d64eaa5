"""Differences between two ways to score the same pictures, and their limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.parity_result import Comparison, Difference
from edge_config.errors import ParityRefused
from runtime.frame import Score
from runtime.inference.golden_frames import unit
from runtime.scoring.scorer import Scorer

ROUNDING = 1e-4
"""Maximum rounding error relative to a feature's length: a threshold below it separates nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a `Comparison`; infinite where a difference has no meaning."""

    features: float
    distances: float
    distances_mean: float
    scores: float


@dataclass(slots=True)
class ComparedWays:
    """Measurements on the pictures so far."""

    features: list[NDArray[np.float64]] = field(default_factory=list)
    distances: list[NDArray[np.float64]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    ties: list[bool] = field(default_factory=list)

    def add(
        self,
        found: Score,
        apart: NDArray[np.float64],
        true: Score,
        features: NDArray[np.float32],
        wanted: NDArray[np.float32],
        scorer: Scorer,
    ) -> None:
        """Compare one picture: features, scores, and by how much the distance of each patch differs, float64 [n]."""
        judged = slice(None) if true.found.active is None else true.found.active
        self.features.append(relative(features, wanted)[judged])
        largest = unit(true.distances, wanted, scorer)
        self.distances.append(apart[judged] / largest)
        tie = (found.patch, found.entry) != (true.patch, true.entry)
        self.ties.append(tie)
        # Two entries at the same distance have different neighbours, and so another re-weighting: then only the largest
        # distance can be compared.
        here, there = (float(score.distances.max()) if tie else score.value for score in (found, true))
        self.scores.append(abs(here - there) / largest)

    def join(self, other: ComparedWays) -> None:
        """Append those of other pictures."""
        self.features += other.features
        self.distances += other.distances
        self.scores += other.scores
        self.ties += other.ties

    def summary(self) -> Comparison:
        """Return the largest and the mean of each."""
        features, distances = np.concatenate(self.features), np.concatenate(self.distances)
        return Comparison(
            features=_difference(features),
            distances=_difference(distances),
            scores=_difference(np.array(self.scores)),
            ties=float(np.mean(self.ties)),
        )


Check = tuple[str, float, float, str]
"""What was compared, the difference, its limit, and what may be the reason."""


def checks(way: str, found: Comparison, limits: Limits, reason: str) -> list[Check]:
    """Return the checks of a comparison."""
    return [
        (f"{way}, features", found.features.largest, limits.features, reason),
        (f"{way}, patch distances", found.distances.largest, limits.distances, reason),
        (f"{way}, patch distances, mean", found.distances.mean, limits.distances_mean, reason),
        (f"{way}, image scores", found.scores.largest, limits.scores, reason),
    ]


def judge(compared: Iterable[Check]) -> None:
    """Refuse values beyond the limits, and NaN.

    Raises:
        ParityRefused: one is.
    """
    for what, found, limit, reason in compared:
        if not found <= limit:
            raise ParityRefused(
                f"parity gate: {what}: differs by {found:.2e}, allowed is {limit:.0e}",
                remedy=f"no bundle was made; {reason}",
            )


def relative(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ||found - wanted|| / ||wanted|| of each patch, for float32 [patches, D]."""
    apart = np.linalg.norm(found.astype(np.float64) - wanted, axis=1)
    lengths = np.linalg.norm(wanted.astype(np.float64), axis=1)
    return np.asarray(apart / np.maximum(lengths, np.finfo(np.float32).tiny))


def apart(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Return the largest ||found - wanted|| of some patches, relative to the longest feature, float32 [patches, D]."""
    wanted64 = wanted.astype(np.float64)
    longest = max(float(np.linalg.norm(wanted64, axis=1).max()), float(np.finfo(np.float32).tiny))
    return float(np.linalg.norm(found - wanted64, axis=1).max()) / longest


def _difference(values: NDArray[np.float64]) -> Difference:
    return Difference(largest=float(values.max()), mean=float(values.mean()))
