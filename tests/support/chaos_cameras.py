"""What the cameras of `tests.programs.engine_chaos` see, and the scores of that: with each bundle, each by itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from runtime.inference.load import load
from runtime.scoring.regions import Regions
from runtime.view import View
from tests.support.tiny import HEIGHT, WIDTH, normal_picture, strange_picture

CAMERAS = ("a", "b", "c", "d", "e")
SIZE_OF = {"a": 1, "b": 1, "c": 1, "d": 2, "e": 2}  # of its frames, in those of the bundle
PICTURES = 24
LEFT = (0.0, 0.55)  # of the width: the strange square of pictures is cut
VIEWS = ("bundle", "left")


def picture(number: int, size: int) -> np.ndarray:
    """Return one of the pictures, so many times as large."""
    small = (strange_picture if number % 3 == 0 else normal_picture)(number)
    return small.repeat(size, axis=0).repeat(size, axis=1)


def size_hw(camera: str) -> tuple[int, int]:
    """Return height and width of a camera's frames, pixels."""
    return HEIGHT * SIZE_OF[camera], WIDTH * SIZE_OF[camera]


def view_of(name: str, size: int) -> View:
    """Return the regions of a name, in frames of a size."""
    if name == VIEWS[0]:
        return View(own=False)
    left, right = (round(share * WIDTH * size) for share in LEFT)
    return View(regions=(((left, 0), (right, 0), (right, HEIGHT * size), (left, HEIGHT * size)),))


def scores_of(path: Path) -> Iterator[tuple[tuple[str, str, int, int], float]]:
    """Yield the score of each picture by a bundle, with each view and size of frames, one by one."""
    scorer = load(path, 1)[1]
    for view, size, number in itertools.product(VIEWS, set(SIZE_OF.values()), range(PICTURES)):
        its, image, one = view_of(view, size), picture(number, size), scorer.another()
        where, learnt = (scorer.preprocess, scorer.grid), scorer.judged if its.own else None
        active = Regions(its.regions, its.ignore, *where, learnt=learnt).active((image.shape[0], image.shape[1]))
        features = one.embed(one.preprocess(image))
        yield (str(path), view, size, number), one.score(features, one.search(features, active)).value
