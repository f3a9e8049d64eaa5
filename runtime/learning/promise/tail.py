"""Peaks over threshold: how often alerts would start at thresholds that the video is too short for.

The k-th level is the highest threshold over which at least k alerts start. Levels over a base that some tens of alerts
reach are taken to follow a generalised Pareto distribution (Pickands 1975). It is fitted by probability-weighted
moments (Hosking & Wallis 1987), which are closer than maximum likelihood for so few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.promise import CONFIDENCE
from edge_config.settings.sections import Alerts
from runtime.learning.promise.count import Stretch, count

PEAKS = 40
"""Alerts that are wanted over the base: fewer say little of the tail, more are no tail."""

MIN_PEAKS = 5
"""With fewer there is nothing to extrapolate from."""

MIN_FITTED = 2
"""With fewer there is no shape: the heaviest is taken."""

MAX_SHAPE = 0.5
"""Largest shape: with a heavier tail the mean of the peaks has no variance, and its estimate no meaning."""

_GRID = 16  # thresholds by rank, and as many at equal distances
_TRIES, _MAX_SHARE = 16, 0.2  # to find the base
_DRAWS, _SEED = 2000, 0


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """The generalised Pareto tail of alerts.

    Attributes:
        base: threshold over which the levels were taken.
        levels: of the alerts over the base, float64 [alerts], the highest first.
        hours: duration of the video, hours.
        shape, scale: of the distribution of level minus base.
    """

    base: float
    levels: NDArray[np.float64]
    hours: float
    shape: float
    scale: float

    def rate(self, threshold: float) -> float:
        """Return the expected number of alerts an hour over a threshold that is not below the base."""
        return len(self.levels) / self.hours * float(survival(threshold - self.base, self.shape, self.scale))

    def threshold(self, rate: float) -> float:
        """Return the threshold over which this number of alerts an hour is expected; it is not below the base."""
        if not len(self.levels):
            return self.base
        share = min(1.0, rate * self.hours / len(self.levels))
        if self.shape == 0:
            return self.base - self.scale * math.log(share)
        return self.base + self.scale * (math.pow(share, -self.shape) - 1) / self.shape

    def upper(self, threshold: float) -> float:
        """Return the number of alerts an hour over a threshold that is not exceeded with `CONFIDENCE`.

        A parametric bootstrap: as many recordings are drawn from this tail, and each is fitted like the real one.
        """
        random = np.random.default_rng(_SEED)
        numbers = random.poisson(len(self.levels), _DRAWS)
        rates = np.zeros(_DRAWS)
        for draw in np.flatnonzero(numbers):
            uniform = random.random(numbers[draw])
            over = self.scale * (-np.log(uniform) if not self.shape else (uniform**-self.shape - 1) / self.shape)
            shape, scale = fit_pareto(over)
            rates[draw] = numbers[draw] / self.hours * survival(threshold - self.base, shape, scale)
        return float(np.quantile(rates, CONFIDENCE))


def fit_pareto(over: NDArray[np.float64]) -> tuple[float, float]:
    """Return shape and scale of the generalised Pareto distribution of exceedances, float64 [n].

    The shape is taken to be from 0 to `MAX_SHAPE`: below 0 there would be a score that no alert ever reaches, and some
    tens of peaks do not show that.
    """
    ordered = np.sort(over)
    n = len(ordered)
    if n < MIN_FITTED:
        return MAX_SHAPE, float(ordered.sum()) * (1 - MAX_SHAPE)
    mean = float(ordered.mean())
    weighted = float((ordered * (n - 1 - np.arange(n)) / (n - 1)).mean())  # E[x (1 - F(x))], unbiased
    shape = 2 - mean / (mean - 2 * weighted) if mean > 2 * weighted else MAX_SHAPE
    shape = min(max(shape, 0.0), MAX_SHAPE)
    return shape, mean * (1 - shape)


def survival(over: float, shape: float, scale: float) -> float:
    """Return the probability that a generalised Pareto variable exceeds `over`, at least 0."""
    if scale <= 0:
        return float(over <= 0)
    return math.exp(-over / scale) if shape == 0 else float((1 + shape * over / scale) ** (-1 / shape))


def find_tail(stretches: Sequence[Stretch], alerts: Alerts) -> Tail:
    """Fit the tail of alerts; with fewer than `MIN_PEAKS` levels it says little."""
    scores = np.unique(np.concatenate([stretch.scores for stretch in stretches]))
    base, number = _base(list(stretches), scores, alerts)
    over = scores[scores >= base]
    by_rank = over[np.linspace(0, len(over) - 1, _GRID).round().astype(int)]
    grid = np.unique(np.concatenate([by_rank, np.linspace(base, over[-1], _GRID)]))[::-1]
    counts = np.maximum.accumulate([count(list(stretches), float(one), alerts) for one in grid])
    there, first = np.unique(counts, return_index=True)
    levels = np.interp(np.arange(number) + 0.5, there, grid[first])
    shape, scale = fit_pareto(levels - base)
    return Tail(base, levels, sum(stretch.hours for stretch in stretches), shape, scale)


def _base(stretches: list[Stretch], scores: NDArray[np.float64], alerts: Alerts) -> tuple[float, int]:
    """Return the highest score over which at least `PEAKS` alerts start, or else as many as there are anywhere.

    From the top down: far below, all alerts are one.

    Returns:
        the score, and the number of alerts over it.
    """
    best, most = float(scores[-1]), 0
    for share in np.geomspace(1 / len(scores), _MAX_SHARE, _TRIES):
        base = float(scores[len(scores) - 1 - round(share * (len(scores) - 1))])
        there = count(stretches, base, alerts)
        if there > most:
            best, most = base, there
        if there >= PEAKS:
            break
    return best, most
