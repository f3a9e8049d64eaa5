"""From patch distances to the anomaly score of a frame, and to an anomaly map (PatchCore section 3.3)."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.frame import Neighbours, Score

Mode = Literal["paper", "max"]

MAP_SIGMA = 4.0
"""Gaussian smoothing of the anomaly map, pixels of the graph's input (the paper's value)."""


class ScoreFrame:
    """Score a frame by its strangest patch."""

    def __init__(self, bank: NDArray[np.float32], neighbours: NDArray[np.int32], mode: Mode) -> None:
        """Keep what the score needs.

        Args:
            bank: memory bank, float32 [k, D].
            neighbours: for each entry the b nearest entries, itself first, int32 [k, b].
            mode: `paper` is re-weighted (equation 7), `max` is the largest patch distance (equation 6).
        """
        self._bank = bank
        self._neighbours = neighbours
        self._mode = mode

    def __call__(self, features: NDArray[np.float32], found: Neighbours) -> Score:
        """Score the patch features float32 [patches, D] with their nearest entries."""
        patch = int(np.argmax(found.distance))
        entry = int(found.index[patch])
        near = self._bank[self._neighbours[entry]].astype(np.float64)
        distances = np.linalg.norm(near - features[patch].astype(np.float64), axis=1)
        value = float(distances[0])
        if self._mode == "paper":
            value *= reweighting(distances)
        return Score(value, patch, entry, found.distance)


def reweighting(distances: NDArray[np.float64]) -> float:
    """Give the factor 1 - exp(d[0]) / sum(exp(d)) of equation 7, in [0, 1].

    Args:
        distances: from q* to N_b(m*), m* first, float64 [b]. The largest is subtracted before the
            exponential, which would overflow otherwise.
    """
    weights = np.exp(distances - distances.max())
    return float(1 - weights[0] / weights.sum())


def anomaly_map(
    distances: NDArray[np.float32], grid_hw: tuple[int, int], size_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """Spread patch distances float32 [patches] over the input of the graph, float32 [H, W]: bilinear, then Gaussian."""
    grid = distances.reshape(grid_hw)
    large = cv2.resize(grid, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(large, (0, 0), MAP_SIGMA), dtype=np.float32)
