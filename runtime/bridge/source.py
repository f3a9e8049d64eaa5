"""Messages of a device, received by the client of this package.

Alerts and all other messages come by two subscribers, so that a broker that is away holds up only the alerts, which the
device's journal keeps meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import zmq

from edge_config.settings.bridge import Bridge, Device
from edge_config.wire.messages import Kind
from runtime.client.async_subscriber import AsyncSubscriber
from runtime.security import keys
from runtime.security.keys import Keys

Connect = Callable[[Device, Sequence[Kind], "str | None"], AsyncSubscriber]
"""Makes a source of some kinds of messages; with a name, alerts come until that name acknowledges them."""

MAX_SOCKETS = 4096
"""Each device takes four; ZeroMQ allows 1023 unless it is told."""


class Devices:
    """Connects to devices with the keys of a bridge."""

    def __init__(self, settings: Bridge) -> None:
        """Check the key files; nothing is connected.

        Raises:
            PatchedgeError: a key file cannot be used.
        """
        self._secret_key = None if settings.secret_key is None else Path(settings.secret_key)
        if self._secret_key is not None:
            keys.load_secret(self._secret_key)
            for device in settings.devices:
                if device.server_key is not None:
                    keys.load_public(Path(device.server_key))
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)

    def connect(self, device: Device, kinds: Sequence[Kind], name: str | None) -> AsyncSubscriber:
        """Make a subscriber.

        Raises:
            AddressUnavailable: an address of the device is not one of ZeroMQ.
        """
        its = None
        if device.server_key is not None and self._secret_key is not None:
            its = Keys(secret_key=self._secret_key, server_key=Path(device.server_key))
        return AsyncSubscriber(
            device.events, kinds=kinds, control=device.control, name=name, keys=its, context=self._context
        )

    def close(self) -> None:
        """Free what is shared; the subscribers are closed."""
        self._context.destroy(linger=0)
