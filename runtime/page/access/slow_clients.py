"""Connections of slow clients: one that does not finish the head of its request in time is closed.

uvicorn has a time-out only for what comes after a reply. Without this, a client that opens connections and says
nothing would use up all that there are.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 15.0
"""Time-out for the head of a request, from the connection or from its first byte on; the TLS handshake comes before."""

MAX_HEAD_BYTES = 16_384
"""Maximum size of the head of a request."""

KEEP_ALIVE_S = 20
"""Time after a reply in which the next request may come by the same connection."""

MAX_CONNECTIONS = 320
"""Maximum number of connections and requests together; further ones get 503."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn with a time-out for heads of requests."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Go on waiting until the head is complete; a body has a time-out of its own."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE:
            if self._waiting is None:
                self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
