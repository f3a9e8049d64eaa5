"""An HTTP server of pictures that FFmpeg opens as a stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from tests.support.fakes.http import served


class Stream:
    """A stream of grey pictures.

    Attributes:
        url: of the stream, with credentials.
        level: grey of the pictures.
        hw: their size.
        interval_s: between two of them.
        burst: so many more come at once when a connection begins.
        silent: while set, connections stay open and nothing is sent.
        cut: while set, connections are closed.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://admin:s3cret@127.0.0.1:{port}/video"
        self.level = 100
        self.hw = (48, 64)
        self.interval_s = 0.01
        self.burst = 0
        self.silent = threading.Event()
        self.cut = threading.Event()
        self.over = threading.Event()

    def part(self) -> bytes:
        """Make the bytes of a picture."""
        jpeg = cv2.imencode(".jpg", np.full((*self.hw, 3), self.level, np.uint8))[1].tobytes()
        return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(jpeg), jpeg)


@contextmanager
def streaming() -> Iterator[Stream]:
    """Serve a stream until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            self.wfile.write(b"".join(stream.part() for _ in range(stream.burst)))  # at once, on a busy machine too
            while not stream.over.wait(stream.interval_s) and not stream.cut.is_set():
                if not stream.silent.is_set():
                    try:
                        self.wfile.write(stream.part())
                    except OSError:  # the reader has gone
                        return

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stream = Stream(server.server_address[1])
    with served(server, stream.over):
        yield stream
