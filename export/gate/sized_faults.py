"""Synthetic faults of stated sizes and contrasts: how small and how faint a fault may be and still be found.

They are no test set: real faults look different. They show what the pictures, their resizing and the network leave
visible at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Grid, Image
from runtime.learning.gate.synthetic_faults import TRIES
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.scorer import Scorer

Kind = Literal["spot", "scratch", "stain"]
KINDS: tuple[Kind, ...] = ("spot", "scratch", "stain")
GREY_KINDS: tuple[Kind, ...] = ("spot", "scratch")

CELLS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Sizes of the faults, in sides of a patch."""

CONTRASTS = (20, 50, 120)
"""Grey levels of 255 that a fault is apart from its surroundings; for a stain, of its strongest colour."""

FRAMES = 270
"""Number of faults at most: six of each kind, size and contrast; nine where pictures are grey, and have no stains."""

SLENDER = 10
"""Length of a scratch in widths."""

_SOFT = 0.1  # of the diameter: the edge of a spot


@dataclass(frozen=True, slots=True)
class SizedFault:
    """One fault.

    Attributes:
        kind: `spot` is a disc and `scratch` a line of another brightness, `stain` a disc of another colour.
        cells: diameter or length, in sides of a patch.
        contrast: grey levels.
    """

    kind: Kind
    cells: float
    contrast: int


@dataclass(frozen=True, slots=True)
class PlacedFault:
    """A fault at its place in one picture: nothing about it is random any more.

    Attributes:
        fault: kind, size and contrast.
        size: diameter or length, pixels.
        angle: of a scratch, radians.
        box: top, left, height and width of where it is, pixels.
        sign: 1 or -1, where there is room for both.
        order: of the channels, for a stain.
    """

    fault: SizedFault
    size: int
    angle: float
    box: tuple[int, int, int, int]
    sign: int
    order: tuple[int, ...]

    def __call__(self, picture: Image) -> Image:
        """Return a copy of a picture, uint8 [H, W, 3] BGR, with the fault."""
        top, left, height, width = self.box
        opacity = _opacity(self.fault.kind, self.size, self.angle)
        above, beside = (opacity.shape[0] - height) // 2, (opacity.shape[1] - width) // 2
        opacity = opacity[above : above + height, beside : beside + width, None]  # its middle, in a tiny picture
        inside = (slice(top, top + height), slice(left, left + width))
        here = picture[inside].astype(np.float32)
        level = float((here * opacity).sum() / (3 * opacity.sum()))
        damaged = picture.copy()
        damaged[inside] = np.clip(np.rint(here + opacity * self._shift(level)), 0, 255).astype(np.uint8)
        return damaged

    def _shift(self, level: float) -> NDArray[np.float32]:
        """Return a shift of all channels, brighter or darker; or to another colour of the same mean."""
        signed = self.sign * self.fault.contrast
        signed = signed if 0 <= level + signed <= 255 else -signed  # noqa: PLR2004 - the scale
        if self.fault.kind == "stain":
            return signed * np.array([1.0, -0.5, -0.5], dtype=np.float32)[list(self.order)]
        return np.full(3, signed, dtype=np.float32)


