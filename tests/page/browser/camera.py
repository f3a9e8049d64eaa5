"""A camera over HTTP whose scene a test decides: grey, with coloured squares as objects; it can be unplugged."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from tests.support import growing, tiny
from tests.support.fakes.http import served

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


class StagedCamera(ThreadingHTTPServer):
    """JPEG pictures over HTTP at a steady rate; any client gets them.

    Attributes:
        unplugged: while set, connections end, and new ones are refused.
        over: set at the end.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Stream)
        self.unplugged, self.over = threading.Event(), threading.Event()
        self.objects: frozenset[str] = frozenset()

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_port}/camera.mjpg"

    def show(self, *objects: str) -> None:
        """Put these objects into view, and take away all others."""
        pictures(frozenset(objects))  # drawn before, so that the stream does not wait for it
        self.objects = frozenset(objects)


class _Stream(BaseHTTPRequestHandler):
    server: StagedCamera

    def do_GET(self) -> None:
        if self.server.unplugged.is_set():
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        due_s = time.monotonic()
        for number in itertools.cycle(range(len(SEEDS))):
            due_s += 1 / FPS
            if self.server.over.wait(max(0.0, due_s - time.monotonic())) or self.server.unplugged.is_set():
                return
            jpeg = pictures(self.server.objects)[number]
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)
            try:
                self.wfile.write(part)
            except OSError:
                return

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def staged_camera() -> Iterator[StagedCamera]:
    """Yield a camera until the block ends."""
    camera = StagedCamera()
    with served(camera, camera.over):
        yield camera
