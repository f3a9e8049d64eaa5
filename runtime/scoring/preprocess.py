"""Preprocess a camera frame into the input of the graph."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Preprocessing
from runtime.frame import Grid, Image
from runtime.scoring import _pixels
from runtime.scoring.tiles import cut

Place = TypeVar("Place", float, NDArray[np.float64])


class Preprocess:
    """Resize and crop as in the manifest. Colours and normalisation are inside the graph."""

    def __init__(self, spec: Preprocessing) -> None:
        """Use the section `preprocessing` of the manifest."""
        self._resize_hw = spec.resize_hw
        self._crop_hw = spec.crop_hw
        self._offset = tuple((r - c) // 2 for r, c in zip(spec.resize_hw, spec.crop_hw, strict=True))
        self._tiles = spec.tiles

    def __call__(self, image: Image) -> NDArray[np.uint8]:
        """Return the input of the graph, uint8 [N, H, W, 3] BGR, for a picture uint8 [h, w, 3] BGR."""
        seen = self.seen(image)
        return np.ascontiguousarray(seen)[None] if self._tiles is None else cut(seen, self._tiles)

    def seen(self, image: Image) -> Image:
        """Return what the network sees of a picture uint8 [h, w, 3], resized and cropped, uint8 [H, W, 3]."""
        height, width = self._resize_hw
        if image.shape[:2] != (height, width):
            image = _resize(image, height, width)
        top, left = self._offset
        crop_height, crop_width = self._crop_hw
        return image[top : top + crop_height, left : left + crop_width]

    def to_camera(self, patch: int, grid: Grid, frame_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the pixel (x, y) of the camera frame at the centre of a patch.

        Args:
            patch: number of the patch, row by row.
            grid: the grid of patches.
            frame_hw: height and width of the camera frame, pixels.
        """
        y, x = self.on_camera(grid.center(patch), frame_hw)
        return int(x), int(y)

    def on_camera(self, shares: tuple[Place, Place], frame_hw: tuple[int, int]) -> tuple[Place, Place]:
        """Map rows and columns of the graph's input to the camera frame.

        Args:
            shares: positions relative to height and width of the input, a number or float64 [n] each.
            frame_hw: height and width of the camera frame, pixels.

        Returns:
            y and x in pixels of the frame, not rounded: pixel i extends from i to i + 1.
        """
        rows, columns = (
            (offset + share * crop) * frame / resized
            for share, offset, crop, resized, frame in zip(
                shares, self._offset, self._crop_hw, self._resize_hw, frame_hw, strict=True
            )
        )
        return rows, columns


def _resize(image: Image, height: int, width: int) -> Image:
    """Average if the picture shrinks in both directions, else interpolate, as averaging would be blocky.

    Both compute the same pixels on every processor, and so the same scores. OpenCV's area kernel does not.
    """
    if image.shape[0] < height or image.shape[1] < width:
        enlarged = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
        return np.asarray(enlarged, dtype=np.uint8)
    shrunk = np.empty((height, width, 3), dtype=np.uint8)
    _pixels.shrink(np.ascontiguousarray(image), image.shape[0], image.shape[1], shrunk, height, width)
    return shrunk
