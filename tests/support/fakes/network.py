"""Network cameras on the loopback address, and what can happen to them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from tests.support.fakes.http import served
from tests.support.tiny import normal_picture, strange_picture


class JpegCamera(ThreadingHTTPServer):
    """JPEG pictures over HTTP at a steady rate, whether or not anybody keeps up; its address ends in `server_port`.

    Attributes:
        every_s: interval between two.
        unplugged: while set, connections end, and new ones are not answered.
    """

    daemon_threads = True

    def __init__(self, fps: float) -> None:
        super().__init__(("127.0.0.1", 0), _Stream)
        self.every_s = 1 / fps
        self.unplugged = threading.Event()

    @property
    def url(self) -> str:
        """Return its address, with a password."""
        return f"http://user:secret@127.0.0.1:{self.server_port}/camera.mjpg"

    def answers(self) -> bool:
        """Return whether a client gets an answer."""
        return not self.unplugged.is_set()

    def shown(self) -> Iterator[bytes]:
        """Yield what a client gets; each picture is asked for when it is due."""
        raise NotImplementedError


class _Stream(BaseHTTPRequestHandler):
    server: JpegCamera

    def do_GET(self) -> None:
        camera = self.server
        if not camera.answers():
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        pictures, due_s = camera.shown(), time.monotonic()
        while not camera.unplugged.wait(max(0.0, due_s - time.monotonic())):
            due_s += camera.every_s
            jpeg = next(pictures)
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)
            try:
                self.wfile.write(part)
            except OSError:
                return

    def log_message(self, *_args: object) -> None:
        pass


class NetworkCamera(JpegCamera):
    """Pictures of the tiny bundle, 50 a second.

    Attributes:
        strange: while set, there is an object before it.
        silent: once set, connections stay open and nothing comes; `hung` is set when one was opened so.
    """

    def __init__(self) -> None:
        super().__init__(fps=50)
        self.strange, self.silent, self.hung = threading.Event(), threading.Event(), threading.Event()

    def answers(self) -> bool:
        """Return whether a client gets an answer; while it is silent, wait for its end."""
        if self.silent.is_set():
            self.hung.set()
            self.unplugged.wait()
        return super().answers()

    def shown(self) -> Iterator[bytes]:
        """Yield pictures, drawn when they are due."""
        for number in itertools.count(1):
            if self.silent.is_set():
                self.unplugged.wait()
            picture = strange_picture(number) if self.strange.is_set() else normal_picture(number)
            yield cv2.imencode(".jpg", picture)[1].tobytes()


@contextmanager
def network_camera() -> Iterator[NetworkCamera]:
    """Yield a camera until the block ends."""
    server = NetworkCamera()
    with served(server, server.unplugged):
        yield server
