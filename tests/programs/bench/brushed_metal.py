"""Pictures of brushed metal, and scratches on it: made from a seed, at the resolution of an industrial camera."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.frame import Image

GREY = 128.0
STREAKS = (60.0, 0.8, 11.0)
"""Sigma along and across, pixels, and amplitude, grey levels, of the traces of the brush."""

OCTAVES = ((3.0, 3.0), (12.0, 3.0), (48.0, 3.0), (200.0, 4.0))
"""Sigma, pixels, and amplitude, grey levels, of the unevenness of the surface."""

SENSOR = 2.0
"""Standard deviation of the noise of the sensor, grey levels."""

TINT = (1.02, 1.0, 0.98)
"""Blue, green and red of grey."""

FINE = 8
"""Positions of an edge in a pixel, along each axis."""


def metal(seed: int, hw: tuple[int, int]) -> Image:
    """Make a picture without faults, uint8 [H, W, 3]."""
    random = np.random.default_rng(seed)
    along, across, amplitude = STREAKS
    grey: NDArray[np.float32] = GREY + amplitude * _noise(random, hw, along, across)
    for sigma, strength in OCTAVES:
        grey += strength * _noise(random, hw, sigma, sigma)
    down, right = random.uniform(-6, 6, 2)
    grey += np.linspace(-down, down, hw[0], dtype=np.float32)[:, None]
    grey += np.linspace(-right, right, hw[1], dtype=np.float32)
    grey += SENSOR * random.standard_normal(hw, dtype=np.float32)
    return np.stack([np.clip(np.rint(grey * tint), 0, 255).astype(np.uint8) for tint in TINT], axis=2)


def scratch(
    picture: Image, size: tuple[int, int], levels: float, turned: tuple[float, float], seed: int
) -> tuple[Image, tuple[float, float]]:
    """Return the picture with a straight scratch at a random place, and the scratch's centre (x, y).

    Args:
        picture: uint8 [H, W, 3]; it is not changed.
        size: width and length of the scratch, pixels.
        levels: how much darker it is than the metal, grey levels.
        turned: range of its direction, degrees from straight across the traces of the brush.
        seed: of place and direction.
    """
    random = np.random.default_rng(seed)
    height, width = picture.shape[:2]
    reach = int(np.hypot(*size) / 2) + 2
    middle = random.uniform(reach, width - reach), random.uniform(reach, height - reach)
    corners = cv2.boxPoints((middle, size, float(random.uniform(*turned))))
    left, top = (int(value) for value in np.floor(corners.min(axis=0)))
    right, bottom = (int(value) + 1 for value in np.ceil(corners.max(axis=0)))
    fine = np.zeros(((bottom - top) * FINE, (right - left) * FINE), dtype=np.uint8)
    cv2.fillPoly(fine, [np.rint((corners - (left, top)) * FINE).astype(np.int32)], 255)
    share = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA) / 255
    faulty = picture.copy()
    part = faulty[top:bottom, left:right]
    part[:] = np.clip(np.rint(part - levels * share[..., None]), 0, 255)
    return faulty, middle


def _noise(random: np.random.Generator, hw: tuple[int, int], along: float, across: float) -> NDArray[np.float32]:
    """Return smooth noise of standard deviation 1, float32 [H, W]: made small where it is smooth, and enlarged."""
    steps = [max(1, int(sigma / 3)) for sigma in (across, along)]
    small = [-(-size // step) + 2 for size, step in zip(hw, steps, strict=True)]
    noise = random.standard_normal(small, dtype=np.float32)
    sigma_y, sigma_x = across / steps[0], along / steps[1]
    smooth = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y, borderType=cv2.BORDER_REFLECT_101)
    large = cv2.resize(smooth, (small[1] * steps[1], small[0] * steps[0]), interpolation=cv2.INTER_CUBIC)
    found = large[: hw[0], : hw[1]]
    return np.asarray((found - found.mean()) / found.std(), dtype=np.float32)
