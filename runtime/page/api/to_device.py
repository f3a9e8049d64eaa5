"""Hand requests of a browser on to a device: with the user's name, and checked here first."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from edge_config.wire.request_base import Request
from runtime.page.api.endpoint import Call
from runtime.page.refused import Refused

LONG_S = 60.0
"""Time-out of answers that wait for the device's disk."""

_TIMEOUT_S = 10.0

R = TypeVar("R", bound=Request)
T = TypeVar("T")


def made(kind: type[R], **fields: Any) -> R:
    """Return a request of these fields.

    Raises:
        Refused: a field is out of bounds.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise Refused(400, f"invalid request: {str(error)[:300]}") from error


async def ask_camera(
    call: Call, kind: type[Request], reply: type[T], *, timeout_s: float = _TIMEOUT_S, **fields: Any
) -> T:
    """Send a request about the camera that the path names, for the user of the call, and return the reply.

    Raises:
        PatchedgeError, Refused: as `Devices.ask`, or a field is out of bounds.
    """
    camera = call.services.devices.camera(call.path("key"))
    request = made(kind, camera=camera.name, **fields)
    return await call.services.devices.ask(camera.device, request, reply, user=call.user, timeout_s=timeout_s)


async def ask_device(
    call: Call, request: Request, reply: type[T], *, timeout_s: float = _TIMEOUT_S
) -> tuple[T, tuple[bytes, ...]]:
    """Send a request to the device that the path names, for the user of the call; return the reply, and its parts.

    Raises:
        PatchedgeError: as `Devices.ask`.
    """
    return await call.services.devices.ask_parts(
        call.path("device"), request, reply, user=call.user, timeout_s=timeout_s
    )
