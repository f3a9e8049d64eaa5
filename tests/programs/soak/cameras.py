"""Network cameras on the loopback, with switches for what goes wrong.

They send JPEG pictures over HTTP (multipart/x-mixed-replace). The runtime opens them with its real FFmpeg.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import cv2

from tests.programs.soak import views
from tests.programs.soak.views import View

FPS = 10.0

_REMEMBERED = 100_000  # times of sent frames: enough for one fault at the highest rate
_DAMAGED_FROM = 0.3  # of a JPEG: behind its tables, so that the stream goes on and the picture is wrong

Sending = Literal["pictures", "nothing", "rubbish", "damaged", "jittering"]
"""`nothing`: the connection stays open (half-open); `rubbish`: parts that are no JPEG at all; `damaged`: every picture
is cut and overwritten with random bytes; `jittering`: in bursts, with pauses of up to half a second."""


class HttpCamera:
    """A camera at a fixed address, which may be there or not.

    Attributes:
        view: what it sees.
        fps: pictures a second.
        size: width and height, pixels.
        grey: send JPEG of one channel: another pixel format for the decoder.
        sending: how it sends.
        answering: whether a new connection gets an answer at all.
    """

    def __init__(self, seed: int) -> None:
        """Take an address and be there."""
        self.view: View = views.normal
        self.fps = FPS
        self.size = (views.WIDTH, views.HEIGHT)
        self.grey = False
        self.sending: Sending = "pictures"
        self.answering = True
        self._random = random.Random(seed)  # noqa: S311 - for a soak that can be repeated
        self._sent: deque[float] = deque(maxlen=_REMEMBERED)
        self._numbers = itertools.count(1)
        self._server: _Server | None = None
        self._port = 0
        self.appear()

    @property
    def url(self) -> str:
        """Where it is. User and password are part of it: the runtime must never show them."""
        return f"http://operator:{PASSWORD}@127.0.0.1:{self._port}/stream"

    def appear(self) -> None:
        """Be reachable, at the same address as ever."""
        if self._server is None:
            self._server = _Server(self._port, self)
            self._port = self._server.server_port

    def vanish(self) -> None:
        """Break all connections and refuse new ones."""
        if self._server is not None:
            self._server.end()
            self._server = None

    def hang_up(self) -> None:
        """Break all connections; new ones are welcome."""
        if self._server is not None:
            self._server.hang_up()

    def sent(self, begin_s: float, end_s: float) -> int:
        """Count the pictures that were sent between two monotonic times."""
        return sum(begin_s <= at < end_s for at in list(self._sent))

    def pause(self) -> float:
        """Say how long to wait before the next part, seconds."""
        if self.sending != "jittering":
            return 1 / self.fps
        return self._random.choice([0.0, 0.0, 0.5]) if self._random.random() < 0.5 else 1 / self.fps

    def part(self) -> bytes:
        """Make the next part of the stream."""
        jpeg = self._jpeg(next(self._numbers))
        if self.sending == "rubbish":
            jpeg = self._random.randbytes(len(jpeg) // 4)
        elif self.sending == "damaged":
            begin = int(len(jpeg) * _DAMAGED_FROM)
            jpeg = jpeg[:begin] + self._random.randbytes(len(jpeg) // 4) + b"\xff\xd9"
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        return head + jpeg + b"\r\n"

    def note_sent(self) -> None:
        """Remember that a picture has just left."""
        self._sent.append(time.monotonic())

    def _jpeg(self, number: int) -> bytes:
        picture = self.view(number)
        if self.size != (views.WIDTH, views.HEIGHT):
            picture = cv2.resize(picture, self.size, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        if self.grey:
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)  # type: ignore[assignment]
        return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


PASSWORD = "secret-of-the-soak"  # noqa: S105 - it is one that must not be seen anywhere


class _Server(ThreadingHTTPServer):
    """The listening socket of a camera, while it is there."""

    daemon_threads = True

    def __init__(self, port: int, camera: HttpCamera) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.camera = camera
        self.over = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, name="camera")
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Keep the connection, so that it can be broken."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Break all connections."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the other end was faster
                    connection.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Break all connections and stop to listen."""
        self.over.set()
        self.shutdown()
        self.hang_up()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that connections break is what this is about."""


class _Handler(BaseHTTPRequestHandler):
    """One connection to a camera."""

    server: _Server

    def do_GET(self) -> None:
        """Send parts until one of both has enough."""
        camera, over = self.server.camera, self.server.over
        while not camera.answering:
            if over.wait(0.1) or not self._is_open():
                return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1) + camera.pause()
            if camera.sending != "nothing":
                self.wfile.write(camera.part())
                camera.note_sent()
            elif not self._is_open():
                return

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def _is_open(self) -> bool:
        """Return whether the client is still there."""
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False
