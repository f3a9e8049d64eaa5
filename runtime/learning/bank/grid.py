"""From features to the points that a selection compares: a random projection, rounded to a grid of integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.chosen import COARSE_BITS
from runtime.learning.bank.features import Rows
from runtime.learning.bank.in_slices import Pool, slices, workers

READ_ROWS = 4096
"""Features read at a time, a few MB."""

_EXACT_BITS = 53  # of a float64


@dataclass(frozen=True, slots=True, eq=False)
class Selecting:
    """How to select, for everybody who holds some of the rows.

    Attributes:
        size: largest number of entries.
        matrix: projects features, float32 [D, d*]; None selects in the full space.
    """

    size: int
    matrix: NDArray[np.float32] | None

    @classmethod
    def of(cls, size: int, dimension: int, projection_dim: int | None, random: np.random.Generator) -> Selecting:
        """Draw a Gaussian matrix with entries scaled by 1 / sqrt(d*), unless `projection_dim` is None."""
        if projection_dim is None:
            return cls(size, None)
        gaussian = random.standard_normal((dimension, projection_dim)) / math.sqrt(projection_dim)
        return cls(size, gaussian.astype(np.float32))


def project(
    features: Rows, rows: NDArray[np.int64], dimension: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Project rows of float32 [M, D] to float32 [N, d*] by a Gaussian matrix with entries scaled by 1 / sqrt(d*)."""
    how = Selecting.of(len(rows), features.shape[1], dimension, random)
    with workers() as pool:
        return projected(features, rows, slices(len(rows), READ_ROWS), how.matrix, pool)


def projected(
    features: Rows,
    rows: NDArray[np.int64],
    blocks: list[slice],
    matrix: NDArray[np.float32] | None,
    pool: Pool,
) -> NDArray[np.float32]:
    """Project some rows of float32 [M, D], block by block; without a matrix return them as they are."""
    points = np.empty((len(rows), features.shape[1] if matrix is None else matrix.shape[1]), dtype=np.float32)

    def fill(some: slice) -> None:
        if matrix is None:
            points[some] = features[rows[some]]
        else:
            np.matmul(features[rows[some]], matrix, out=points[some])

    list(pool.map(fill, blocks))
    return points


def to_grid(points: NDArray[np.float32], largest: float | None = None) -> NDArray[np.float32]:
    """Scale and round points [N, d] to integers, in place; squared distances, at most 2^53, are exact in float64.

    Args:
        points: float32 [N, d].
        largest: absolute value that no point of any part exceeds; None takes that of these points.
    """
    largest = largest or float(max(points.max(initial=0.0), -points.min(initial=0.0))) or 1.0
    # |a|^2 + |b|^2 + 2|ab| <= 4 d 2^(2 bits) must not exceed 2^53, and no integer what float32 holds.
    bits = min((_EXACT_BITS - 2 - math.ceil(math.log2(points.shape[1]))) // 2, COARSE_BITS)
    scale = 2.0 ** (bits - math.frexp(largest)[1])
    for some in slices(len(points), READ_ROWS):
        points[some] = np.rint(points[some].astype(np.float64) * scale)
    return points
