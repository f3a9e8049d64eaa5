"""Free TCP ports, for what cannot choose its own."""

from __future__ import annotations

import contextlib
import random
import socket

_RANGE = range(10_000, 30_000)
"""Below the ports of outgoing connections, which tests that run at the same time make all the time."""


def free_port() -> int:
    """Return a port of this machine that nothing uses at the moment."""
    while True:
        port = random.SystemRandom().choice(_RANGE)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
