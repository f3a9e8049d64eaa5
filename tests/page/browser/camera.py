"""A camera over HTTP whose scene a test decides: grey, with coloured squares as objects; it can be unplugged."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import cv2

from tests.support import growing, tiny
from tests.support.fakes.http import served
from tests.support.fakes.network import JpegCamera

FPS = 10
SCALE = 4
"""The pictures of the tiny bundle, larger: a person sees something, and the network the same."""

HEIGHT, WIDTH = tiny.HEIGHT * SCALE, tiny.WIDTH * SCALE

OBJECTS = {
    "red": (growing.RED, (5, 1)),
    "blue": (growing.BLUE, (1, 5)),
    "green": (growing.GREEN, (5, 5)),
    "faint": ((150, 125, 125), (1, 1)),
}
"""Colour, and column and row of the first of its patches; an object is two patches wide and high."""

SEEDS = tuple(seed for seed in range(28) if seed not in {6, 27})
"""Of the pictures of each scene. The two left out happen to be noise over the threshold. They are more than a ring of
buffers shows that is stuck, or the camera would be called frozen."""


def box(name: str) -> tuple[int, int, int, int]:
    """Return where an object is in the picture: x, y, width, height in pixels."""
    column, row = OBJECTS[name][1]
    height, width = HEIGHT // tiny.GRID[0], WIDTH // tiny.GRID[1]
    return column * width, row * height, 2 * width, 2 * height


@cache
def pictures(objects: frozenset[str]) -> list[bytes]:
    """Return pictures of a scene as JPEG."""
    return [_picture(objects, seed) for seed in SEEDS]


def _picture(objects: frozenset[str], seed: int) -> bytes:
    picture = tiny.normal_picture(seed)
    for name in objects:
        colour, (column, row) = OBJECTS[name]
        height, width = tiny.HEIGHT // tiny.GRID[0], tiny.WIDTH // tiny.GRID[1]
        picture[row * height : (row + 2) * height, column * width : (column + 2) * width] = colour
    large = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".jpg", large)[1].tobytes()


class StagedCamera(JpegCamera):
    """A camera whose scene can be changed."""

    def __init__(self) -> None:
        super().__init__(FPS)
        self.objects: frozenset[str] = frozenset()

    def show(self, *objects: str) -> None:
        """Put these objects into view, and take away all others."""
        pictures(frozenset(objects))  # drawn before, so that the stream does not wait for it
        self.objects = frozenset(objects)

    def shown(self) -> Iterator[bytes]:
        """Yield pictures of the scene as it is then."""
        for number in itertools.cycle(range(len(SEEDS))):
            yield pictures(self.objects)[number]


@contextmanager
def staged_camera() -> Iterator[StagedCamera]:
    """Yield a camera until the block ends."""
    camera = StagedCamera()
    with served(camera, camera.unplugged):
        yield camera
