"""Hand requests of a browser on to a device: with the user's name, and checked here first."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from edge_config.wire.request_base import Request
from edge_config.wire.teaching import FetchPicture, PicturePart
from runtime.page.api.endpoint import Call
from runtime.page.refused import Refused

MAX_PICTURE_BYTES = 256 << 20
"""Maximum size of a stored picture: 16-bit pictures of 8192 x 8192 pixels may be larger, and are not shown."""

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
        PatchedgeError, Refused: as `PageDevices.ask`, or a field is out of bounds.
    """
    camera = call.services.devices.camera(call.path("key"))
    request = made(kind, camera=camera.name, **fields)
    return await call.services.devices.ask(camera.device, request, reply, user=call.user, timeout_s=timeout_s)


async def ask_device(
    call: Call, request: Request, reply: type[T], *, timeout_s: float = _TIMEOUT_S
) -> tuple[T, tuple[bytes, ...]]:
    """Send a request to the device that the path names, for the user of the call; return the reply, and its parts.

    Raises:
        PatchedgeError: as `PageDevices.ask`.
    """
    return await call.services.devices.ask_parts(
        call.path("device"), request, reply, user=call.user, timeout_s=timeout_s
    )


async def stored_png(call: Call, device: str, camera: str, picture: str) -> bytes:
    """Return a stored picture, which is read from the device in parts.

    Raises:
        PatchedgeError, Refused: as `PageDevices.ask`, it is no id, or the picture is too large.
    """
    png = bytearray()
    while True:
        request = made(FetchPicture, camera=camera, picture=picture, offset=len(png))
        part, more = await call.services.devices.ask_parts(device, request, PicturePart, user=call.user)
        if part.size > MAX_PICTURE_BYTES:
            raise Refused(413, f"a picture of {part.size >> 20} MiB is too large to be shown")
        got = b"".join(more)
        png += got
        if len(png) >= part.size or not got:
            break
    if len(png) != part.size or hashlib.sha256(png).hexdigest() != part.picture.sha256:
        raise Refused(502, f"picture {picture} is damaged on the device")
    return bytes(png)
