"""Pictures at the edge of what a camera gives: flat, saturated, a pixel wide, checkered, backlit, with one spot."""

from __future__ import annotations

import cv2
import hypothesis.strategies as st
import numpy as np

from runtime.frame import Image

MAX_SIDE = 40
"""Pixels: small enough for hundreds of them in a second."""

SIDES = st.one_of(st.integers(1, 5), st.integers(1, MAX_SIDE))
LEVELS = st.one_of(st.sampled_from((0, 1, 127, 254, 255)), st.integers(0, 255))


def flat(height: int, width: int, level: int) -> Image:
    """One level everywhere."""
    return np.full((height, width, 3), level, np.uint8)


def spot(height: int, width: int, x: int, y: int, radius: int, level: int, ground: int = 0) -> Image:
    """One disc on a flat ground: dark field, or with a bright ground a backlight."""
    return np.asarray(cv2.circle(flat(height, width, ground), (x, y), radius, (level,) * 3, -1), np.uint8)


def checkered(height: int, width: int, side: int, level: int) -> Image:
    """Squares of black and one level, the finest of one pixel."""
    rows, columns = np.indices((height, width)) // side
    return np.repeat(np.where((rows + columns) % 2, np.uint8(level), np.uint8(0))[..., None], 3, axis=2)


@st.composite
def odd_pictures(draw: st.DrawFn) -> Image:
    """Draw any of them, uint8 [H, W, 3] BGR, from 1 x 1 on."""
    height, width = draw(SIDES), draw(SIDES)
    kind = draw(st.sampled_from(("flat", "spot", "backlit", "checkered", "noise", "half")))
    level = draw(LEVELS)
    if kind == "flat":
        return flat(height, width, level)
    if kind == "checkered":
        return checkered(height, width, draw(st.integers(1, 4)), level)
    if kind == "noise":
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        return random.integers(0, 256, (height, width, 3), np.uint8)
    if kind == "half":
        picture = flat(height, width, 0)
        picture[: draw(st.integers(0, height))] = level
        return picture
    x, y, radius = draw(st.integers(0, width)), draw(st.integers(0, height)), draw(st.integers(0, 6))
    return spot(height, width, x, y, radius, level, 0 if kind == "spot" else 255)


def darkfield(count: int, seed: int = 0, height: int = 120, width: int = 180) -> list[Image]:
    """Return dark-field pictures: a bright part, now and then elsewhere, on a ground that is exactly black."""
    random = np.random.default_rng(seed)
    return [
        spot(
            height,
            width,
            int(random.integers(20, width - 20)) if number % 4 == 0 else width // 2,
            int(random.integers(10, height - 10)) if number % 4 == 0 else height // 2,
            int(random.integers(8, 22)),
            int(random.integers(190, 256)),
        )
        for number in range(count)
    ]
