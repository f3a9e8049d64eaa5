"""A picture that was uploaded, judged by the bundle of a camera."""

from __future__ import annotations

import uuid

import msgspec

from edge_config.errors import MessageError
from edge_config.wire.inspect import (
    MAX_PICTURE_BYTES,
    MAX_PICTURE_PART_BYTES,
    InspectPicture,
    PictureReceived,
    PictureVerdict,
)
from edge_config.wire.messages import Box
from runtime.page.access.bounds import MAX_PICTURE_BYTES as MAX_UPLOAD_BYTES
from runtime.page.api.endpoint import Call, Endpoint, read_body
from runtime.page.devices.previews import heat_shown
from runtime.page.shapes import HeatShown
from runtime.page.uploads.decode import DecodedPicture

VERDICT_S = 30.0
"""Time-out of the device for a part, and for the verdict, which waits for its frames."""


class InspectedPicture(msgspec.Struct, frozen=True, kw_only=True):
    """What the bundle of a camera says of a picture.

    Attributes:
        score: anomaly score, at least 0.
        threshold: threshold of the camera; scores above it are anomalous.
        label: normal or anomalous.
        excess: as in score messages.
        p_value: as in score messages.
        peak_xy: pixel [x, y] with the highest patch score.
        boxes: regions over the threshold: x, y, width, height in pixels.
        frame_hw: height and width of the picture that was judged, pixels: all places here are in it.
        uploaded_hw: height and width of the picture as it was sent; it was made smaller if it had over 12 megapixels.
        bundle: id of the bundle.
        heat: its heat map; null if there is none.
    """

    score: float
    threshold: float
    label: str
    excess: float | None
    p_value: float | None
    peak_xy: tuple[int, int]
    boxes: tuple[Box, ...]
    frame_hw: tuple[int, int]
    uploaded_hw: tuple[int, int]
    bundle: str
    heat: HeatShown | None


async def _inspect(call: Call) -> InspectedPicture:
    camera = call.services.devices.camera(call.path("key"))
    data = await read_body(call.request, MAX_UPLOAD_BYTES)
    picture = await call.services.pictures.decode(data, MAX_PICTURE_BYTES)
    verdict, parts = await _send(call, camera.device, camera.name, picture)
    heat = next((heat_shown(*one) for one in zip(verdict.parts, parts, strict=False)), None)
    return InspectedPicture(
        score=verdict.score,
        threshold=verdict.threshold,
        label=verdict.label,
        excess=verdict.excess,
        p_value=verdict.p_value,
        peak_xy=verdict.peak_xy,
        boxes=verdict.boxes,
        frame_hw=verdict.frame_hw,
        uploaded_hw=picture.original_hw,
        bundle=verdict.bundle,
        heat=heat,
    )


async def _send(
    call: Call, device: str, camera: str, picture: DecodedPicture
) -> tuple[PictureVerdict, tuple[bytes, ...]]:
    """Send a picture to a device, part by part; return its verdict, and the parts of that.

    Raises:
        PatchedgeError, Refused: as `ask_parts`; also if the device ends without a verdict.
    """
    upload, offset, pixels = uuid.uuid4().hex, 0, memoryview(picture.pixels)
    while offset < len(pixels):
        part = bytes(pixels[offset : offset + MAX_PICTURE_PART_BYTES])
        request = InspectPicture(
            camera=camera, height=picture.height, width=picture.width, offset=offset, upload=upload
        )
        got, parts = await call.services.devices.ask_parts(
            device, request, PictureReceived, parts=(part,), user=call.user, timeout_s=VERDICT_S
        )
        if got.verdict is not None:
            return got.verdict, parts
        offset += len(part)
    raise MessageError("the device took the whole picture, and sent no verdict", where=device)


ROUTES = [
    Endpoint(
        "POST",
        "/cameras/{key}/inspect",
        _inspect,
        "Judge a picture (JPEG, PNG, WebP, BMP, TIFF; at most 16 MB, 50 megapixels) by the bundle of a camera.",
        reply=InspectedPicture,
        body="image/*",
        role="operator",
        statuses=(409, 413, 415, 422, 502, 503),
    ),
]
