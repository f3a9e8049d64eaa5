"""Where messages come from: a device, by the client of this package.

Alerts and all else come by two subscribers, so that a broker that is away holds up the alerts alone, which the
device's journal keeps meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from edge_config.bridge import Bridge, Device
from edge_config.message import AnyMessage, Kind


class Given(Protocol):
    """A message as a subscriber gives it."""

    @property
    def message(self) -> AnyMessage:
        """What the device said."""
        ...

    @property
    def parts(self) -> Sequence[bytes]:
        """What came along."""
        ...

    @property
    def key(self) -> str:
        """Identifies the message for ever."""
        ...


class Source(Protocol):
    """A subscriber of one device, as `runtime.client` makes it. What it gives more than once is the same message."""

    async def __aenter__(self) -> Any:
        """Connect."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        ...

    async def receive(self) -> Given | None:
        """Wait for the next message.

        Raises:
            MessageError: something arrived that cannot be read.
        """
        ...

    async def acknowledge(self, received: Any, /) -> Any:
        """Tell the device that an alert message is safe, and need not be given again."""
        ...


Connect = Callable[[Device, Sequence[Kind], str | None], Source]
"""Makes a source of some kinds of messages; with a name all alerts are given until that name acknowledges them."""


def connector(settings: Bridge) -> Connect:
    """Give what connects to the devices of a bridge.

    Raises:
        SettingsError: a key file cannot be used.
    """
    client: Any = import_module("runtime.client")  # by name until it is all there

    def connect(device: Device, kinds: Sequence[Kind], name: str | None) -> Source:
        keys = None
        if device.server_key is not None and settings.secret_key is not None:
            keys = client.Keys(secret_key=Path(settings.secret_key), server_key=Path(device.server_key))
        source: Source = client.AsyncSubscriber(
            device.events, kinds=kinds, control=device.control, name=name, keys=keys
        )
        return source

    return connect
