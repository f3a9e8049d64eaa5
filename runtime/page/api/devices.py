"""Devices and cameras, as they are now."""

from __future__ import annotations

import msgspec

from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.shapes import DeviceShown, ShownCamera


class DeviceList(msgspec.Struct, frozen=True, kw_only=True):
    """All devices.

    Attributes:
        devices: in the order of the settings.
    """

    devices: list[DeviceShown]


class CameraList(msgspec.Struct, frozen=True, kw_only=True):
    """All cameras.

    Attributes:
        cameras: those of all devices.
    """

    cameras: list[ShownCamera]


async def _devices(call: Call) -> DeviceList:
    return DeviceList(devices=[link.shown() for link in call.services.devices.links])


async def _cameras(call: Call) -> CameraList:
    return CameraList(cameras=[camera.shown() for camera in call.services.devices.cameras])


async def _camera(call: Call) -> ShownCamera:
    return call.services.devices.camera(call.path("key")).shown()


ROUTES = [
    Endpoint("GET", "/devices", _devices, "List the devices, and whether they answer.", reply=DeviceList),
    Endpoint("GET", "/cameras", _cameras, "List the cameras, as they are now.", reply=CameraList),
    Endpoint("GET", "/cameras/{key}", _camera, "Return a camera, as it is now.", reply=ShownCamera),
]
