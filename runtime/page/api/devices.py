"""Devices and cameras, as they are now."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from edge_config.wire.replies import PictureTaken
from edge_config.wire.requests import Picture
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.refused import Refused
from runtime.page.shapes import DeviceShown, ShownCamera


class DeviceList(msgspec.Struct, frozen=True, kw_only=True):
    """All devices.

    Attributes:
        devices: in the order of the settings.
        notice: why the page can store nothing, one sentence; empty if it can.
    """

    devices: list[DeviceShown]
    notice: str


class CameraList(msgspec.Struct, frozen=True, kw_only=True):
    """All cameras.

    Attributes:
        cameras: those of all devices.
    """

    cameras: list[ShownCamera]


class PictureQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How large a picture is to be.

    Attributes:
        width: maximum width, pixels.
    """

    width: Annotated[int, Meta(ge=16, le=8192)] = 1280


async def _devices(call: Call) -> DeviceList:
    problem = call.services.store.problem
    notice = f"The page shows everything, but can store nothing: {problem}" if problem else ""
    return DeviceList(devices=[link.shown() for link in call.services.devices.links], notice=notice)


async def _cameras(call: Call) -> CameraList:
    return CameraList(cameras=[camera.shown() for camera in call.services.devices.cameras])


async def _camera(call: Call) -> ShownCamera:
    return call.services.devices.camera(call.path("key")).shown()


async def _picture(call: Call) -> Response:
    query, devices = call.query(PictureQuery), call.services.devices
    camera = devices.camera(call.path("key"))
    request = Picture(camera=camera.name, width=query.width)
    taken, parts = await devices.ask_parts(camera.device, request, PictureTaken, user=call.user)
    if not parts:
        raise Refused(502, "the device sent no picture")
    headers = {
        "cache-control": "no-store",
        "x-captured-ms": str(taken.t_capture_ns // 1_000_000),
        "x-frame-id": str(taken.frame_id),
    }
    return Response(parts[0], media_type="image/jpeg", headers=headers)


ROUTES = [
    Endpoint("GET", "/devices", _devices, "List the devices, and whether they answer.", reply=DeviceList),
    Endpoint("GET", "/cameras", _cameras, "List the cameras, as they are now.", reply=CameraList),
    Endpoint("GET", "/cameras/{key}", _camera, "Return a camera, as it is now.", reply=ShownCamera),
    Endpoint(
        "GET",
        "/cameras/{key}/picture",
        _picture,
        "Return the next frame of a camera; its time is in the header `x-captured-ms`.",
        reply="image/jpeg",
        query=PictureQuery,
        statuses=(409, 502, 503),
    ),
]
