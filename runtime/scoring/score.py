"""From patch distances to the anomaly score of a frame, and to an anomaly map (PatchCore section 3.3)."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.frame import Grid, Neighbours, Score

Mode = Literal["paper", "max", "topk"]

MAP_SIGMA = 4.0
"""Sigma of the Gaussian that smooths the anomaly map, pixels of the graph's input (the paper's value)."""


class ScoreFrame:
    """Score a frame by its most anomalous patch, or by the few most anomalous ones."""

    def __init__(
        self,
        bank: NDArray[np.float32],
        neighbours: NDArray[np.int32],
        mode: Mode,
        k: int = 1,
        divisors: NDArray[np.float32] | None = None,
    ) -> None:
        """Set up the score.

        Args:
            bank: memory bank, float32 [k, D].
            neighbours: for each entry the b nearest entries, itself first, int32 [k, b].
            mode: `paper` is re-weighted (equation 7), `max` is the largest patch distance (equation 6), `topk` the
                mean of the k largest.
            k: number of distances in `topk`.
            divisors: what distances to each entry are divided by, float32 [k]; None: 1.
        """
        self._bank = bank
        self._neighbours = neighbours
        self._mode = mode
        self._k = k
        self._divisors = divisors

    def __call__(self, features: NDArray[np.float32], found: Neighbours) -> Score:
        """Score patch features float32 [patches, D] with their nearest entries; only active patches count.

        A threshold from whole frames keeps its guarantee if some patches are not judged: the largest distances of fewer
        patches are no larger. This does not hold for `paper`, whose factor depends on the deciding patch, and for
        `topk` only while at least k patches are judged.

        The factor of `paper` is of Euclidean distances, and m* of the deciding patch is the entry that its distance is
        the smallest to, divided: the one that the distance belongs to.
        """
        judged, patch = found.distance, int(found.distance.argmax())
        if found.active is not None:
            judged = found.distance[found.active]
            patch = int(np.flatnonzero(found.active)[np.argmax(judged)])
        entry = int(found.index[patch])
        if self._mode == "topk":
            value = self._mean_of_largest(judged)
        else:
            near = self._bank[self._neighbours[entry]].astype(np.float64)
            distances = np.linalg.norm(near - features[patch].astype(np.float64), axis=1)
            value = float(distances[0]) * (reweighting(distances) if self._mode == "paper" else 1.0)
            value /= 1.0 if self._divisors is None else float(self._divisors[entry])
        return Score(value, patch, entry, found)

    def _mean_of_largest(self, distances: NDArray[np.float32]) -> float:
        k = min(self._k, len(distances))
        largest = np.sort(np.partition(distances, -k)[-k:])
        return float(np.add.reduce(largest, dtype=np.float64) / k)  # as `mean` does, in a third of its time


def reweighting(distances: NDArray[np.float64]) -> float:
    """Return the factor 1 - exp(d[0]) / sum(exp(d)) of equation 7, in [0, 1].

    Args:
        distances: from q* to N_b(m*), m* first, float64 [b]. The largest is subtracted before the exponential, which
            would overflow otherwise.
    """
    weights = np.exp(distances - distances.max())
    return float(1 - weights[0] / weights.sum())


def anomaly_map(
    distances: NDArray[np.float32], grid: Grid, size_hw: tuple[int, int], sigma: float = MAP_SIGMA
) -> NDArray[np.float32]:
    """Spread patch distances float32 [patches] over the input of the graph, float32 [H, W]: bilinear, then Gaussian."""
    return np.asarray(cv2.GaussianBlur(_spread(distances, grid, size_hw), (0, 0), sigma), dtype=np.float32)


def patch_map(distances: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Return patch distances float32 [patches] in cells of equal size, float32 [rows, columns].

    They are interpolated if the stride leaves out every other position, else unchanged.
    """
    return distances.reshape(grid.hw).copy() if grid.stride == 1 else _spread(distances, grid, grid.hw)


def _spread(distances: NDArray[np.float32], grid: Grid, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate patch distances over the input of the graph, float32 [H, W], bilinear."""
    rows, columns = (_interpolation(centers, size) for centers, size in zip(grid.centers(), size_hw, strict=True))
    return np.asarray(rows @ distances.reshape(grid.hw) @ columns.T, dtype=np.float32)


def _interpolation(centers: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Return the weights of the patches at `centers` for each of `size` pixels, float32 [size, patches]."""
    if len(centers) == 1:
        return np.ones((size, 1), dtype=np.float32)
    pixels = np.clip((np.arange(size) + 0.5) / size, centers[0], centers[-1])
    apart = np.abs(pixels[:, None] - centers) / (centers[1] - centers[0])
    return np.asarray(np.maximum(0, 1 - apart), dtype=np.float32)
