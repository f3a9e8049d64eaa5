"""A fixed camera over a photograph, with sensor noise, and what can happen to a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import cv2
import numpy as np
from skimage import data

from runtime.frame import Image
from runtime.scene.inspect import CameraFault, Inspect

FPS = 10
HEIGHT, WIDTH = 240, 360
SECOND_NS = 1_000_000_000

_MARGIN = 64

Fault = Callable[[Image], Image]


@cache
def scene() -> Image:
    """Return the scene without noise, uint8 [240, 360, 3] BGR."""
    photograph = np.ascontiguousarray(data.coffee()[..., ::-1])
    return np.asarray(cv2.resize(photograph, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


@cache
def _noise(height: int, width: int, sigma: float) -> np.ndarray:
    """Return noise for pictures of a size, int16, with a margin to cut it from other places."""
    random = np.random.default_rng(0)
    return (random.standard_normal((height + _MARGIN, width + _MARGIN, 3), np.float32) * sigma).round().astype(np.int16)


def noisy(picture: Image, seed: int, sigma: float = 2.0) -> Image:
    """Return a picture as a sensor sees it."""
    height, width = picture.shape[:2]
    down, right = divmod(seed * 37 % _MARGIN**2, _MARGIN)
    noise = _noise(height, width, sigma)[down : down + height, right : right + width]
    return cv2.add(picture, noise, dtype=cv2.CV_8U)


def frames(count: int, first: int = 0) -> list[Image]:
    """Film the scene."""
    return [noisy(scene(), seed) for seed in range(first, first + count)]


def defocus(picture: Image, sigma: float = 4.0) -> Image:
    """Blur a picture, by `sigma` where it is 360 pixels wide; its noise is that of a sensor again."""
    return noisy(cv2.GaussianBlur(picture, (0, 0), sigma * picture.shape[1] / WIDTH), 1)


def cover(picture: Image, colour: tuple[int, int, int], share: float = 1.0) -> Image:
    """Hold something without a pattern before the left `share` of a picture."""
    height, width = picture.shape[:2]
    covered = picture.astype(np.float32)
    shading = np.linspace(0.85, 1.15, height, dtype=np.float32)[:, None, None]
    covered[:, : round(width * share)] = shading * np.float32(colour)
    return noisy(np.clip(covered, 0, 255).astype(np.uint8), 2, 1.5)


def moved(picture: Image, right: float, down: float = 0.0) -> Image:
    """Turn a camera: shares of the width; what comes into view is like the edge that it comes from."""
    height, width = picture.shape[:2]
    matrix = np.float32([[1, 0, right * width], [0, 1, down * width]])
    return noisy(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), 3)


def exposed(picture: Image, factor: float) -> Image:
    """Return the picture more or less light."""
    return np.clip(picture * np.float32(factor), 0, 255).astype(np.uint8)


DARK: dict[str, Fault] = {
    "black": np.zeros_like,
    "black with noise": lambda it: noisy(np.zeros_like(it), 4),
    "dimmed to 5 %": lambda it: exposed(it, 0.05),
    "white": lambda it: np.full_like(it, 255),
}
BLURRED: dict[str, Fault] = {
    "defocus": defocus,
    "strong defocus": lambda it: defocus(it, 10),
    "flat": lambda it: np.full_like(it, 128),
    "grey cover": lambda it: cover(it, (120, 120, 120)),
    "hand": lambda it: cover(it, (90, 120, 190)),
    "hand over most": lambda it: cover(it, (90, 120, 190), 0.85),
}
MOVED: dict[str, Fault] = {
    "8 % right": lambda it: moved(it, 0.08),
    "8 % left": lambda it: moved(it, -0.08),
    "8 % down": lambda it: moved(it, 0.0, 0.08),
    "20 % left and up": lambda it: moved(it, -0.2, -0.05),
    "30 % right": lambda it: moved(it, 0.3),
}
HARMLESS: dict[str, Fault] = {
    "more light": lambda it: exposed(it, 1.3),
    "less light": lambda it: exposed(it, 0.7),
    "half covered": lambda it: cover(it, (90, 120, 190), 0.5),
}


def play(
    inspect: Inspect, pictures: Iterable[Image], start_s: float = 0.0, fps: float = FPS
) -> list[CameraFault | None]:
    """Show pictures to a stage, the first at `start_s`."""
    return [inspect(picture, round((start_s + at / fps) * SECOND_NS)) for at, picture in enumerate(pictures)]


def found_after_s(findings: list[CameraFault | None], state: str, fps: float = FPS) -> float:
    """Return when the first frame was in `state`; none after it may be called anything else."""
    states = [finding.state if finding else None for finding in findings]
    assert state in states, set(states)
    first = states.index(state)
    assert set(states[:first]) <= {None}
    assert set(states[first:]) == {state}
    return first / fps
