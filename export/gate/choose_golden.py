"""Choose the golden frames of a bundle: held-out pictures whose scores do not depend on rounding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from export.gate.parity import is_clear
from export.pictures.images import evenly
from runtime.frame import Image
from runtime.inference.golden_frames import Golden, exact, score_golden
from runtime.scoring.scorer import Scorer

NORMAL, FAULTS = 3, 1
CANDIDATES = 12
SIDE = 640
"""Maximum side of golden frames, pixels: a bundle is copied over slow links."""


def choose_golden(
    pairs: Iterable[tuple[Image, Image]], count: int, bank: NDArray[np.float32], scorer: Scorer
) -> list[Golden]:
    """Return normal frames and frames with a fault, with their scores.

    Args:
        pairs: held-out pictures, each with the same with a synthetic fault, uint8 [H, W, 3] BGR.
        count: number of pairs.
        bank: float32 [k, D].
        scorer: the stages as the device runs them.
    """
    chosen = set(evenly(count, CANDIDATES))
    candidates = [tuple(map(_no_larger, pair)) for number, pair in enumerate(pairs) if number in chosen]
    normal, faults = zip(*candidates, strict=True)
    frames = [*_clear(normal, NORMAL, bank, scorer), *_clear(faults, FAULTS, bank, scorer)]
    return [score_golden(frame, scorer) for frame in frames]


def _clear(images: Sequence[Image], wanted: int, bank: NDArray[np.float32], scorer: Scorer) -> list[Image]:
    """Return the first clear ones of some pictures; if there are too few, others too."""
    clear: list[Image] = []
    others: list[Image] = []
    for frame in images:
        features = scorer.embed(scorer.preprocess(frame))
        score = scorer.score(features, exact(scorer, features))
        (clear if is_clear(features, score, bank) else others).append(frame)
        if len(clear) == wanted:
            break
    return (clear + others)[:wanted]


def _no_larger(image: Image) -> Image:
    factor = SIDE / max(image.shape[:2])
    if factor >= 1:
        return image
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
