"""How a score compares with those of the held-out normal pictures: excess over the threshold, and p-value."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

MAX_SCORES = 1000
"""Maximum number of held-out scores that a manifest stores: it stays small, and p-values are exact to 0.001."""


def thinned(ascending: Sequence[float]) -> tuple[float, ...]:
    """Return the scores to store, of all held-out scores in ascending order: all, or `MAX_SCORES` spread evenly."""
    n = len(ascending)
    stored = min(n, MAX_SCORES)
    return tuple(float(ascending[_rank(j, n, stored) - 1]) for j in range(1, stored + 1))


def expanded(n: int, stored: Sequence[float]) -> list[float]:
    """Return n scores in ascending order from those that `thinned` stores: each is at least the one of its rank."""
    ends = [_rank(j, n, len(stored)) for j in range(len(stored) + 1)]
    return [score for score, start, end in zip(stored, ends, ends[1:], strict=False) for _ in range(end - start)]


def p_value(score: float, n: int, stored: Sequence[float]) -> float | None:
    """Return the conformal p-value: (1 + the number of held-out scores that are at least this high) / (n + 1).

    Of a new exchangeable normal picture it is at most p with probability p at most. Where the scores are thinned, it is
    an upper bound that exceeds the exact one by less than 1 / `MAX_SCORES`.

    Args:
        score: of a frame.
        n: number of held-out scores.
        stored: those that are stored, as `thinned` returns them; without any there is no p-value.
    """
    if not stored:
        return None
    below = bisect.bisect_left(stored, score)
    lower = _rank(below, n, len(stored)) if below else 0  # at least so many held-out scores are lower
    return (1 + n - lower) / (n + 1)


def excess(score: float, threshold: float, median: float | None) -> float | None:
    """Return (score - threshold) / (threshold - median), by which scores of different bundles can be compared.

    It is 0 at the threshold, -1 at the median, and 1 as far over the threshold as the median is below it.

    Args:
        score: of a frame.
        threshold: in force.
        median: of the held-out scores; None if it is unknown.

    Returns:
        None if the median is unknown or not below the threshold: then there is no unit to measure with. None also if
        the score is no number, or the result has no finite value.
    """
    if median is None or not threshold > median:
        return None
    found = (score - threshold) / (threshold - median)
    return found if math.isfinite(found) else None


def _rank(j: int, n: int, stored: int) -> int:
    """Return the rank, from 1, of the j-th stored score among all n."""
    return -(-j * n // stored)
