"""A server that answers what a test says, and remembers what it was asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[str], "bytes | None"]
"""Is given a request; returns what is sent, or None for silence. Empty: the connection is closed."""


class Server:
    """A port on loopback.

    Attributes:
        port: its number.
        heard: the requests, without their ends.
    """

    def __init__(self, answer: Answer) -> None:
        self.heard: list[str] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        """End, and all connections with it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        serving = []
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            self._open.append(connection)
            serving.append(threading.Thread(target=self._serve, args=(connection,)))
            serving[-1].start()
        for connection in self._open:
            with suppress(OSError):  # the peer was first
                connection.shutdown(socket.SHUT_RDWR)
        for thread in serving:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        with connection:
            while True:
                try:
                    more = connection.recv(1 << 16)
                except OSError:
                    return
                if not more:
                    return
                data += more
                while b"\r\n\r\n" in data:
                    request, _, data = data.partition(b"\r\n\r\n")
                    self.heard.append(request.decode())
                    answer = self._answer(self.heard[-1])
                    if answer == b"":
                        return
                    if answer is not None:
                        connection.sendall(answer)


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    """Serve until the block ends."""
    server = Server(answer)
    try:
        yield server
    finally:
        server.close()


def reply(status: str, body: str = "", protocol: str = "RTSP/1.0", **headers: str) -> bytes:
    """Return the bytes of an answer; in names of headers `_` stands for `-`."""
    lines = [f"{protocol} {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()
