"""A camera over HTTP that plays pictures at a steady rate, whether or not anybody keeps up."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler

from tests.support.fakes.network import NetworkCamera


class PlayedCamera(NetworkCamera):
    """Pictures as JPEG, again and again.

    Attributes:
        every_s: interval between two.
    """

    def __init__(self, pictures: Iterable[bytes], fps: float) -> None:
        super().__init__()
        self._pictures, self.every_s = list(pictures), 1 / fps
        self.RequestHandlerClass = _Player

    def shown(self) -> Iterable[bytes]:
        """Return what a client gets."""
        return itertools.cycle(self._pictures)


class _Player(BaseHTTPRequestHandler):
    server: PlayedCamera

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        due_s = time.monotonic()
        for picture in self.server.shown():
            due_s += self.server.every_s
            if self.server.unplugged.wait(max(0.0, due_s - time.monotonic())):
                return
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(picture), picture)
            try:
                self.wfile.write(part)
            except OSError:
                return

    def log_message(self, *_args: object) -> None:
        pass
