"""Where the time of a frame goes: each stage, and the whole frame as a ratio to the graph alone, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from runtime.load import load
from runtime.picture import read_picture
from runtime.threads import limit_threads

T = TypeVar("T")

ROUNDS = 3
"""Every picture is measured so often; these machines are noisy."""


def speed(path: Path, pictures: list[Path], threads: int) -> str:
    """Measure the stages on real pictures, interleaved."""
    bundle, scorer = load(path, limit_threads(threads))
    images = [read_picture(picture) for picture in pictures]
    times: dict[str, list[float]] = {name: [] for name in ("preprocess", "graph", "search", "score")}
    for image in images * ROUNDS:
        tensor = _timed(times["preprocess"], lambda image=image: scorer.preprocess(image))
        features = _timed(times["graph"], lambda tensor=tensor: scorer.embed(tensor))
        found = _timed(times["search"], lambda features=features: scorer.search(features))
        _timed(times["score"], lambda features=features, found=found: scorer.score(features, found))
    frame = np.sum(list(times.values()), axis=0)
    stages = ", ".join(f"{name} {np.median(taken):.1f}" for name, taken in times.items())
    return (
        f"  frame p50 {np.median(frame):.1f} ms, {np.median(frame) / np.median(times['graph']):.2f} of the graph's, "
        f"on {threads} threads ({stages} ms; bank {bundle.manifest.coreset.size})"
    )


def _timed(taken: list[float], stage: Callable[[], T]) -> T:
    start = time.perf_counter()
    result = stage()
    taken.append((time.perf_counter() - start) * 1e3)
    return result
