"""What a camera of the soak sees: a scene with sensor noise, and what can befall it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from runtime.frame import Image

View = Callable[[int], Image]
"""From the number of a frame to its picture, uint8 [HEIGHT, WIDTH, 3] BGR."""

HEIGHT, WIDTH = 240, 320

_NOISE_LEVELS = 3.0
_NOISES = 8
_TOP, _LEFT = 30, 20
_SHIFT = 64  # a fifth of the width


def normal(number: int) -> Image:
    """Show the scene as it is learnt."""
    return _noisy(_scene(_LEFT), number)


def frozen(_number: int) -> Image:
    """Show the very same picture again and again."""
    return normal(0)


def frozen_but_for_its_clock(number: int) -> Image:
    """Show the same picture with a counter burnt into a corner, as recorders do."""
    picture = normal(0)
    cv2.putText(picture, f"{number:06d}", (4, HEIGHT - 6), cv2.FONT_HERSHEY_PLAIN, 0.8, (255, 255, 255))
    return picture


def black(number: int) -> Image:
    """Show what a camera sees when the light is off."""
    return _noisy(np.full((HEIGHT, WIDTH, 3), 2, np.uint8), number)


def defocused(number: int) -> Image:
    """Show the scene out of focus; the noise of the sensor stays sharp."""
    return _noisy(_defocused_scene(), number)


def covered(number: int) -> Image:
    """Show a cloth before the lens."""
    return _noisy(np.full((HEIGHT, WIDTH, 3), (105, 120, 150), np.uint8), number)


def shifted(number: int) -> Image:
    """Show the scene after somebody knocked against the camera."""
    return _noisy(_scene(_LEFT + _SHIFT), number)


def blinding(number: int) -> Image:
    """Show the scene with the exposure five times too long: nearly all of it is white."""
    return _noisy(cv2.convertScaleAbs(_scene(_LEFT), alpha=5.0, beta=40), number)


def brighter(number: int) -> Image:
    """Show the scene with the exposure a quarter longer: it can still be judged."""
    return _noisy(cv2.convertScaleAbs(_scene(_LEFT), alpha=1.25), number)


@cache
def _scene(left: int) -> Image:
    picture = cv2.resize(data.coffee()[..., ::-1], (450, 300), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture[_TOP : _TOP + HEIGHT, left : left + WIDTH])


@cache
def _defocused_scene() -> Image:
    return np.asarray(cv2.GaussianBlur(_scene(_LEFT), (0, 0), 6.0), dtype=np.uint8)


@cache
def _noise(seed: int) -> NDArray[np.int16]:
    levels = np.random.default_rng(seed).normal(0, _NOISE_LEVELS, (HEIGHT, WIDTH, 3))
    return np.rint(levels).astype(np.int16)


def _noisy(picture: Image, number: int) -> Image:
    """Add the noise of one frame: a field out of a few, turned round, so that no two frames in a row are the same."""
    field = np.roll(_noise(number % _NOISES), number * 7, axis=1)
    return np.clip(picture + field, 0, 255).astype(np.uint8)
