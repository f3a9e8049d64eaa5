"""Small pictures for reports: what the network sees of a picture, and its anomaly map."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.frame import Image
from runtime.scoring.preprocess import Preprocess

SIDE = 240
"""Their longer side, pixels: two dozen of them stay below a few MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A small picture in its own proportions, cropped to what the network sees.

    Attributes:
        image: uint8 [H, W, 3] BGR.
        heat: anomaly map, float32 [H, W].
        mask: ground truth, bool [H, W]; None where there is none.
    """

    image: Image
    heat: NDArray[np.float32]
    mask: NDArray[np.bool_] | None = None


def thumbnail(
    image: Image, preprocess: Preprocess, heat: NDArray[np.float32], mask: NDArray[np.bool_] | None = None
) -> Thumbnail:
    """Return the thumbnail of a picture.

    Args:
        image: uint8 [H, W, 3] BGR.
        preprocess: what the network sees of it.
        heat: anomaly map over that, float32 [h, w].
        mask: ground truth over that, bool [h, w].
    """
    seen = preprocess.seen(image)
    size = _size((image.shape[0], image.shape[1]), preprocess)
    shrinks = all(wanted <= have for wanted, have in zip(size[::-1], seen.shape, strict=False))
    small = cv2.resize(seen, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    small_mask = None
    if mask is not None:
        small_mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0
    return Thumbnail(
        image=np.asarray(small, dtype=np.uint8),
        heat=np.asarray(cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32),
        mask=small_mask,
    )


def _size(picture_hw: tuple[int, int], preprocess: Preprocess) -> tuple[int, int]:
    """Return width and height in which what the network sees has the proportions of the picture again."""
    ends = np.array([0.0, 1.0])
    height, width = (float(at[1] - at[0]) for at in preprocess.on_camera((ends, ends), picture_hw))
    factor = SIDE / max(height, width)
    return max(1, round(width * factor)), max(1, round(height * factor))
