"""Alter a picture as a camera would show the same scene in another light, from another place, or out of focus."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from runtime.frame import Image

_WHITE = 255


@dataclass(frozen=True, slots=True)
class Change:
    """An alteration, made in this order: mirrored, turned and moved, blurred, in another light.

    Attributes:
        left_right, top_bottom: mirrored.
        turn: rotation about the centre, degrees, counterclockwise.
        right, down: displacement of what the picture shows, pixels.
        blur: standard deviation of a Gaussian blur, relative to the width.
        gain: factor of every value; what exceeds white becomes white, as in a sensor.
        gamma: exponent of every value as a share of white, after the gain.
    """

    left_right: bool = False
    top_bottom: bool = False
    turn: float = 0.0
    right: float = 0.0
    down: float = 0.0
    blur: float = 0.0
    gain: float = 1.0
    gamma: float = 1.0

    def __call__(self, image: Image) -> Image:
        """Return an altered copy of a picture uint8 [H, W, 3] BGR, of the same size.

        What comes in from outside is the picture mirrored at its edge, so that no border shows.
        """
        image = image[:: -1 if self.top_bottom else 1, :: -1 if self.left_right else 1]
        image = _displaced(image, self.turn, self.right, self.down)
        if self.blur:
            sigma = self.blur * image.shape[1]
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.uint8)
        return image if self.gain == self.gamma == 1 else _lit(image, self.gain, self.gamma)


def _displaced(image: Image, turn: float, right: float, down: float) -> Image:
    if turn == right == down == 0:
        return np.ascontiguousarray(image)
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, 1.0)
    matrix[:, 2] += np.array([right, down])
    source = np.ascontiguousarray(image)
    moved = cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8)


def _lit(image: Image, gain: float, gamma: float) -> Image:
    shares = np.minimum(np.arange(_WHITE + 1) * (gain / _WHITE), 1.0)
    table = np.rint(_WHITE * shares**gamma).astype(np.uint8)
    return np.asarray(table[image], dtype=np.uint8)