def plan(cells: Iterable[float], *, colours: bool, seed: int, frames: int = FRAMES) -> list[SizedFault]:
    """Return the faults, each combination equally often, in random order: `cells` are the sizes that fit."""
    each = [SizedFault(*one) for one in product(KINDS if colours else GREY_KINDS, cells, CONTRASTS)]
    faults = each * max(1, frames // len(each))
    return [faults[place] for place in np.random.default_rng(seed).permutation(len(faults))]


def cell_side(picture_hw: tuple[int, ...], scorer: Scorer) -> float:
    """Return the side of a patch in pixels of the camera: of a square of the same area."""
    return float(np.sqrt(np.prod(cell_hw(picture_hw, scorer.preprocess, scorer.grid))))


def cell_hw(picture_hw: tuple[int, ...], preprocess: Preprocess, grid: Grid) -> tuple[float, float]:
    """Return height and width of the pixels of the camera that one patch stands for."""
    (top, left), (bottom, right) = _corners(picture_hw, preprocess)
    rows, columns = grid.hw
    return (bottom - top) / rows, (right - left) / columns


def seen_box(picture_hw: tuple[int, ...], scorer: Scorer) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of what the network sees of a picture, pixels."""
    (top, left), (bottom, right) = _corners(picture_hw, scorer.preprocess)
    return int(np.ceil(top)), int(np.ceil(left)), int(bottom), int(right)


def fits(picture: Image, cell: float, scorer: Scorer) -> list[float]:
    """Return the sizes that are at most half of what the network sees; the smallest one if none is."""
    top, left, bottom, right = seen_box(picture.shape[:2], scorer)
    return [cells for cells in CELLS if 2 * cells * cell <= min(bottom - top, right - left)] or [CELLS[0]]


def pixels(cells: float, cell: float) -> int:
    """Return a size in pixels: at least 1."""
    return max(1, round(cells * cell))


def scratch_width(length: int) -> int:
    """Return the width of a scratch, pixels."""
    return max(1, round(length / SLENDER))


def place(
    fault: SizedFault,
    cell: float,
    box: tuple[int, int, int, int],
    random: np.random.Generator,
    judged: NDArray[np.bool_] | None = None,
) -> PlacedFault:
    """Return a fault at a random place inside of a box: what is drawn does not depend on the picture there.

    Args:
        fault: kind, size and contrast.
        cell: side of a patch in this picture, pixels.
        box: top, left, bottom and right of where it may be.
        random: generator of place, direction and sign.
        judged: pixels that are judged, bool [H, W], where its middle is, if one of some tries finds that; None: all.
    """
    size = pixels(fault.cells, cell)
    angle = random.uniform(0, np.pi) if fault.kind == "scratch" else 0.0
    top, left, bottom, right = box
    shape = _opacity(fault.kind, size, angle).shape
    height, width = min(shape[0], bottom - top), min(shape[1], right - left)
    for _ in range(TRIES):
        row, column = int(random.integers(top, bottom - height + 1)), int(random.integers(left, right - width + 1))
        if judged is None or judged[row + height // 2, column + width // 2]:
            break
    sign = int(random.choice((-1, 1)))
    order = tuple(random.permutation(3).tolist()) if fault.kind == "stain" else ()
    return PlacedFault(fault, size, angle, (row, column, height, width), sign, order)


def _opacity(kind: Kind, size: int, angle: float) -> NDArray[np.float32]:
    """Return the opacity of a fault, float32 [rows, columns]."""
    return _scratch(size, angle) if kind == "scratch" else _disc(size)


def _disc(size: int) -> NDArray[np.float32]:
    """Return the opacity of a disc, half of it at the diameter `size`: float32 [side, side]."""
    side = size + 2 if size > 1 else 1
    at = np.arange(side) - (side - 1) / 2
    apart = np.hypot(at[:, None], at)
    return np.asarray(np.clip((size / 2 - apart) / max(1.0, _SOFT * size) + 0.5, 0, 1), dtype=np.float32)


def _scratch(size: int, angle: float) -> NDArray[np.float32]:
    """Return the opacity of a line of length `size`, float32 [side, side]."""
    width = scratch_width(size)
    side = int(np.ceil(np.hypot(size, width))) + 2
    at = np.arange(side) - (side - 1) / 2
    along = np.abs(np.cos(angle) * at + np.sin(angle) * at[:, None])
    across = np.abs(np.cos(angle) * at[:, None] - np.sin(angle) * at)
    inside = (np.clip(end / 2 - apart + 0.5, 0, 1) for end, apart in ((size, along), (width, across)))
    return np.asarray(np.prod(list(inside), axis=0), dtype=np.float32)


def _corners(picture_hw: tuple[int, ...], preprocess: Preprocess) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return top left and bottom right of what the network sees, pixels of the camera."""
    ends = np.array([0.0, 1.0])
    rows, columns = preprocess.on_camera((ends, ends), (picture_hw[0], picture_hw[1]))
    return (float(rows[0]), float(columns[0])), (float(rows[1]), float(columns[1]))


def is_grey(picture: Image) -> bool:
    """Return whether a picture, uint8 [H, W, 3], has no colours."""
    return bool((picture == picture[..., :1]).all())
