"""The keys of a client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth


@dataclass(frozen=True, slots=True)
class Keys:
    """The files that a client proves itself with.

    Attributes:
        secret_key: its own, not readable by others.
        server_key: the public one of the device.
    """

    secret_key: Path
    server_key: Path


def apply_client_keys(socket: zmq.Socket[bytes], keys: Keys) -> None:
    """Encrypt a socket that will connect."""
    public, secret = zmq.auth.load_certificate(keys.secret_key)
    server, _ = zmq.auth.load_certificate(keys.server_key)
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = public, secret or b"", server
