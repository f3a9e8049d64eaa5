"""Upper bound of a rate, from counted alerts."""

from __future__ import annotations

from functools import cache

import numpy as np

from edge_config.bundle.promise import CONFIDENCE
from runtime.learning.promise.quantiles import gamma_quantile, normal_below, student_quantile


@cache
def garwood(count: float, confidence: float = CONFIDENCE) -> float:
    """Return the number of events that a Poisson mean does not exceed with this confidence, if `count` were seen.

    It is half of this quantile of chi-squared with 2 (count + 1) degrees of freedom (Garwood 1936): 3.0 at 95 % where
    none was seen.
    """
    return gamma_quantile(count + 1, confidence)


def dispersion(counts: list[int], hours: list[float]) -> float:
    """Return how many times the counts of stretches vary as much as those of a Poisson process, at least 1.

    Alerts of one disturbance come together: a stretch with many of them says as little as one alert of its own.
    """
    seen, lasted = np.array(counts, dtype=np.float64), np.array(hours, dtype=np.float64)
    if len(seen) == 1 or not seen.sum() or not lasted.all():
        return 1.0
    expected = seen.sum() * lasted / lasted.sum()
    return max(1.0, float(((seen - expected) ** 2 / expected).sum() / (len(seen) - 1)))


def upper_bound(counts: list[int], hours: list[float]) -> float:
    """Return the number of alerts an hour that is not exceeded with `CONFIDENCE`.

    Without an alert it is Garwood's. Else alerts are taken in units of the dispersion (quasi-Poisson); this is only
    estimated, from a few stretches, so the quantile is Student's in place of the normal one.

    Args:
        counts: alerts of each stretch.
        hours: duration of each stretch; their sum is above 0.
    """
    if not sum(counts) or len(counts) == 1:
        return garwood(sum(counts)) / sum(hours)
    unit = dispersion(counts, hours)
    confidence = normal_below(student_quantile(len(counts) - 1, CONFIDENCE))
    return unit * garwood(sum(counts) / unit, confidence) / sum(hours)
