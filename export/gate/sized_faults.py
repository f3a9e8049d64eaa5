"""Synthetic faults of stated sizes and contrasts: how small and how faint a fault may be and still be found.

They are no test set: real faults look different. They show what the pictures, their resizing and the network leave
visible at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Grid, Image
from runtime.learning.gate.synthetic_faults import TRIES, Judged, all_judged
from runtime.learning.progress import progress
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

MAX_HOSTS = 45
"""Maximum number of pictures that faults are drawn on: each is read once."""

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


@dataclass(frozen=True, slots=True, eq=False)
class FaultScores:
    """What the faults scored.

    Attributes:
        faults: the faults.
        scores: float64 [faults].
        cell: side of a patch, pixels of the camera.
    """

    faults: list[SizedFault]
    scores: NDArray[np.float64]
    cell: float


def score_faults(
    hosts: Iterable[Image], count: int, scorer: Scorer, seed: int, judged: Judged = all_judged
) -> FaultScores:
    """Score faults of all kinds, sizes and contrasts with the search of the device.

    Args:
        hosts: normal pictures that are not in the bank, uint8 [H, W, 3] BGR, at most `MAX_HOSTS`.
        count: number of hosts, at least 1.
        scorer: the stages as the device runs them.
        seed: random seed of the places; the same pictures and seed give the same faults.
        judged: where pictures are judged: there the middle of a fault is.
    """
    walk = iter(hosts)
    first = next(walk)
    cell = cell_side(first.shape[:2], scorer)
    frames = FRAMES // len(scorer.preprocess(first))  # each costs as many inputs as it has tiles
    faults = plan(fits(first, cell, scorer), colours=not _is_grey(first), seed=seed, frames=frames)
    random = np.random.default_rng(seed)
    scores = np.zeros(len(faults))
    pictures = enumerate(chain([first], walk))
    for number, picture in progress(pictures, "synthetic faults", total=count, unit="picture"):
        height, width = picture.shape[:2]
        box, own_cell = seen_box((height, width), scorer), cell_side((height, width), scorer)
        where = judged((height, width))
        for place in range(number, len(faults), count):
            scores[place] = scorer(draw(picture, faults[place], own_cell, box, random, where)).value
    return FaultScores(faults, scores, cell)


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


def draw(
    picture: Image,
    fault: SizedFault,
    cell: float,
    box: tuple[int, int, int, int],
    random: np.random.Generator,
    judged: NDArray[np.bool_] | None = None,
) -> Image:
    """Return a copy of a picture with a fault at a random place inside of a box.

    Args:
        picture: uint8 [H, W, 3] BGR.
        fault: kind, size and contrast.
        cell: side of a patch in this picture, pixels.
        box: top, left, bottom and right of where it may be.
        random: generator of place, direction and sign.
        judged: pixels that are judged, bool [H, W], where its middle is, if one of some tries finds that; None: all.
    """
    size = pixels(fault.cells, cell)
    opacity = _scratch(size, random.uniform(0, np.pi)) if fault.kind == "scratch" else _disc(size)
    top, left, bottom, right = box
    height, width = min(opacity.shape[0], bottom - top), min(opacity.shape[1], right - left)
    above, beside = (opacity.shape[0] - height) // 2, (opacity.shape[1] - width) // 2
    opacity = opacity[above : above + height, beside : beside + width, None]  # its middle, in a tiny picture
    for _ in range(TRIES):
        row, column = int(random.integers(top, bottom - height + 1)), int(random.integers(left, right - width + 1))
        if judged is None or judged[row + height // 2, column + width // 2]:
            break
    place = (slice(row, row + height), slice(column, column + width))
    here = picture[place].astype(np.float32)
    level = float((here * opacity).sum() / (3 * opacity.sum()))
    shift = (_colour if fault.kind == "stain" else _brightness)(fault.contrast, level, random)
    damaged = picture.copy()
    damaged[place] = np.clip(np.rint(here + opacity * shift), 0, 255).astype(np.uint8)
    return damaged


def _brightness(contrast: int, level: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Return a shift of all channels, brighter or darker."""
    return np.full(3, _signed(contrast, level, random), dtype=np.float32)


def _colour(contrast: int, level: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Return a shift to another colour of the same mean."""
    return random.permutation(_signed(contrast, level, random) * np.array([1.0, -0.5, -0.5], dtype=np.float32))


def _signed(contrast: int, level: float, random: np.random.Generator) -> int:
    """Return a contrast up or down, at random, or as there is room for at this grey level."""
    signed = contrast * int(random.choice((-1, 1)))
    return signed if 0 <= level + signed <= 255 else -signed  # noqa: PLR2004 - the scale


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


def _is_grey(picture: Image) -> bool:
    return bool((picture == picture[..., :1]).all())
