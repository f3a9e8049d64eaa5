"""What a program imports from patchedge: messages of a device, requests to it, and their errors.

    from patchedge import Subscriber

    with Subscriber("tcp://127.0.0.1:5556", control="tcp://127.0.0.1:5557", name="hall", kinds=["alert"]) as alerts:
        for received in alerts:
            print(received.message)
            alerts.acknowledge(received)

All is defined elsewhere and handed on here. It needs pyzmq and msgspec only, and `read_heat_map` numpy and OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_config.errors import AddressUnavailable, KeysInvalid, MessageError, PatchedgeError, RequestError
from edge_config.wire import burn_in, configure, fetch, inspect, replies, requests, teaching, upkeep, versions
from edge_config.wire.messages import (
    DEFAULT_EVENTS,
    AlertMessage,
    AnyMessage,
    Box,
    HealthMessage,
    Kind,
    Message,
    Part,
    PreviewMessage,
    ScoreMessage,
    StateMessage,
)
from edge_config.wire.requests import DEFAULT_CONTROL
from runtime.client.async_subscriber import AsyncSubscriber
from runtime.client.control_client import ControlClient
from runtime.client.received import Origin, Received
from runtime.client.subscriber import Subscriber
from runtime.security.keys import Keys

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    __version__: str

__all__ = [
    "DEFAULT_CONTROL",
    "DEFAULT_EVENTS",
    "AddressUnavailable",
    "AlertMessage",
    "AnyMessage",
    "AsyncSubscriber",
    "Box",
    "ControlClient",
    "HealthMessage",
    "Keys",
    "KeysInvalid",
    "Kind",
    "Message",
    "MessageError",
    "Origin",
    "Part",
    "PatchedgeError",
    "PreviewMessage",
    "Received",
    "RequestError",
    "ScoreMessage",
    "StateMessage",
    "Subscriber",
    "burn_in",
    "configure",
    "fetch",
    "inspect",
    "read_heat_map",
    "replies",
    "requests",
    "teaching",
    "upkeep",
    "versions",
]


def read_heat_map(part: Part, data: bytes) -> NDArray[np.float32]:
    """Return the patch distances of an alert's heat map, float32 [rows, columns]; compare them with the threshold.

    Args:
        part: the entry `heat_map` of `AlertMessage.parts`; its `area` says which pixels of the frame the map covers.
        data: its bytes, at the same place in `Received.parts`.

    Raises:
        ValueError: the bytes are not what the part says.
    """
    from runtime.scoring import heat_map  # numpy and OpenCV serve this alone

    return heat_map.decode(part, data)


def __getattr__(name: str) -> str:
    """Return `__version__`, the version that is installed; reading it takes as long as half of the import."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edge_config.installed import version

    return version() or "not installed"
