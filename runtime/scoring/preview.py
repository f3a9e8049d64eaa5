"""The preview of a frame: what a person sees of it. It is made after its score was sent, from a reduced picture.

The heat map costs nothing where the score is not over the threshold: the search left bounds, which are at most the
score's, and few percent of the threshold too high. Only over the threshold the patches beyond it are searched.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.wire.messages import Box, Part
from runtime import jpeg
from runtime.frame import Image, Score, Tier
from runtime.scoring.alert_detail import boxes, covered, least_above
from runtime.scoring.score import patch_map
from runtime.scoring.scorer import Scorer

WIDTH = 640
"""Maximum width of the picture, pixels."""

MAX_JPEG_BYTES = 100_000
"""Maximum size of the picture."""

_QUALITIES = (80, 60, 40, 20)  # of the JPEG, until it is small enough; then the picture is halved

AT_THRESHOLD = 100
"""Value of a heat map at the threshold: it is a percentage."""

LARGEST = 255
"""Largest value of a heat map."""


@dataclass(frozen=True, slots=True)
class FramePreview:
    """What is shown of a frame.

    Attributes:
        boxes: regions over the threshold, largest distance first.
        parts: the picture, and the heat map of a frame with a score.
        attached: the bytes of each part.
    """

    boxes: tuple[Box, ...]
    parts: tuple[Part, ...]
    attached: tuple[bytes, ...]


def reduce(image: Image) -> Image:
    """Return a copy of a frame, uint8 [H, W, 3], that is at most `WIDTH` wide."""
    height, width = image.shape[:2]
    if width <= WIDTH:
        return image.copy()
    small = WIDTH, max(1, round(height * WIDTH / width))
    if width > 2 * WIDTH:  # a mean over all pixels of a large frame takes five times as long, and looks the same
        twice = 2 * small[0], min(height, 2 * small[1])
        image = cv2.resize(image, twice, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return cv2.resize(image, small, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def make_preview(
    scorer: Scorer,
    features: NDArray[np.float32] | None,
    score: Score | None,
    small: Image,
    frame_hw: tuple[int, int],
    threshold: float,
) -> FramePreview:
    """Return the preview of a frame; refines the distances of its score over the threshold.

    Args:
        scorer: the scorer of the frame.
        features: its patch features, float32 [patches, D]; None if they are gone, and only what is exact is shown as
            over the threshold.
        score: its score; None if it has none.
        small: the frame, from `reduce`.
        frame_hw: height and width of the frame, pixels.
        threshold: scores above it are anomalous.
    """
    made = [picture(small)]
    if score is None:
        return FramePreview((), *_apart(made))
    over = find_over(scorer, features, score, threshold)
    made.append(percent_map(scorer, score, over, frame_hw, threshold))
    return FramePreview(boxes(scorer, score.distances, over, frame_hw), *_apart(made))


def find_over(
    scorer: Scorer, features: NDArray[np.float32] | None, score: Score, threshold: float
) -> NDArray[np.bool_]:
    """Return which patches are over the threshold, bool [patches], and make their distances exact.

    None are where the score is not: a mean of several, or a weighted one, may be below it though a patch is not.
    """
    if score.value <= threshold:
        return np.zeros(len(score.distances), dtype=np.bool_)
    least = least_above(threshold)
    if features is not None:
        scorer.search.tell_apart(features, score.found, least)  # together they take half the time of `refine` alone
        scorer.search.refine(features, score.found, least)
    over: NDArray[np.bool_] = (score.distances >= least) & (score.found.tier == Tier.EXACT)
    over[score.patch] = True
    return over


def percent_map(
    scorer: Scorer, score: Score, over: NDArray[np.bool_], frame_hw: tuple[int, int], threshold: float
) -> tuple[Part, bytes]:
    """Return the part of a heat map in percent of the threshold: above 100 where a patch is over it, and only there."""
    distances = np.where(over, score.distances, np.minimum(score.distances, np.float32(threshold)))
    cells = patch_map(distances.astype(np.float32), scorer.grid).astype(np.float64)
    percent = cells * (AT_THRESHOLD / threshold) if threshold > 0 else np.where(cells > 0, np.inf, 0.0)
    beyond = cells >= least_above(threshold)
    levels = np.where(
        beyond, np.maximum(np.ceil(percent), AT_THRESHOLD + 1), np.minimum(np.floor(percent), AT_THRESHOLD)
    )
    values = np.minimum(levels, LARGEST).astype(np.uint8)
    part = Part(
        name="heat_map",
        media_type="application/octet-stream",
        dtype="uint8",
        shape=values.shape,
        area=covered(scorer, frame_hw),
    )
    return part, values.tobytes()


def picture(small: Image) -> tuple[Part, bytes]:
    """Return the part of a picture of at most `MAX_JPEG_BYTES`."""
    while True:
        for quality in _QUALITIES:
            data, hw = jpeg.encode(small, quality)
            if len(data) <= MAX_JPEG_BYTES:
                return Part(name="jpeg", media_type="image/jpeg", shape=hw), data
        small = np.ascontiguousarray(small[::2, ::2])


def _apart(made: list[tuple[Part, bytes]]) -> tuple[tuple[Part, ...], tuple[bytes, ...]]:
    return tuple(part for part, _ in made), tuple(data for _, data in made)
