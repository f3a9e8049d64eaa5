"""A network camera on the loopback address, and what can happen to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from tests.support.fakes.http import served
from tests.support.tiny import normal_picture, strange_picture


class NetworkCamera(ThreadingHTTPServer):
    """JPEG pictures over HTTP, 50 a second; its address ends in `server_port`.

    Attributes:
        strange: while set, there is an object before it.
        unplugged: once set, connections end.
        silent: once set, connections stay open and nothing comes; `hung` is set when one was opened so.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Stream)
        self.unplugged, self.strange = threading.Event(), threading.Event()
        self.silent, self.hung = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        """Return its address, with a password."""
        return f"http://user:secret@127.0.0.1:{self.server_port}/camera.mjpg"


class _Stream(BaseHTTPRequestHandler):
    server: NetworkCamera

    def do_GET(self) -> None:
        if self.server.silent.is_set():
            self.server.hung.set()
            self.server.unplugged.wait()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        while not self.server.unplugged.wait(0.02):
            if self.server.silent.is_set():
                continue
            number += 1
            picture = strange_picture(number) if self.server.strange.is_set() else normal_picture(number)
            jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)
            try:
                self.wfile.write(part)
            except OSError:
                return

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def network_camera() -> Iterator[NetworkCamera]:
    """Yield a camera until the block ends."""
    server = NetworkCamera()
    with served(server, server.unplugged):
        yield server
