"""The coreset of `peers.py`: ours and the peer's, of the same features."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.camera.image_files import read_picture, walk
from runtime.inference.load import load
from runtime.learning.bank.coreset import select
from runtime.process.threads import limit_threads
from tests.programs.bench import peer_anomalib

PROJECTION = 128

WARM_UP = 1000
"""Features that each selects from before it is timed."""

RADIUS_ROWS = 4096


def features_of(bundle: Path, learn: Path, patches: int) -> NDArray[np.float32]:
    """Embed training pictures until there are so many patches, float32 [patches, D]."""
    _, scorer = load(bundle, limit_threads(0))
    features: list[NDArray[np.float32]] = []
    for picture in walk(learn):
        features.append(scorer.embed(scorer.preprocess(read_picture(picture))))
        if sum(map(len, features)) >= patches:
            return np.concatenate(features)[:patches]
    raise RuntimeError(f"{learn} gives fewer than {patches} patches")


def measure(features: NDArray[np.float32], size: int, part: int, threads: int) -> list[dict[str, Any]]:
    """Measure the time of the coreset: ours, the peer's, ours again.

    The peer is stopped after `part` entries, and its time extrapolated: each entry costs it the same.
    """
    torch.set_num_threads(threads)
    limit_threads(threads)
    some = features[:WARM_UP]  # what is imported and allocated once is nobody's time
    select(some, 2, seed=0, projection_dim=PROJECTION)
    peer_anomalib.select(some, 2)
    before, mine = _timed(lambda: select(features, size, seed=0, projection_dim=PROJECTION))
    setup, _ = _timed(lambda: peer_anomalib.select(features, 1))
    took, theirs = _timed(lambda: peer_anomalib.select(features, part))
    after, _ = _timed(lambda: select(features, size, seed=0, projection_dim=PROJECTION))
    peer = took if part == size else setup + (took - setup) * (size - 1) / (part - 1)
    ours = statistics.mean((before, after))
    common = {"threads": threads, "patches": len(features), "dimension": features.shape[1], "entries": size}
    return [
        {
            **common,
            "contender": "patchedge: select",
            "seconds": round(ours, 2),
            "ratio": 1.0,
            "radius": _radius(features, mine.places),
            "measured_entries": size,
        },
        {
            **common,
            "contender": "anomalib: KCenterGreedy",
            "seconds": round(peer, 2),
            "ratio": round(peer / ours, 1),
            "radius": _radius(features, theirs) if part == size else None,
            "measured_entries": part,
        },
    ]


def _timed(stage: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = stage()
    return time.perf_counter() - start, result


def _radius(features: NDArray[np.float32], chosen: Sequence[int]) -> float:
    """Return the largest distance of a feature to the nearest chosen one, in the unprojected space."""
    bank = torch.from_numpy(features[np.asarray(chosen)])
    blocks = torch.from_numpy(features).split(RADIUS_ROWS)
    return round(max(float(torch.cdist(block, bank).amin(dim=1).max()) for block in blocks), 4)
