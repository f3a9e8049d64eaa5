"""The resize of pictures by the definition of its kernels, in float64: what the device's pixels are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Preprocessing
from edge_config.bundle.parity_result import Difference
from runtime.frame import Image


@dataclass(slots=True)
class Levels:
    """Differences of resized pixels, of all pictures so far: no pixel is kept."""

    largest: float = 0.0
    total: float = 0.0
    pixels: int = 0
    pictures: int = 0

    def add(self, levels: NDArray[np.float64]) -> None:
        """Add those of a picture."""
        self.largest = max(self.largest, float(levels.max()))
        self.total += float(levels.sum())  # integers: exact
        self.pixels += levels.size
        self.pictures += 1

    def join(self, other: Levels) -> None:
        """Add those of other pictures."""
        self.largest = max(self.largest, other.largest)
        self.total += other.total
        self.pixels += other.pixels
        self.pictures += other.pictures

    def summary(self) -> Difference:
        """Return the largest and the mean."""
        return Difference(largest=self.largest, mean=self.total / self.pixels)


def resize_by_definition(picture: Image, spec: Preprocessing) -> NDArray[np.float64]:
    """Resize and crop by the definition of the kernels, rounded to whole levels: float64 [H, W, 3]."""
    shrinks = all(have >= want for have, want in zip(picture.shape, spec.resize_hw, strict=False))
    matrix = _area_matrix if shrinks else bilinear_matrix
    rows, columns = (matrix(have, want) for have, want in zip(picture.shape, spec.resize_hw, strict=False))
    narrow = _weighted(rows, picture)
    resized = np.rint(_weighted(columns, narrow.transpose(1, 0, 2)).transpose(1, 0, 2))
    top, left = ((resize - crop) // 2 for resize, crop in zip(spec.resize_hw, spec.crop_hw, strict=True))
    return np.asarray(resized[top : top + spec.crop_hw[0], left : left + spec.crop_hw[1]])


def inputs_by_definition(picture: Image, spec: Preprocessing) -> NDArray[np.float64]:
    """Return the inputs of the graph by definition, rounded to whole levels: float64 [N, H, W, 3]."""
    seen = resize_by_definition(picture, spec)
    if spec.tiles is None:
        return seen[None]
    height, width = spec.tiles.tile_hw
    corners = ((top, left) for top in spec.tiles.tops for left in spec.tiles.lefts)
    return np.stack([seen[top : top + height, left : left + width] for top, left in corners])


def bilinear_matrix(inputs: int, outputs: int) -> NDArray[np.float64]:
    """Return the weights of a bilinear resize with pixel centres at half coordinates, float64 [outputs, inputs]."""
    places = np.clip((np.arange(outputs) + 0.5) * inputs / outputs - 0.5, 0, inputs - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(places[:, None] - np.arange(inputs))))


def _weighted(matrix: NDArray[np.float64], values: NDArray[Any]) -> NDArray[np.float64]:
    """Return matrix @ values for a banded matrix: float64 [outputs, ...]."""
    found = np.empty((len(matrix), *values.shape[1:]))
    for weights, row in zip(matrix, found, strict=True):
        some = np.flatnonzero(weights)
        span = slice(int(some[0]), int(some[-1]) + 1)
        row[:] = np.tensordot(weights[span], values[span].astype(np.float64), axes=1)
    return found


def _area_matrix(inputs: int, outputs: int) -> NDArray[np.float64]:
    """Return the share of each input pixel in each output pixel, float64 [outputs, inputs]."""
    edges = np.arange(outputs + 1) * inputs / outputs
    pixels = np.arange(inputs)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.maximum(overlap, 0) * outputs / inputs)
