"""Choose the golden frames of a bundle: held-out pictures whose scores do not depend on rounding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.frame import Image
from runtime.inference.golden_frames import Golden, exact, score_golden
from runtime.learning.gate.parity import is_clear
from runtime.learning.pictures.images import evenly
from runtime.scoring.scorer import Scorer

NORMAL, FAULTS = 3, 1
CANDIDATES = 12
SIDE = 640
"""Maximum side of golden frames, pixels: a bundle is copied over slow links."""

MAX_BYTES = 12 << 20
"""Of a golden frame for tiles, which must be as large as the picture that they are cut from: a smaller one would be
enlarged, and so go another way than the camera's frames."""


def choose_golden(
    pairs: Iterable[tuple[Image, Image]],
    count: int,
    bank: NDArray[np.float32],
    divisors: NDArray[np.float32] | None,
    scorer: Scorer,
    tiled_hw: tuple[int, int] | None = None,
) -> list[Golden]:
    """Return normal frames and frames with a fault, with their scores.

    Args:
        pairs: held-out pictures, each with the same with a synthetic fault, uint8 [H, W, 3] BGR.
        count: number of pairs.
        bank: float32 [k, D].
        divisors: of its measure.
        scorer: the stages as the device runs them.
        tiled_hw: height and width of the picture that tiles are cut from, pixels; None where there is one input.
    """
    chosen = set(evenly(count, CANDIDATES))
    no_larger = partial(_no_larger, tiled_hw=tiled_hw)
    candidates = [tuple(map(no_larger, pair)) for number, pair in enumerate(pairs) if number in chosen]
    normal, faults = zip(*candidates, strict=True)
    frames = [*_clear(normal, NORMAL, bank, divisors, scorer), *_clear(faults, FAULTS, bank, divisors, scorer)]
    return [score_golden(frame, scorer) for frame in frames]


def _clear(
    images: Sequence[Image],
    wanted: int,
    bank: NDArray[np.float32],
    divisors: NDArray[np.float32] | None,
    scorer: Scorer,
) -> list[Image]:
    """Return the first clear ones of some pictures; if there are too few, others too."""
    clear: list[Image] = []
    others: list[Image] = []
    for frame in images:
        features = scorer.embed(scorer.preprocess(frame))
        score = scorer.score(features, exact(scorer, features))
        (clear if is_clear(features, score, bank, divisors) else others).append(frame)
        if len(clear) == wanted:
            break
    return (clear + others)[:wanted]


def _no_larger(image: Image, tiled_hw: tuple[int, int] | None) -> Image:
    factor = SIDE / max(image.shape[:2])
    if tiled_hw:
        wanted = max(seen / side for seen, side in zip(tiled_hw, image.shape[:2], strict=True))
        factor = min(wanted, math.sqrt(MAX_BYTES / image.size))
    if factor >= 1:
        return image
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    if tiled_hw and factor == wanted:
        height, width = max(height, tiled_hw[0]), max(width, tiled_hw[1])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
