"""Choose the golden frames of a bundle: held-out pictures whose scores do not depend on rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.frame import Image
from runtime.inference.golden_frames import Golden, exact
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


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A picture that may become a golden frame.

    Attributes:
        golden: the frame that it would be.
        clear: rounding cannot change its score.
    """

    golden: Golden
    clear: bool


Trying = Callable[[list[int], bool], list[Candidate]]
"""Scores held-out pictures by their places, in order: as they are, or (True) with a synthetic fault."""


def choose_golden(count: int, trying: Trying) -> list[Golden]:
    """Return normal frames and frames with a fault, with their scores.

    Args:
        count: number of held-out pictures.
        trying: scores some of them.
    """
    places = evenly(count, CANDIDATES)
    return [*_clear(places, NORMAL, trying, faulty=False), *_clear(places, FAULTS, trying, faulty=True)]


def try_picture(
    picture: Image,
    bank: NDArray[np.float32],
    divisors: NDArray[np.float32] | None,
    scorer: Scorer,
    tiled_hw: tuple[int, int] | None = None,
) -> Candidate:
    """Score a picture, every patch exactly, for the bundle.

    Args:
        picture: uint8 [H, W, 3] BGR.
        bank: float32 [k, D].
        divisors: of its measure.
        scorer: the stages as the device runs them.
        tiled_hw: height and width of the picture that tiles are cut from, pixels; None where there is one input.
    """
    frame = _no_larger(picture, tiled_hw)
    features = scorer.embed(scorer.preprocess(frame))
    score = scorer.score(features, exact(scorer, features))
    golden = Golden(frame, score.value, score.distances, (score.patch, score.entry))
    return Candidate(golden, is_clear(features, score, bank, divisors))


def _clear(places: Sequence[int], wanted: int, trying: Trying, *, faulty: bool) -> list[Golden]:
    """Return the first clear ones of some pictures; if there are too few, others too."""
    clear: list[Golden] = []
    others: list[Golden] = []
    rest = list(places)
    while rest and len(clear) < wanted:
        some, rest = rest[: wanted - len(clear)], rest[wanted - len(clear) :]
        for one in trying(some, faulty):
            (clear if one.clear else others).append(one.golden)
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
