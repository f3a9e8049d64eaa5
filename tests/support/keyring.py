"""A device with keys, the folder of its clients, and clients: what tests of access begin with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from edge_config.settings.sections import Security
from edge_config.wire.requests import SCHEMA
from runtime.events import Asked
from runtime.messaging.control_socket import Control
from runtime.messaging.publisher import Publisher
from runtime.security import keys
from runtime.security.access import Access
from runtime.security.keys import Keys

WAIT_S = 10.0
"""For what is sure to come on this machine: more means that it does not."""

HEARTBEAT_S = 0.02
"""How often a test publishes until a subscriber has heard it."""

FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH


class Device:
    """Both sockets of a device in one context. Every request is answered with `{"camera": "press"}`.

    Attributes:
        clients: folder of the keys that may connect.
        key: file with the public key.
    """

    def __init__(self, folder: Path, *, encrypted: bool = True, scheme: str = "tcp") -> None:
        self.clients = folder / "clients"
        for role in ("view", "operate"):
            (self.clients / role).mkdir(parents=True)
        self.key, secret = keys.make(str(folder / "device"))
        security = Security(secret_key=str(secret), clients=str(self.clients)) if encrypted else Security()
        self.context = zmq.Context()
        self.access = Access(self.context, security)
        at = {"tcp": "tcp://127.0.0.1:*", "ipc": f"ipc://{folder}/"}[scheme]
        self.publisher = Publisher(
            at + ("events" if scheme == "ipc" else ""),
            device="edge",
            context=self.context,
            guard=self.access.guard,
        )
        self.control = Control(
            at + ("control" if scheme == "ipc" else ""),
            self._answer,
            context=self.context,
            guard=self.access.guard,
            role_of=self.access.role_of if encrypted else None,
        )

    def _answer(self, asked: Asked) -> None:
        self.control.reply(asked, {"camera": "press"}, [b"a part"])

    def publish(self) -> None:
        self.publisher.send("state", "press", bundle="", state="live", reason="a reason")

    def rebind(self) -> None:
        self.publisher.rebind()
        self.control.rebind()

    def keys_of(self, name: str, *, allowed: bool = True, role: str = "view") -> Keys:
        """Make the keys of a client, and allow them in a role."""
        public, secret = keys.make(str(self.clients.parent / "of_clients" / name))
        if allowed:
            (self.clients / role / public.name).write_bytes(public.read_bytes())
            self.access.refresh()
        return Keys(secret, self.key)

    def close(self) -> None:
        self.control.close()
        self.publisher.close()
        self.access.close()
        self.context.destroy(linger=0)


class Client:
    """A plain socket of pyzmq, with keys or without."""

    def __init__(self, kind: int, endpoint: str, client_keys: Keys | None = None) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.set(zmq.RCVHWM, 0)  # it notices that it was cut off, however much it has not read
        if client_keys is not None:
            keys.apply_client_keys(self.socket, client_keys)
        if kind == zmq.SUB:
            self.socket.subscribe(b"v1/")
        self._monitor = self.socket.get_monitor_socket(FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self.socket.connect(endpoint)

    def wait_for(self, *events: int) -> int:
        """Wait for one of these events of the connection."""
        while self._monitor.poll(WAIT_S * 1000):
            if (event := recv_monitor_message(self._monitor)["event"]) in events:
                return event
        raise AssertionError(f"none of {events} came")

    def turned_away(self) -> int:
        return self.wait_for(
            zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
            zmq.EVENT_HANDSHAKE_FAILED_AUTH,
        )

    def ask(self, *parts: bytes, **fields: Any) -> None:
        self.socket.send_multipart([json.dumps({"schema": SCHEMA, "request": "status", **fields}).encode(), *parts])

    def reply(self) -> dict[str, Any]:
        assert self.socket.poll(WAIT_S * 1000), "no reply"
        return json.loads(self.socket.recv_multipart()[0])

    def hears(self, publish: Callable[[], None]) -> bool:
        """Publish until a message arrives; drop all that came."""
        for _ in range(round(WAIT_S / HEARTBEAT_S)):
            publish()
            if self.socket.poll(HEARTBEAT_S * 1000):
                break
        heard = False
        while self.socket.poll(0):
            heard = bool(self.socket.recv_multipart())
        return heard

    def close(self) -> None:
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self._context.destroy(linger=0)
