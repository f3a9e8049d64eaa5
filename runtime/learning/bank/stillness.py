"""How still a scene stands, and what is usual at each position of it: from the features of the training pictures.

The variance of a feature over all patches is that between positions plus that within them. Where the scene stands
still, each position has its own look, and what varies within it is little. Free of torch, onnx and scipy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.moments import Ask, moments

LARGEST = 0.65
"""Largest share of the means that `auto` subtracts: where in a still scene a patch is still counts."""

STILL, MOVING = 0.3, 0.4
"""Share of the variance within positions up to which `auto` subtracts the largest share, and from which on nothing."""


@dataclass(frozen=True, slots=True)
class Stillness:
    """The scene as the training pictures show it.

    Attributes:
        means: mean feature of each patch less the mean of all, float64 [patches, D].
        within: share of the variance that is within positions, 0 (nothing ever changes) to 1 (a belt of grains); each
            channel counts by its standard deviation.
    """

    means: NDArray[np.float64]
    within: float

    @property
    def share(self) -> float:
        """Return the share of the means that `auto` subtracts: the less, the more varies within positions."""
        return round(LARGEST * min(1.0, max(0.0, (MOVING - self.within) / (MOVING - STILL))), 2)


def stillness(ask: Ask[Any], first: NDArray[np.float32], count: int) -> Stillness:
    """Measure how still the scene stands.

    Args:
        ask: about the training pictures, neither offset nor scaled.
        first: features of one of them, float32 [patches, D].
        count: number of them.
    """
    centre = first.astype(np.float64)
    sums, squares = moments(ask, first, count, by_position=True)
    within = np.maximum(squares - sums**2 / count, 0).mean(axis=0) / max(1, count - 1)
    means = centre + sums / count
    means -= means.mean(axis=0)
    total = within + (means**2).mean(axis=0)
    deviation = np.sqrt(total)
    counts = deviation > 0
    both = (np.divide(some, deviation, out=np.zeros_like(some), where=counts).sum() for some in (within, total))
    inside, together = both
    return Stillness(means, float(inside / together) if together > 0 else 0.0)
