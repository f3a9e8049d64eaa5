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


def unfold(layer: np.ndarray, patch_size: int) -> np.ndarray:
    """Flatten the p x p window of each position of a map [c, h, w] as (channel, row, column): [c*p*p, h, w]."""
    channels, height, width = layer.shape
    reach = patch_size // 2
    padded = np.zeros((channels, height + 2 * reach, width + 2 * reach))
    padded[:, reach : reach + height, reach : reach + width] = layer
    flat = np.empty((channels * patch_size**2, height, width))
    for row in range(height):
        for column in range(width):
            flat[:, row, column] = padded[:, row : row + patch_size, column : column + patch_size].ravel()
    return flat


def adaptive_pool(values: np.ndarray, outputs: int) -> np.ndarray:
    """Average the first axis to so many cells: cell i takes floor(i*L/out) to ceil((i+1)*L/out) - 1."""
    cells = []
    for i in range(outputs):
        start, end = Fraction(i * len(values), outputs), Fraction((i + 1) * len(values), outputs)
        cells.append(values[math.floor(start) : math.ceil(end)].mean(axis=0))
    return np.array(cells)


def patch_features(
    layers: list[np.ndarray], patch_size: int, stride: int = 1, adaptive: tuple[int, int] | None = None
) -> np.ndarray:
    """Aggregate every map, bring the deeper ones to the grid of the first, and join them: [patches, D], row by row.

    `adaptive` gives layer_dim and target_dim of the paper's aggregation, in its order: unfold, resize every one of the
    c*p*p components, average to layer_dim, join, average to target_dim. None averages each channel over the window.
    """
    local = unfold if adaptive else mean_aggregation
    maps = [local(layer.astype(np.float64), patch_size) for layer in layers]
    height, width = maps[0].shape[1:]
    maps = [maps[0], *(resize_bilinear(deeper, (height, width)) for deeper in maps[1:])]
    if adaptive:
        layer_dim, target_dim = adaptive
        joined = adaptive_pool(np.concatenate([adaptive_pool(each, layer_dim) for each in maps]), target_dim)
    else:
        joined = np.concatenate(maps)
    return np.array([joined[:, row, column] for row in range(0, height, stride) for column in range(0, width, stride)])


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
    """Return all Euclidean distances, [patches, k]."""
    features, bank = features.astype(np.float64), bank.astype(np.float64)
    return np.array([np.sqrt(((bank - feature) ** 2).sum(axis=1)) for feature in features])


def covering_radius(features: np.ndarray, bank: np.ndarray) -> float:
    """Return the largest distance of a feature to its nearest entry of the bank."""
    return float(distances(features, bank).min(axis=1).max())


def neighbour_table(bank: np.ndarray, b: int) -> np.ndarray:
    """Return for each entry the b nearest: itself, then by distance, the lowest number of equals."""
    apart = distances(bank, bank)
    numbers = np.arange(len(bank))
    return np.array([np.lexsort((numbers, apart[entry], numbers != entry))[:b] for entry in numbers])


def paper_score(features: np.ndarray, bank: np.ndarray, b: int) -> float:
    """Return s of equation 7; the sum is shifted by log-sum-exp, as exp(500) is beyond float64's own squares."""
    apart = distances(features, bank)
    patch = int(np.argmax(apart.min(axis=1)))
    nearest = int(np.argmin(apart[patch]))
    largest = float(apart[patch, nearest])
    to_neighbours = apart[patch, neighbour_table(bank, b)[nearest]]
    log_share = largest - np.logaddexp.reduce(to_neighbours)
    return largest * (1 - math.exp(log_share))


def max_score(features: np.ndarray, bank: np.ndarray) -> float:
    """Return s* of equation 6."""
    return covering_radius(features, bank)


def topk_score(features: np.ndarray, bank: np.ndarray, k: int) -> float:
    """Return the mean of the k largest patch distances, or of all where there are fewer."""
    return float(np.mean(sorted(distances(features, bank).min(axis=1))[-k:]))


def large_map(distances: np.ndarray, map_hw: tuple[int, int], stride: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Spread patch distances over a picture: bilinear between the centres of the patches, level outside of them.

    The centre of row r of the map lies at (r + 1/2) / rows of the height; every `stride`-th row and column is a patch.
    """
    rows, columns = (np.arange(0, cells, stride) for cells in map_hw)
    values = distances.astype(np.float64).reshape(len(rows), len(columns))
    for axis, (places, cells, size) in enumerate(zip((rows, columns), map_hw, size_hw, strict=True)):
        centres = (places + 0.5) * size / cells
        pixels = np.arange(size) + 0.5
        values = np.apply_along_axis(lambda line, at=pixels, known=centres: np.interp(at, known, line), axis, values)
    return values


def gaussian(picture: np.ndarray, sigma: float, reach: int) -> np.ndarray:
    """Smooth [H, W] with a Gaussian that is cut at `reach` pixels; right from `reach` pixels inside the edge on."""
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        picture = np.apply_along_axis(np.convolve, axis, picture, kernel, "same")
    return picture


def conformal_rank(n: int, alpha: str) -> int:
    """Return ceil((n + 1)(1 - alpha)) in exact arithmetic, alpha as its decimal digits; more than n if n is small."""
    return math.ceil((n + 1) * (1 - Fraction(alpha)))
