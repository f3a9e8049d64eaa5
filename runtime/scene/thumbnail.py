"""A small grey picture of a frame, and its measurements: light, sharpness, detail, displacement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.frame import Image
from runtime.measures import Measures

LONG_SIDE = 160
"""Length of the long side, pixels: defocus of one percent of the width still blurs it, and noise is averaged out."""

MIN_SIDE = 16
"""Minimum length of the short side, pixels, for very narrow frames."""

Thumbnail = NDArray[np.uint8]
"""A grey picture, uint8 [h, w]."""

_FLOOR = 3.0  # grey levels: smaller differences from the surroundings are noise
_FLAT = 1e-6  # variance of edges, which are at most about 1: smaller ones are rounding errors
_AROUND, _LOCAL = (7, 7), (13, 13)  # boxes on the halved thumbnail: surroundings of a pixel, and of its contrast


class Shift(NamedTuple):
    """Displacement of a thumbnail against the reference.

    Attributes:
        share: length of the best shift, relative to the width.
        here: correlation with the unshifted reference, -1 to 1.
        there: correlation with the shifted reference, -1 to 1; 0 if too little overlaps.
    """

    share: float
    here: float
    there: float


def size_for(height: int, width: int) -> tuple[int, int]:
    """Return height and width of the thumbnail for a frame: even numbers, aspect ratio kept."""
    factor = LONG_SIDE / max(height, width)
    return max(MIN_SIDE, round(height * factor / 2) * 2), max(MIN_SIDE, round(width * factor / 2) * 2)


def shrink(image: Image, size_hw: tuple[int, int]) -> Thumbnail:
    """Return the thumbnail of a picture uint8 [H, W, 3] BGR; each of its pixels is made of at least 16, not of all."""
    height, width = size_hw
    double = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(double, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def measure(thumbnail: Thumbnail) -> Measures:
    """Measure a thumbnail."""
    exact = thumbnail.astype(np.float32)
    mean, deviation = cv2.meanStdDev(exact)
    edges = cv2.Laplacian(exact, cv2.CV_32F)
    smooth = cv2.Laplacian(cv2.GaussianBlur(exact, (3, 3), 0), cv2.CV_32F)
    luminance = float(mean[0, 0])
    unit = luminance + 1  # a black picture has luminance 0
    return Measures(
        luminance=luminance,
        contrast=float(deviation[0, 0]),
        sharpness=cv2.norm(edges, cv2.NORM_L2) / math.sqrt(exact.size) / unit,
        detail=cv2.norm(smooth, cv2.NORM_L1) / exact.size / unit,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The edges of a thumbnail, independent of light, exposure and shading, float32 [h / 2, w / 2]."""

    edges: NDArray[np.float32]

    @classmethod
    def of(cls, thumbnail: Thumbnail) -> Placed:
        """Return the edges of a thumbnail."""
        height, width = thumbnail.shape
        half = cv2.resize(thumbnail, (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(np.float32)
        raised = half - cv2.blur(half, _AROUND)
        # cv2.blur keeps running sums: beside a bright edge they end a little below zero where all is flat.
        local = np.sqrt(np.maximum(cv2.blur(raised * raised, _LOCAL), 0))
        return cls(np.asarray(raised / (local + _FLOOR), dtype=np.float32))

    def shift_of(self, other: Placed) -> Shift:
        """Return the displacement of `other` against this one, by phase correlation, and its certainty."""
        height, width = self.edges.shape
        window = cv2.createHanningWindow((width, height), cv2.CV_32F)
        # Given the window, phaseCorrelate would multiply its arguments in place wherever their size needs no padding.
        (right, down), _ = cv2.phaseCorrelate(self.edges * window, other.edges * window)
        share = float(np.hypot(right, down)) / width
        here = _correlation(self.edges, other.edges)
        if max(abs(right) / width, abs(down) / height) > 0.5:  # noqa: PLR2004 - half of the picture
            return Shift(share, here, 0.0)
        x, y = round(right), round(down)
        mine = self.edges[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
        theirs = other.edges[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)]
        return Shift(share, here, _correlation(mine, theirs))


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return Pearson's correlation, -1 to 1; 0 if one is flat.

    (For cv2.matchTemplate a flat picture matches everything perfectly.)
    """
    one, other = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    length = float(np.sqrt(np.vdot(one, one) * np.vdot(other, other)))
    return float(np.clip(np.vdot(one, other) / length, -1, 1)) if length > _FLAT * a.size else 0.0
