"""Points that lie as patch features do: in clusters."""

from __future__ import annotations

import numpy as np


def clusters(count: int, dimension: int, seed: int) -> np.ndarray:
    """Return points in 40 clusters, the same clusters for every seed."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((40, dimension)) * 4
    return (centres[random.integers(40, size=count)] + random.standard_normal((count, dimension))).astype(np.float32)
