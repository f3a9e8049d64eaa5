"""Have a device judge a picture: it is sent part by part."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from edge_config.errors import MessageError
from edge_config.wire.inspect import MAX_PICTURE_PART_BYTES, InspectPicture, PictureReceived, PictureVerdict

Send = Callable[[InspectPicture, bytes], tuple[PictureReceived, Sequence[bytes]]]
"""Sends a request with a part, and returns the reply and its further frames."""


def inspect_picture(
    send: Send, camera: str, pixels: bytes | memoryview, height: int, width: int
) -> tuple[PictureVerdict, bytes]:
    """Return what the bundle of a camera says of a picture, and its heat map.

    Args:
        send: asks the device.
        camera: name of the camera.
        pixels: uint8 [height, width, 3] BGR, in C order.
        height: height of the picture, pixels.
        width: width of the picture, pixels.

    Raises:
        RequestError: the device refused it, such as while it inspects another.
        MessageError: the reply makes no sense.
        ValueError: there are not as many bytes as pixels.
    """
    data, upload = memoryview(pixels).cast("B"), str(uuid.uuid4())
    if len(data) != height * width * 3 or not len(data):
        raise ValueError(f"{len(data)} bytes for {width} x {height} pixels of 3 bytes")
    for offset in range(0, len(data), MAX_PICTURE_PART_BYTES):
        request = InspectPicture(camera=camera, height=height, width=width, offset=offset, upload=upload)
        said, parts = send(request, bytes(data[offset : offset + MAX_PICTURE_PART_BYTES]))
    if said.verdict is None or len(parts) != 1:
        raise MessageError("a reply without a verdict, or without its heat map")
    return said.verdict, parts[0]
