"""The method once more, in plain float64 numpy, written from its description and not from the product.

Slow and obvious on purpose: these are what the tests compare the product's numbers with.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def mean_aggregation(layer: np.ndarray, patch_size: int) -> np.ndarray:
    """Average a map [c, h, w] over p x p windows with stride 1; what lies outside counts as zero."""
    channels, height, width = layer.shape
    reach = patch_size // 2
    padded = np.zeros((channels, height + 2 * reach, width + 2 * reach))
    padded[:, reach : reach + height, reach : reach + width] = layer
    total = np.zeros((channels, height, width))
    for row in range(patch_size):
        for column in range(patch_size):
            total += padded[:, row : row + height, column : column + width]
    return total / patch_size**2


def resize_bilinear(layer: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Resize a map [c, h, w] bilinearly, pixel centres at half coordinates (align_corners = False)."""
    for axis, wanted in zip((1, 2), size_hw, strict=True):
        length = layer.shape[axis]
        place = np.clip((np.arange(wanted) + 0.5) * length / wanted - 0.5, 0, length - 1)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, length - 1)
        weight = (place - below).reshape([-1 if at == axis else 1 for at in range(3)])
        layer = np.take(layer, below, axis) * (1 - weight) + np.take(layer, above, axis) * weight
    return layer


def patch_features(layers: list[np.ndarray], patch_size: int) -> np.ndarray:
    """Aggregate every map, bring the deeper ones to the grid of the first, and join them: [h*w, D], row by row."""
    maps = [mean_aggregation(layer.astype(np.float64), patch_size) for layer in layers]
    grid_hw = maps[0].shape[1:]
    joined = np.concatenate([maps[0], *(resize_bilinear(deeper, grid_hw) for deeper in maps[1:])])
    return np.array([joined[:, row, column] for row in range(grid_hw[0]) for column in range(grid_hw[1])])


def farthest_first(points: np.ndarray, size: int, first: int) -> list[int]:
    """Choose greedily the point that is farthest from those chosen; the lowest of equals, and none twice."""
    points = points.astype(np.float64)
    nearest = np.full(len(points), np.inf)
    chosen = [first]
    while len(chosen) < size:
        newest = chosen[-1]
        nearest = np.minimum(nearest, ((points - points[newest]) ** 2).sum(axis=1))
        nearest[newest] = -1
        chosen.append(int(np.argmax(nearest)))
    return chosen


def distances(features: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """Give all Euclidean distances, [patches, k]."""
    features, bank = features.astype(np.float64), bank.astype(np.float64)
    return np.array([np.sqrt(((bank - feature) ** 2).sum(axis=1)) for feature in features])


def covering_radius(features: np.ndarray, bank: np.ndarray) -> float:
    """Give the largest distance of a feature to its nearest entry of the bank."""
    return float(distances(features, bank).min(axis=1).max())


def neighbour_table(bank: np.ndarray, b: int) -> np.ndarray:
    """Give for each entry the b nearest: itself, then by distance, the lowest number of equals."""
    apart = distances(bank, bank)
    numbers = np.arange(len(bank))
    return np.array([np.lexsort((numbers, apart[entry], numbers != entry))[:b] for entry in numbers])


def paper_score(features: np.ndarray, bank: np.ndarray, b: int) -> float:
    """Give s of equation 7; the sum is shifted by log-sum-exp, as exp(500) is beyond float64's own squares."""
    apart = distances(features, bank)
    patch = int(np.argmax(apart.min(axis=1)))
    nearest = int(np.argmin(apart[patch]))
    largest = float(apart[patch, nearest])
    to_neighbours = apart[patch, neighbour_table(bank, b)[nearest]]
    log_share = largest - np.logaddexp.reduce(to_neighbours)
    return largest * (1 - math.exp(log_share))


def max_score(features: np.ndarray, bank: np.ndarray) -> float:
    """Give s* of equation 6."""
    return covering_radius(features, bank)


def conformal_rank(n: int, alpha: str) -> int:
    """Give ceil((n + 1)(1 - alpha)) in exact arithmetic, alpha as its decimal digits; more than n if n is too small."""
    return math.ceil((n + 1) * (1 - Fraction(alpha)))
