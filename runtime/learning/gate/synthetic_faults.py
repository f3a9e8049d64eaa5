"""Synthetic faults: normal pictures with a local defect, where no picture of a real fault exists.

They compare one graph with another on anomalous patches. They are not a test set: their detection rate tells little
about real faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.frame import Image

SMALLEST, LARGEST = 0.04, 0.16
"""Sides of a fault, relative to the shorter side of the picture."""

_SCAR_WIDTH = 0.15  # of its length
_SMEAR_SIGMA = 0.25  # of the side of the fault
_TINT_LEVELS = 60.0

Fault = Callable[[Image, Image, np.random.Generator], Image]
"""Returns a damaged copy of a place, from it, another place of the picture, and a random generator."""


Judged = Callable[[tuple[int, int]], NDArray[np.bool_] | None]
"""Returns the pixels that are judged in a picture of this height and width, bool [H, W]; None: all."""

TRIES = 100  # places until one is judged


def all_judged(_picture_hw: tuple[int, int]) -> None:
    """Return that all pixels are judged."""


def with_faults(pictures: Iterable[Image], seed: int, judged: Judged = all_judged) -> Iterator[tuple[Image, Image]]:
    """Yield each picture and its copy with a fault, by all kinds in turn: the same for the same pictures and seed.

    The centre of a fault is where pictures are judged.
    """
    random = np.random.default_rng(seed)
    for number, picture in enumerate(pictures):
        yield picture, _damage(picture, _KINDS[number % len(_KINDS)], random, judged(picture.shape[:2]))


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFault:
    """The fault of a picture that `with_faults` gives it, in whichever process that picture is read.

    Attributes:
        kind: number of its kind.
        state: of the random generator before it.
    """

    kind: int
    state: Mapping[str, Any]

    def __call__(self, picture: Image, judged: Judged = all_judged) -> Image:
        """Return a copy of the picture with the fault."""
        random = np.random.default_rng()
        random.bit_generator.state = self.state
        return _damage(picture, _KINDS[self.kind], random, judged(picture.shape[:2]))


def draw_faults(pictures_hw: Iterable[tuple[int, int]], seed: int, judged: Judged = all_judged) -> list[DrawnFault]:
    """Return the faults of pictures of these heights and widths, in order: what is drawn depends on nothing else."""
    random, drawn = np.random.default_rng(seed), []
    for number, picture_hw in enumerate(pictures_hw):
        drawn.append(DrawnFault(number % len(_KINDS), random.bit_generator.state))
        _damage(np.zeros((*picture_hw, 3), np.uint8), _KINDS[number % len(_KINDS)], random, judged(picture_hw))
    return drawn


def _damage(picture: Image, kind: Fault, random: np.random.Generator, judged: NDArray[np.bool_] | None) -> Image:
    height, width = picture.shape[:2]
    side = max(4, round(min(height, width) * random.uniform(SMALLEST, LARGEST)))
    side = min(side, height, width)
    for _ in range(TRIES):
        tops = random.integers(0, height - side + 1, 2)
        lefts = random.integers(0, width - side + 1, 2)
        if judged is None or judged[tops[0] + side // 2, lefts[0] + side // 2]:
            break
    here, there = (picture[top : top + side, left : left + side] for top, left in zip(tops, lefts, strict=True))
    damaged = picture.copy()
    blend = _soft_disc(side)[..., None]
    mixed = here * (1 - blend) + kind(here, there, random) * blend
    damaged[tops[0] : tops[0] + side, lefts[0] : lefts[0] + side] = np.rint(mixed).astype(np.uint8)
    return damaged


def _soft_disc(side: int) -> NDArray[np.float32]:
    """Return a window that is 1 in the middle and 0 at the edge of a square."""
    at = np.linspace(-1, 1, side)
    return np.asarray(np.clip(3 * (1 - np.hypot(at[:, None], at)), 0, 1), dtype=np.float32)


def _cut_paste(_here: Image, there: Image, random: np.random.Generator) -> Image:
    """Another part of the picture, turned."""
    return np.rot90(there, int(random.integers(1, 4)))


def _scar(here: Image, _there: Image, random: np.random.Generator) -> Image:
    """A straight line of another brightness."""
    side = len(here)
    angle = random.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * side / 2
    start, end = ((side / 2 + sign * reach).round().astype(int).tolist() for sign in (-1, 1))
    level = 255 if here.mean() < 128 else 0  # noqa: PLR2004 - the middle of the scale
    scarred = np.ascontiguousarray(here)
    return np.asarray(cv2.line(scarred.copy(), start, end, (level,) * 3, max(1, round(side * _SCAR_WIDTH))), np.uint8)


def _tint(here: Image, _there: Image, random: np.random.Generator) -> Image:
    """The same place in another colour."""
    shift = random.uniform(-_TINT_LEVELS, _TINT_LEVELS, 3)
    return np.clip(here + shift, 0, 255).astype(np.uint8)


def _smear(here: Image, _there: Image, _random: np.random.Generator) -> Image:
    """The same place without its texture."""
    return np.asarray(
        cv2.GaussianBlur(np.ascontiguousarray(here), (0, 0), max(1.0, len(here) * _SMEAR_SIGMA)), np.uint8
    )


_KINDS: tuple[Fault, ...] = (_cut_paste, _scar, _tint, _smear)
