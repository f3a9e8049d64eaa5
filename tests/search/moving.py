"""Scenes that move: a world of features, seen through a window that moves on."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, shift

WORLD = (48, 64)  # patches
DIMENSION = 12
SMOOTH = 0.8  # patches: what a patch shows is spread over those beside it


def world(kind: str, seed: int = 0) -> np.ndarray:
    """Return features of a world, float32 [rows, columns, DIMENSION]: `grains`, `blobs`, or `stripes` with a grain."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((*WORLD, DIMENSION))
    smooth = {"grains": SMOOTH, "blobs": 2.5, "stripes": SMOOTH}[kind]
    values = gaussian_filter(values, (smooth, smooth, 0), mode="wrap")
    values /= values.std()
    if kind == "stripes":
        values = 0.5 * values + 2 * np.sin(np.arange(WORLD[0]) * 0.9)[:, None, None] * random.standard_normal(DIMENSION)
    return values.astype(np.float32)


def seen(values: np.ndarray, row: float, column: float, hw: tuple[int, int], noise: float = 0.0) -> np.ndarray:
    """Return the features of a window, float32 [patches, DIMENSION], at any place between whole ones."""
    moved = shift(values, (-row, -column, 0), order=3, mode="grid-wrap")[: hw[0], : hw[1]]
    random = np.random.default_rng(int(1e6 * row + 1e3 * column) % 2**32)
    return (moved + noise * random.standard_normal(moved.shape)).reshape(-1, values.shape[2]).astype(np.float32)
