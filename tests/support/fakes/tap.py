"""Somebody on the wire: passes on a TCP connection's bytes both ways, and keeps a copy of them all."""

from __future__ import annotations

import selectors
import socket
import threading

PATIENCE_S = 10.0
"""For the one connection to come."""


class Tap:
    """Stands between one client and a tcp:// endpoint.

    Attributes:
        endpoint: where the client connects to.
        heard: what went over the wire in both directions.
    """

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self._to = host, int(port)
        self._end, self._ended = socket.socketpair()
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.heard = bytearray()
        self._thread = threading.Thread(target=self._run, name="tap")
        self._thread.start()

    def close(self) -> None:
        self._end.close()
        self._thread.join()
        self._ended.close()
        self._listener.close()

    def _run(self) -> None:
        near, _ = self._listener.accept()
        with near, socket.create_connection(self._to) as far, selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            selector.register(self._ended, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._ended or not (data := key.fileobj.recv(65536)):
                        return
                    self.heard += data
                    key.data.sendall(data)
