"""Greedy coreset selection (PatchCore section 3.2, algorithm 1): farthest first, in a random projection.

The projected features are rounded to a grid so fine that it lies at the limits of float32, and so coarse that every
squared distance is an integer of at most 2^53. Then float64 computes each distance without any rounding, whatever the
order of the sums: the block selection, the plain loop, one thread or many, any BLAS, all see the same numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from export.progress import bar, progress
from runtime.search import Search

_BLOCK = 512  # candidates at a time: measured best between 128 and 2048 on 150,000 x 128
_SLICE_ROWS = 512  # rows of the update at a time: a slice of distances (2 MB) stays in cache
_RADIUS_ROWS = 4096
_EXACT_BITS = 53  # of a float64


def select(features: NDArray[np.float32], size: int, *, seed: int, projection_dim: int | None) -> NDArray[np.int64]:
    """Choose the coreset.

    Args:
        features: float32 [N, D].
        size: k, from 1 to N.
        seed: of the projection and of the first entry.
        projection_dim: d*; None selects in the full space.

    Returns:
        Rows of `features`, int64 [k], in the order in which they were chosen.
    """
    random = np.random.default_rng(seed)
    first = int(random.integers(len(features)))
    if projection_dim is not None:
        features = project(features, projection_dim, random)
    return farthest_first(to_grid(features), size, first)


def covering_radius(features: NDArray[np.float32], search: Search) -> float:
    """Give r, the largest distance of a feature float32 [N, D] to its nearest entry of the bank.

    Args:
        features: of all training patches.
        search: of the bank; its largest distance must be exact, its others may be too large.
    """
    starts = range(0, len(features), _RADIUS_ROWS)
    return max(
        float(search(features[start : start + _RADIUS_ROWS]).distance.max())
        for start in progress(starts, "covering radius", unit="block")
    )


def project(features: NDArray[np.float32], dimension: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Project float32 [N, D] to float32 [N, d*] by a Gaussian matrix with entries scaled by 1 / sqrt(d*)."""
    matrix = random.standard_normal((features.shape[1], dimension)) / math.sqrt(dimension)
    return features @ matrix.astype(np.float32)


def to_grid(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scale and round points to integers, float64 [N, d]; squared distances, at most 2^53, are exact in float64."""
    largest = float(np.abs(points).max(initial=0.0)) or 1.0
    # |a|^2 + |b|^2 + 2|ab| <= 4 d 2^(2 bits) must not exceed 2^53.
    bits = (_EXACT_BITS - 2 - math.ceil(math.log2(points.shape[1]))) // 2
    scale = 2.0 ** (bits - math.frexp(largest)[1])
    grid = points.astype(np.float64)
    grid *= scale
    return np.rint(grid, out=grid)


def farthest_first(points: NDArray[np.float64], size: int, first: int) -> NDArray[np.int64]:
    """Choose `size` rows of `points` (from `to_grid`), each the farthest from those before; ties go to the lowest row.

    Equal to the plain loop, in blocks: take the points that are farthest now and let v be the smallest of their
    distances. Distances only shrink, so as long as the farthest candidate is beyond v, no point outside the block is
    as far, and the candidate is what the plain loop would take.
    """
    norms = np.einsum("nd,nd->n", points, points)
    distances = np.full(len(points), np.inf)
    chosen = [first]
    _shrink(distances, points, norms, chosen)
    with bar("select coreset", size, "entry") as moving:
        moving.update(1)
        while len(chosen) < size:
            new = _next_block(distances, points, norms, size - len(chosen))
            _shrink(distances, points, norms, new)
            chosen += new
            moving.update(len(new))
    return np.array(chosen, dtype=np.int64)


def _next_block(
    distances: NDArray[np.float64], points: NDArray[np.float64], norms: NDArray[np.float64], wanted: int
) -> list[int]:
    """Choose at least one and at most `wanted` further rows."""
    block = min(_BLOCK, len(points))
    candidates = np.sort(np.argpartition(distances, len(points) - block)[len(points) - block :])
    inside = points[candidates]
    apart = norms[candidates, None] + norms[candidates] - 2 * (inside @ inside.T)
    nearest = distances[candidates]
    beyond = nearest.min()
    new: list[int] = []
    while len(new) < wanted:
        best = int(np.argmax(nearest))  # the first of equals: the lowest row, since candidates are sorted
        if nearest[best] <= beyond:
            break
        new.append(int(candidates[best]))
        np.minimum(nearest, apart[best], out=nearest)
        nearest[best] = -1
    # Where more points than a block holds are equally far, only a look at all of them finds the lowest row.
    return new or [int(np.argmax(distances))]


def _shrink(
    distances: NDArray[np.float64], points: NDArray[np.float64], norms: NDArray[np.float64], new: list[int]
) -> None:
    """Take newly chosen rows into the squared distances to the nearest chosen one, in place; chosen ones get -1."""
    columns = points[new].T.copy()
    columns *= -2
    for row in range(0, len(points), _SLICE_ROWS):
        rows = slice(row, row + _SLICE_ROWS)
        apart = points[rows] @ columns
        apart += norms[new]
        nearest = apart.min(axis=1)
        nearest += norms[rows]
        np.minimum(distances[rows], nearest, out=distances[rows])
    distances[new] = -1
