"""HTTP server for pages that are made at once: the standard library's, which no client can hold up.

A client that is silent, or does not take its page, for `PATIENCE_S` is disconnected. Where `MAX_CLIENTS` are connected,
a new one takes the place of the oldest.
"""

from __future__ import annotations

import io
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

import structlog

from edge_config.errors import AddressUnavailable

PATIENCE_S = 5.0
MAX_CLIENTS = 32
MAX_REQUEST_BYTES = 8192

_CHUNK = 65536
_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: `status` of HTTP, and its body."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200

    @staticmethod
    def text(line: str, status: int = 200) -> Page:
        """Return a page of one line."""
        return Page(f"{line}\n".encode(), status=status)


class HttpServer(ThreadingTCPServer):  # ThreadingHTTPServer would ask a name server for the name of this machine
    """Serves pages by their paths until it is closed."""

    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = False  # `server_close` waits for them

    def __init__(self, bind: str, pages: Mapping[str, Callable[[], Page]], *, patience_s: float = PATIENCE_S) -> None:
        """Bind the address and start to serve.

        Args:
            bind: ADDRESS:PORT, such as 127.0.0.1:9456 or [::1]:9456; port 0 takes a free one.
            pages: path -> what makes its page, in a thread of the server.
            patience_s: how long a client may be silent, or take for its page.

        Raises:
            AddressUnavailable: the address is in use, or is not one of this machine.
        """
        self.pages, self.patience_s = pages, patience_s
        self._connected: dict[socket.socket, None] = {}  # the oldest first
        host, _, port = bind.rpartition(":")
        try:
            ((self.address_family, *_, address), *_) = socket.getaddrinfo(
                host.strip("[]"), port, type=socket.SOCK_STREAM
            )
            super().__init__((str(address[0]), int(address[1])), _Handler)
        except OSError as error:  # gaierror is one
            remedy = "stop what uses it, or set another metrics.bind"
            raise AddressUnavailable(f"cannot be bound ({error.strerror})", where=bind, remedy=remedy) from error
        host = str(self.server_address[0])
        self.address = f"{f'[{host}]' if ':' in host else host}:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Free the address and end the threads, whatever clients do; calling it twice is a no-op."""
        _end(self.socket)  # wakes the thread
        self.shutdown()
        self._thread.join()
        for connection in list(self._connected):
            _end(connection)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection, in place of the oldest where there are too many."""
        try:
            connection, address = super().get_request()
        except OSError:
            threading.Event().wait(_RETRY_S)  # where descriptors are short, there may be some again by then
            raise
        connection.settimeout(self.patience_s)
        for oldest in list(self._connected)[: 1 - MAX_CLIENTS]:  # list() at once, as threads remove what is over
            _end(oldest)
        self._connected[connection] = None
        return connection, address

    def close_request(self, request: Any) -> None:
        """Close a connection, and forget it."""
        self._connected.pop(request, None)
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log a fault of ours; a client that left is none."""
        if not isinstance(sys.exc_info()[1], OSError):
            structlog.get_logger().exception("request failed")


class _Handler(BaseHTTPRequestHandler):
    """One request of one client."""

    server: HttpServer
    raw_requestline: bytes
    command = ""
    protocol_version = default_request_version = request_version = "HTTP/1.1"

    def parse_request(self) -> bool:
        """Read a request of bounded size, and return whether it may be served; if not, it is answered."""
        request, words = self.raw_requestline, self.raw_requestline.split()
        while len(request) <= MAX_REQUEST_BYTES and not request.endswith((b"\r\n\r\n", b"\n\n")):
            if not (line := self.rfile.readline(MAX_REQUEST_BYTES)):
                break
            request += line
        self.rfile = io.BytesIO(request.partition(b"\n")[2])
        if len(request) > MAX_REQUEST_BYTES:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif len(words) != 3:  # noqa: PLR2004 - method, target, version
            self.send_error(HTTPStatus.BAD_REQUEST)
        elif words[0] not in {b"GET", b"HEAD"}:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            return super().parse_request()
        return False

    def do_GET(self) -> None:
        """Answer with the page of the path."""
        make = self.server.pages.get(self.path.partition("?")[0])
        if make is None:
            self.send_error(HTTPStatus.NOT_FOUND, f"no such page; pages: {' '.join(self.server.pages)}")
            return
        try:
            page = make()
        except Exception:  # noqa: BLE001 - a page that fails is no reason to serve none
            structlog.get_logger().exception("page failed")
            page = Page.text("internal error; see the log", status=500)
        self._answer(page)

    do_HEAD = do_GET  # noqa: N815

    def send_error(self, code: int, message: str | None = None, _explain: str | None = None) -> None:
        """Answer with the error, in one line."""
        self._answer(Page.text(message or HTTPStatus(code).phrase, status=code))

    def _answer(self, page: Page) -> None:
        self.send_response_only(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else page.body)
        self.wfile.flush()

    def finish(self) -> None:
        """Let the client close first: to close while it sends would reset the connection, and lose it the answer."""
        super().finish()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            for _ in range(MAX_CLIENTS):
                if not self.connection.recv(_CHUNK):
                    break

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


def _end(connection: socket.socket) -> None:
    """End a connection; its thread notices, and closes it."""
    with suppress(OSError):  # it is over already
        connection.shutdown(socket.SHUT_RDWR)
