"""The threshold, from normal pictures that the bank has never seen: split conformal prediction."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.held_out import thinned
from edge_config.bundle.manifest import Calibration
from edge_config.bundle.promise import CONFIDENCE
from runtime.learning.beta import beta_quantile

STRETCHES = 4
"""Number of contiguous stretches that are held out: neighbours in a video are nearly identical, and held out one by one
they would be scored against their own twins."""

_LEVELS = (0.5, 0.9, 0.95, 0.99, 1.0)


def hold_out(count: int, share: float) -> NDArray[np.bool_]:
    """Choose the pictures to hold out: the end of each of a few equal parts of the sequence.

    Args:
        count: number of pictures, at least 2.
        share: share to hold out, between 0 and 1; at least one is held out and one is not.

    Returns:
        bool [count], True for held out.
    """
    wanted = min(max(1, round(count * share)), count - 1)
    held = np.zeros(count, dtype=bool)
    stretches = min(STRETCHES, wanted)
    gaps, lengths = (
        np.diff(np.linspace(0, total, stretches + 1).round().astype(int)) for total in (count - wanted, wanted)
    )
    ends = np.cumsum(gaps + lengths)
    for end, length in zip(ends, lengths, strict=True):
        held[end - length : end] = True
    return held


def calibrate(scores: NDArray[np.float64], alpha: float, foreign: int = 0) -> Calibration:
    """Set the threshold so that a new normal picture exceeds it with probability alpha at most, on average.

    The average is over calibrations; `upper_alpha` is the rate that this one does not exceed with 95 % confidence.

    It is the ceil((n + 1)(1 - alpha))-th smallest of the n scores. If that is more than n, it is the largest score,
    which guarantees a rate of 1 / (n + 1). Foreign scores do not set it: they count as exceedances of the threshold,
    and what is guaranteed is the rate of the lower rank.

    Args:
        scores: of held-out normal pictures, float64 [n], n at least 1.
        alpha: wanted false-alarm rate, between 0 and 1.
        foreign: number of the largest scores that must not set the threshold, less than n.
    """
    n = len(scores)
    rank = min(
        max(1, math.ceil(round((n + 1) * (1 - alpha), 9))), n - foreign
    )  # rounded: 101 * 0.99 must not become 100 again
    ordered = np.sort(scores)
    return Calibration(
        n=n,
        alpha=alpha,
        foreign=foreign,
        promised_alpha=1 - rank / (n + 1),
        threshold=float(ordered[rank - 1]),
        upper_alpha=upper_bound(n, rank),
        scores=thinned(ordered.tolist()),
        quantiles={str(level): float(np.quantile(ordered, level)) for level in _LEVELS},
    )


def contiguous(held: NDArray[np.bool_]) -> list[list[int]]:
    """Return the places of the held-out pictures, stretch by stretch."""
    places = np.flatnonzero(held)
    return [part.tolist() for part in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)]


def at_threshold(calibration: Calibration, scores: NDArray[np.float64], threshold: float | None) -> Calibration:
    """Return the same calibration with another threshold, and the guarantee of the rank that it has; None changes none.

    Args:
        calibration: of these scores.
        scores: of held-out normal pictures, float64 [n].
        threshold: the threshold to use.
    """
    if threshold is None:
        return calibration
    n, rank = len(scores), int((scores <= threshold).sum())
    return msgspec.structs.replace(
        calibration,
        threshold=threshold,
        promised_alpha=1 - rank / (n + 1),
        upper_alpha=upper_bound(n, rank) if rank else 1.0,
    )


def upper_bound(n: int, rank: int) -> float:
    """Return the rate that one calibration does not exceed with `CONFIDENCE`: a quantile of Beta(n + 1 - rank, rank).

    A new exchangeable normal picture exceeds the threshold at this rank of n held-out scores with probability
    1 - rank / (n + 1), on average over calibrations.
    """
    return beta_quantile(n + 1 - rank, rank, CONFIDENCE)


def pictures_needed(alpha: float) -> int:
    """Return the smallest number of held-out pictures that can guarantee alpha."""
    return math.ceil(round(1 / alpha, 9)) - 1
