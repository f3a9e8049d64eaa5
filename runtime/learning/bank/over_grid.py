"""Features of the judged patches, in their places on the grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def over_grid(features: NDArray[np.float32], judged: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Put features of the judged patches, float32 [n, D], in their places, bool [grid]: [grid, D], 0 elsewhere."""
    if judged is None:
        return features
    grid = np.zeros((len(judged), features.shape[1]), dtype=np.float32)
    grid[judged] = features
    return grid
