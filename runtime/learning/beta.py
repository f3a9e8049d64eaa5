"""A quantile of the beta distribution: a device has no scipy."""

from __future__ import annotations

import math

_HALVINGS = 60  # of the interval from 0 to 1: below the spacing of float64 near the answer
_CLOSE = 1e-14  # relative change of the continued fraction at which it has converged
_MAX_TERMS = 20_000  # it needs some sqrt(a + b): enough for 10^8 pictures
_TINY = 1e-300  # stands for a denominator of zero


def beta_quantile(a: int, b: int, share: float) -> float:
    """Return x below which Beta(a, b) is with probability `share`; relative error below 1e-9 for a + b up to 2^31."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _below(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return high


def _below(x: float, a: int, b: int) -> float:
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
