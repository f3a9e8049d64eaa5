"""Cameras that drift and cameras that do not, made from real frames: for tests.programs.bench.drift."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from export.demo.clip import CLIP, FPS
from runtime.frame import Image
from tests.programs.bench.light import bent, blurred, gained, read

LEARNT, LAST_EMPTY = 300, 578
SEED = 18
STEP = 5
"""Of a camera that drifts every fifth frame is scored; within a tolerance one a second."""

Alter = Callable[[Image], Image]
Source = Callable[[int], Image]
"""Returns the frame of a number, from 0, of 25 in a second."""
Strength = Callable[[float], Alter]
"""Returns an alteration by its strength, 0 to 1."""


class Case(NamedTuple):
    """A camera over time.

    Attributes:
        name: in the table.
        bundle: `light` (declared 20 %), `none`, `belt` or `bottle`.
        seconds: how long it is watched.
        step: every so many frames of 25 in a second are scored.
        source: returns its frames.
        drifts: drift must be noticed before the first false alert; False: it must not be noticed; None: it is too fast
            for that, and shown to say so.
        begin_s: earlier frames are as learnt, and not scored.
        same: returns the same number for frames that are the same picture; None: none are.
    """

    name: str
    bundle: str
    seconds: float
    step: int
    source: Source
    drifts: bool | None
    begin_s: float = 0.0
    same: Callable[[int], int] | None = None


def stained(opacity: float) -> Alter:
    """Look through a stain on the lens, which is out of focus: a soft grey blot a third of the width across."""

    def alter(image: Image) -> Image:
        height, width = image.shape[:2]
        rows, columns = np.mgrid[:height, :width]
        away = ((columns - width / 3) ** 2 + (rows - height / 2.7) ** 2) / (2 * (width / 8) ** 2)
        cover = (opacity * np.exp(-away))[..., None]
        return np.rint(image * (1 - cover) + 60 * cover).astype(np.uint8)

    return alter


def _defocused(sigma: float) -> Alter:
    return blurred(sigma) if sigma > 0.15 else gained(1.0)  # pixels; less blurs nothing


def _there_and_back(number: int, length: int) -> int:
    number %= 2 * length - 2
    return number if number < length else 2 * length - 2 - number


def office_cases(data: Path) -> list[Case]:
    """Return the office that drifts, and that does not."""
    frames = read(data, range(1, LAST_EMPTY + 1))
    rest = frames[LEARNT:]

    def case(
        name: str, bundle: str, minutes: float, alter: Strength, *, drifts: bool | None, begin_s: float = 0
    ) -> Case:
        """Let the strength of an alteration grow from 0 to 1 over some minutes; within a tolerance it then stays."""

        def source(number: int) -> Image:
            share = min(1.0, number / (minutes * 60 * FPS))
            return alter(share)(rest[_there_and_back(number, len(rest))])

        hold, step = (2, FPS) if drifts is False else (1, STEP)
        return Case(name, bundle, hold * minutes * 60, step, source, drifts, begin_s)

    must, may_not = {"drifts": True}, {"drifts": False}
    held = "in 10 min, and 10 min there"

    def turn(number: int) -> int:
        return number % LAST_EMPTY

    replayed = (10 * LAST_EMPTY / FPS, 1, lambda number: frames[turn(number)], False, 0.0, turn)
    return [
        case("light to 140 % in 10 min", "light", 10, lambda u: gained(1 + 0.4 * u), **must),
        case("light to 60 % in 10 min", "light", 10, lambda u: gained(1 - 0.4 * u), **must),
        case("gamma to 0.7 in 10 min, none declared", "none", 10, lambda u: bent(1 - 0.3 * u), **must),
        case("focus to 0.3 % of the width in 10 min", "light", 10, lambda u: _defocused(1.08 * u), **must),
        case("focus to 0.3 % in 10 min, none declared", "none", 10, lambda u: _defocused(1.08 * u), **must),
        case("focus to 1 % in 10 min", "light", 10, lambda u: _defocused(3.6 * u), drifts=None),
        case("stain in 1 h", "light", 60, lambda u: stained(0.5 * u), **must, begin_s=900),
        case("stain in 3 h, none declared", "none", 180, lambda u: stained(0.5 * u), **must, begin_s=900),
        case("stain in 1 h, none declared", "none", 60, lambda u: stained(0.5 * u), drifts=None, begin_s=300),
        case("stain in 10 min", "light", 10, lambda u: stained(0.5 * u), drifts=None),
        case(f"light to 120 % {held}", "light", 10, lambda u: gained(1 + 0.2 * u), **may_not),
        case(f"light to 80 % {held}", "light", 10, lambda u: gained(1 - 0.2 * u), **may_not),
        case(f"gamma to 1.4 {held}", "light", 10, lambda u: bent(1 + 0.4 * u), **may_not),
        case(f"gamma to 0.7 {held}", "light", 10, lambda u: bent(1 - 0.3 * u), **may_not),
        Case("frames 1 to 578, ten times", "light", *replayed),
        Case("the same, none declared", "none", *replayed),
    ]


def belt_case(folder: Path) -> Case:
    """Return the clip of the demo, whose objects raise alerts that are no false ones."""
    video = cv2.VideoCapture(str(folder / CLIP))
    frames = [image for good, image in iter(video.read, (False, None)) if good]
    video.release()
    return Case(
        "belt of the demo",
        "belt",
        len(frames) / FPS,
        1,
        lambda number: np.asarray(frames[number], np.uint8),
        drifts=False,
    )


def bottle_case(data: Path) -> Case:
    """Return bottle's good pictures, one a second, in random order, twenty times over."""
    pictures = [path for kind in ("train", "test") for path in sorted((data / "bottle" / kind / "good").iterdir())]
    random = np.random.default_rng(SEED)
    order = np.concatenate([random.permutation(len(pictures)) for _ in range(20)])
    images = [np.asarray(cv2.imread(str(path)), np.uint8) for path in pictures]

    def picture(number: int) -> int:
        return int(order[number // FPS])

    seconds = float(len(order))
    return Case("bottle, good", "bottle", seconds, FPS, lambda n: images[picture(n)], drifts=False, same=picture)
