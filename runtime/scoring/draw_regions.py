"""Draw regions and ignored areas into a picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.polygons import Polygon
from runtime.frame import Image

REGION, IGNORED = (0, 200, 0), (0, 0, 255)
"""Green and red, BGR."""

_TINTED = 0.35  # share of red in what is ignored
_PIXELS_A_LINE = 300  # pixels of the picture's width for each pixel of a line's


def draw_regions(
    picture: Image,
    regions: Sequence[Polygon],
    ignore: Sequence[Polygon],
    of_hw: tuple[int, int] | None = None,
) -> Image:
    """Return a copy of a picture with regions outlined in green, and ignored areas tinted and outlined in red.

    Args:
        picture: uint8 [H, W, 3] BGR.
        regions: polygons that are judged.
        ignore: polygons that are not.
        of_hw: height and width of the pictures that they belong to, pixels; by default those of this one.
    """
    hw = picture.shape[0], picture.shape[1]
    inside, outside = (scaled(polygons, of_hw or hw, hw) for polygons in (regions, ignore))
    drawn = tint(picture, outside)
    add_outlines(drawn, inside, outside)
    return drawn


def scaled(polygons: Sequence[Polygon], from_hw: tuple[int, int], to_hw: tuple[int, int]) -> list[NDArray[np.int32]]:
    """Return the corners of polygons, [x, y], in a picture of another size."""
    factors = to_hw[1] / from_hw[1], to_hw[0] / from_hw[0]
    return [np.rint(np.multiply(corners, factors)).astype(np.int32) for corners in polygons]


def tint(picture: Image, ignored: Sequence[NDArray[np.int32]]) -> Image:
    """Return a copy of a picture with these polygons in red."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, list(ignored), 1)
    drawn = picture.copy()
    inside = mask.astype(np.bool_)
    drawn[inside] = ((1 - _TINTED) * drawn[inside] + _TINTED * np.array(IGNORED)).astype(np.uint8)
    return drawn


def add_outlines(picture: Image, regions: Sequence[NDArray[np.int32]], ignored: Sequence[NDArray[np.int32]]) -> None:
    """Outline polygons in place: regions in green, what is ignored in red."""
    width = line_width(picture)
    cv2.polylines(picture, list(regions), isClosed=True, color=REGION, thickness=width)
    cv2.polylines(picture, list(ignored), isClosed=True, color=IGNORED, thickness=width)


def line_width(picture: Image) -> int:
    """Return a width of lines that can be seen in a picture, pixels."""
    return max(1, int(picture.shape[1]) // _PIXELS_A_LINE)
