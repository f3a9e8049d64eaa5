"""Quantiles of the gamma distribution and of Student's, for bounds on a device, which has no scipy."""

from __future__ import annotations

import math
from collections.abc import Callable

_STEPS = 200  # of a bisection: far more than float64 can tell apart
_TERMS = 10_000
_TINY = 1e-300
_ENOUGH = 1e-16  # a term as small as this, relative to the sum, changes nothing


def gamma_quantile(shape: float, share: float) -> float:
    """Return where the gamma distribution of this shape and scale 1 has this share below it, 0 < share < 1."""
    high = shape + 1.0
    while gamma_below(shape, high) < share:
        high *= 2
    return _bisect(lambda x: gamma_below(shape, x) - share, 0.0, high)


def gamma_below(shape: float, x: float) -> float:
    """Return the share of the gamma distribution below `x`: the regularised incomplete gamma function P(shape, x).

    By its series below shape + 1, and by Legendre's continued fraction above (Abramowitz and Stegun 6.5.29, 6.5.31).
    """
    if x <= 0:
        return 0.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        for number in range(1, _TERMS):
            term *= x / (shape + number)
            total += term
            if term < total * _ENOUGH:
                break
        return front * total
    b = x + 1 - shape
    c, d = 1 / _TINY, 1 / b
    fraction = d
    for number in range(1, _TERMS):
        a = -number * (number - shape)
        b += 2
        d = 1 / _not_zero(a * d + b)
        c = _not_zero(b + a / c)
        fraction *= c * d
        if abs(c * d - 1) < _ENOUGH:
            break
    return 1 - front * fraction


def normal_below(x: float) -> float:
    """Return the share of the standard normal distribution below `x`."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def student_quantile(degrees: int, share: float) -> float:
    """Return where Student's distribution has this share below it, 0.5 <= share < 1; at least one degree of freedom."""
    high = 1.0
    while student_below(degrees, high) < share:
        high *= 2
    return _bisect(lambda t: student_below(degrees, t) - share, 0.0, high)


def student_below(degrees: int, t: float) -> float:
    """Return the share of Student's distribution below `t` (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for number in range(odd, degrees - 1, 2):  # cos + 2/3 cos^3 + ..., or 1 + 1/2 cos^2 + ...
        total += term
        term *= cosine**2 * (number + 1) / (number + 2)
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 + inside) / 2


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _bisect(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return the root of a rising function."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high
