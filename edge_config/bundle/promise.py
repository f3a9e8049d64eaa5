"""Guarantees of a conformal threshold: its expected false alarm rate, and an upper bound with confidence.

A new exchangeable normal picture exceeds the threshold at rank r of n held-out scores with probability
1 - r / (n + 1), on average over calibrations. The rate of one calibration is Beta(n + 1 - r, r) distributed.
"""

from __future__ import annotations

import math

CONFIDENCE = 0.95
"""Confidence of the bound for one calibration."""

_HALVINGS = 60  # of the interval from 0 to 1: below the spacing of float64 near the answer
_CLOSE = 1e-14  # relative change of the continued fraction at which it has converged
_MAX_TERMS = 20_000  # it needs some sqrt(n): enough for 10^8 pictures
_TINY = 1e-300  # stands for a denominator of zero


def bound(n: int, rank: int, confidence: float = CONFIDENCE) -> float:
    """Return the rate that one calibration does not exceed with this confidence.

    It is the quantile of Beta(n + 1 - rank, rank), relative error below 1e-9 for n up to 2^31.

    Args:
        n: number of held-out scores, at least 1.
        rank: rank of the threshold among them, 1 to n.
        confidence: between 0 and 1.
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _beta_below(middle, n + 1 - rank, rank) < confidence:
            low = middle
        else:
            high = middle
    return high


def in_words(average: float, upper: float) -> str:
    """Return both rates in a few words: the average over calibrations, and the bound for this one."""
    return f"{average:.2%} on average over calibrations, at most {upper:.2%} with {CONFIDENCE:.0%} confidence"


def _beta_below(x: float, a: int, b: int) -> float:
    """Return the probability of Beta(a, b) below x: the regularised incomplete beta function."""
    if not 0 < x < 1:
        return float(x >= 1)
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(logs) * _fraction(x, a, b) / a
    return 1 - math.exp(logs) * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: int, b: int) -> float:
    """Return the continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method."""
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or _TINY)
    whole = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / ((1 + term * d) or _TINY)
            c = (1 + term / c) or _TINY
            whole *= d * c
        if abs(d * c - 1) < _CLOSE:
            break
    return whole
