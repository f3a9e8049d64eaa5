"""The belt as a network camera: the clip once as it is, then again and again with a label that is no fault."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

from export.demo.clip import EMPTY, FPS, QUALITY
from runtime.frame import Image

PAUSE = 75
"""Frames of the empty belt between the clip and the label, so that the last object's alert is over."""

QUIET_ROUNDS = 15
"""Times that the empty belt passes before the objects come again: time to teach the label, 87 s."""

_HEAD = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
_LABEL, _LABEL_XY = 40, (200, 60)  # its side, and its upper left corner: pixels


def pictures_of(film: Path) -> list[bytes]:
    """Return the JPEG of each frame of an AVI file as it is: encoded once more, it would be another picture."""
    data, at, found = film.read_bytes(), 0, []
    while (at := data.find(b"00dc", at)) >= 0:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at + 8 : at + 10] == b"\xff\xd8":
            found.append(data[at + 8 : at + 8 + size])
        at += 8
    return found


def with_label(picture: Image) -> Image:
    """Return a picture with a label stuck on: white, with print."""
    (x, y), side = _LABEL_XY, _LABEL
    label = np.full((side, side, 3), 235, np.uint8)
    for row in range(6, side - 6, 7):
        label[row : row + 3, 5 : side - 5 - row % 11] = (40, 40, 160)
    noise = np.random.default_rng(int(picture[0, 0].sum())).normal(0, 4, label.shape)
    labelled = picture.copy()
    labelled[y : y + side, x : x + side] = np.clip(label + noise, 0, 255).astype(np.uint8)
    return labelled


class BeltCamera(ThreadingHTTPServer):
    """Serves the pictures as JPEG over HTTP, by the clock since the first connection.

    Attributes:
        over: set at the end.
    """

    daemon_threads = True

    def __init__(self, film: list[bytes], fps: float = FPS) -> None:
        """Listen on a free port of this machine."""
        super().__init__(("127.0.0.1", 0), _Stream)
        self.over = threading.Event()
        self.every_s = 1 / fps
        self._film = film
        self._labelled: dict[int, bytes] = {}
        self._programme = [*list(range(EMPTY)) * QUIET_ROUNDS, *range(EMPTY, len(film))]
        self._began_s = 0.0

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_port}/belt.mjpg"

    def shown(self) -> Iterator[bytes]:
        """Yield each frame when it is due, until the end."""
        self._began_s = self._began_s or time.monotonic()
        first = int((time.monotonic() - self._began_s) / self.every_s)
        for number in itertools.count(first):
            due_s = self._began_s + number * self.every_s
            if self.over.wait(max(0.0, due_s - time.monotonic())):
                return
            yield self.frame(number)

    def frame(self, number: int) -> bytes:
        """Return what the camera sees at a time, counted in frames."""
        plain: list[int] = [*range(len(self._film)), *range(PAUSE)]  # frames of the clip
        if number < len(plain):
            return self._film[plain[number]]
        at = self._programme[(number - len(plain)) % len(self._programme)]
        if at not in self._labelled:
            picture = np.asarray(cv2.imdecode(np.frombuffer(self._film[at], np.uint8), cv2.IMREAD_COLOR), np.uint8)
            encoded = cv2.imencode(".jpg", with_label(picture), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
            self._labelled[at] = encoded.tobytes()
        return self._labelled[at]


class _Stream(BaseHTTPRequestHandler):
    server: BeltCamera

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(OSError):  # the device has gone
            for jpeg in self.server.shown():
                self.wfile.write(_HEAD % len(jpeg) + jpeg + b"\r\n")

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def belt_camera(film: Path) -> Iterator[BeltCamera]:
    """Serve a clip until the block ends."""
    with BeltCamera(pictures_of(film)) as camera:
        thread = threading.Thread(target=camera.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield camera
        finally:
            camera.over.set()
            camera.shutdown()
            thread.join()
