"""A small HTTP server for pages that are made at once: one thread, and no client can hold it up.

Connections take turns: what a client has sent is read, what it takes is written, and nobody is waited for. Who has not
asked and taken within `PATIENCE_S` is cut off; so is the oldest when `MAX_CLIENTS` are there.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import structlog

from edge_config.errors import AddressUnavailable

PATIENCE_S = 5.0
"""From a client's connection to the last byte that it takes, at most."""

MAX_CLIENTS = 32
MAX_REQUEST_BYTES = 8192

_TURN_S = 0.5  # how often clients that are too slow are looked for
_SHORT_S = 0.1
_BACKLOG = 128
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: `status` of HTTP, and its body."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200

    @staticmethod
    def text(line: str, status: int = 200) -> Page:
        """Make a page of one line."""
        return Page(f"{line}\n".encode(), status=status)

    def encode(self, *, head_only: bool = False) -> bytes:
        """Return the bytes of the answer."""
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode("ascii") + (b"" if head_only else self.body)


class _Client:
    """One connection: what it has sent, what it is still to take, and whether that was all."""

    def __init__(self, connection: socket.socket, until_s: float) -> None:
        self.connection = connection
        self.until_s = until_s
        self.received = b""
        self.answer = b""
        self.answered = False


class Web:
    """Serves pages by their paths until it is closed."""

    def __init__(self, bind: str, pages: Mapping[str, Callable[[], Page]], *, patience_s: float = PATIENCE_S) -> None:
        """Bind the address and start to serve.

        Args:
            bind: ADDRESS:PORT, such as 127.0.0.1:9456 or [::1]:9456; port 0 takes a free one.
            pages: path -> what makes its page, in the server's thread.
            patience_s: how long a client may take.

        Raises:
            AddressUnavailable: the address is in use, or is not one of this machine.
        """
        self._pages = pages
        self._patience_s = patience_s
        self._clients: dict[int, _Client] = {}
        self._closing = False
        self._listener = _listen(bind)
        host, port = self._listener.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Free the address and end the thread, whatever clients do."""
        if self._closing:
            return
        self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)

    def _run(self) -> None:
        while not self._closing:
            self._turn()
        for client in list(self._clients.values()):
            self._drop(client)
        self._selector.close()
        self._listener.close()

    def _turn(self) -> None:
        for key, _ in self._selector.select(_TURN_S if self._clients else None):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.data, _Client) and self._clients.get(key.fd) is key.data:
                self._serve(key.data)
        now_s = time.monotonic()
        for client in [client for client in self._clients.values() if client.until_s <= now_s]:
            self._drop(client)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # it left again
            return
        except OSError:  # descriptors are short: the next turn comes when there may be some again
            time.sleep(_SHORT_S)
            return
        if len(self._clients) >= MAX_CLIENTS:
            self._drop(next(iter(self._clients.values())))
        connection.setblocking(False)  # noqa: FBT003 - the standard library's
        client = _Client(connection, time.monotonic() + self._patience_s)
        self._clients[connection.fileno()] = client
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _serve(self, client: _Client) -> None:
        """Write to or read from a client that is ready for it."""
        try:
            if client.answer:
                self._write(client)
            else:
                self._read(client)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)

    def _write(self, client: _Client) -> None:
        client.answer = client.answer[client.connection.send(client.answer) :]
        if not client.answer:  # closing now would reset the connection of who is still sending: let it close first
            client.answered = True
            client.connection.shutdown(socket.SHUT_WR)
            self._selector.modify(client.connection, selectors.EVENT_READ, client)

    def _read(self, client: _Client) -> None:
        received = client.connection.recv(_CHUNK)
        if not received:
            self._drop(client)
        elif not client.answered:
            client.received += received
            if _is_whole(client.received):
                client.answer = self._answer(client.received)
                self._selector.modify(client.connection, selectors.EVENT_WRITE, client)

    def _drop(self, client: _Client) -> None:
        self._selector.unregister(client.connection)
        del self._clients[client.connection.fileno()]
        client.connection.close()

    def _answer(self, request: bytes) -> bytes:
        """Return the answer to a whole request."""
        words = request.split(b"\n", 1)[0].split()
        if len(request) > MAX_REQUEST_BYTES:
            return Page.text("the request is too long", status=431).encode()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004 - method, target, version
            return Page.text("not a request of HTTP/1", status=400).encode()
        if words[0] not in {b"GET", b"HEAD"}:
            return Page.text("GET and HEAD only", status=405).encode()
        make = self._pages.get(words[1].split(b"?", 1)[0].decode("latin-1"))
        if make is None:
            return Page.text(f"no such page; there are {' '.join(self._pages)}", status=404).encode()
        try:
            page = make()
        except Exception:  # noqa: BLE001 - a page that fails is no reason to serve none
            structlog.get_logger().exception("page failed")
            page = Page.text("the page failed; the log says why", status=500)
        return page.encode(head_only=words[0] == b"HEAD")


def _is_whole(request: bytes) -> bool:
    """Return whether a request has ended, or will never."""
    return b"\r\n\r\n" in request or b"\n\n" in request or len(request) > MAX_REQUEST_BYTES


def _listen(bind: str) -> socket.socket:
    """Bind ADDRESS:PORT."""
    host, _, port = bind.rpartition(":")
    try:
        family, *_, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:  # gaierror is one
        raise AddressUnavailable(
            f"cannot be bound ({(error.strerror or '').partition(' (while')[0]})",
            where=bind,
            remedy="stop what uses it, or set another metrics.bind",
        ) from error
    listener.setblocking(False)  # noqa: FBT003 - the standard library's
    return listener
