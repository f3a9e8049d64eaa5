"""The support archive of a device."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
from starlette.responses import Response

from edge_config.installed import version
from edge_config.wire.configure import ChangesKept, Configure, InForce, ListChanges
from edge_config.wire.request_base import Request
from edge_config.wire.requests import Picture, Status
from edge_config.wire.upkeep import (
    DoctorState,
    LogLines,
    MetricsText,
    OrdersGiven,
    ReadDoctorReport,
    ReadLogs,
    ReadMetrics,
    ReadOrders,
    ReadSettings,
    ReportedSettings,
)
from edge_config.wire.versions import Versions, VersionsKept
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.devices.live import now_ms
from runtime.page.media import support
from runtime.page.media.stream import streamed
from runtime.page.media.support import Get
from runtime.page.media.table import iso

_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_MAX_LINES = 1000
_MAX_ORDERS = 200
_TIMEOUT_S = 15.0

HEAD = """\
Support archive of device {device}, made {time} by the page of patchedge {version}.

Passwords, tokens and keys are hidden: *** stands for them. Look through the files before you hand them on: they have
names of cameras, hosts, files and users. {pictures}

page.json        the page: versions, system, settings
status.json      the device and its cameras, as they are now
settings.json    the settings that the device was started with, and the manifests of its bundles
cameras/         of each camera: settings in force, their changes, and versions with safety reports
orders.json      the last requests that changed something
log.txt          the last lines of the log
doctor.json      the last report of the check
metrics.txt      metrics
"""


class SupportWanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the archive.

    Attributes:
        pictures: the current picture of each camera, too.
    """

    pictures: bool = False


async def _support(call: Call) -> Response:
    device, pictures = call.path("device"), call.query(SupportWanted).pictures
    cameras = list(call.services.devices.link(device).cameras)
    parts = _parts(call, device, cameras, pictures=pictures)
    said = "The current pictures are in it." if pictures else "There are no pictures in it."
    head = HEAD.format(device=device, time=iso(now_ms()), version=version() or "", pictures=said)
    pieces: AsyncIterator[bytes] = support.archive(parts, head)
    return await streamed(call.services.media, pieces, "application/zip", f"support-{device}.zip")


def _parts(call: Call, device: str, cameras: list[str], *, pictures: bool) -> dict[str, Get]:
    """Return the files of the archive, and what gets each of them."""

    async def ask(request: Request, kind: type[Any]) -> Any:
        return await call.services.devices.ask(device, request, kind, user=call.user, timeout_s=_TIMEOUT_S)

    async def page() -> Any:
        return support.of_page(call.services.settings)

    async def log() -> str:
        lines: LogLines = await ask(ReadLogs(limit=_MAX_LINES), LogLines)
        return "".join(f"{line.text}\n" for line in lines.lines)

    async def metrics() -> str:
        _, parts = await call.services.devices.ask_parts(device, ReadMetrics(), MetricsText, user=call.user)
        return b"".join(parts).decode(errors="replace")

    async def picture(name: str) -> bytes:
        request = Picture(camera=name)
        return b"".join((await call.services.devices.ask_parts(device, request, object, user=call.user))[1])

    found: dict[str, Get] = {"page.json": page, "status.json": partial(ask, Status(), object)}
    found["settings.json"] = partial(ask, ReadSettings(), ReportedSettings)
    for number, name in enumerate(cameras):
        of = f"cameras/{number}-{_FOREIGN.sub('_', name)[:64]}"
        found[f"{of}-settings.json"] = partial(ask, Configure(camera=name), InForce)
        found[f"{of}-changes.json"] = partial(ask, ListChanges(camera=name), ChangesKept)
        found[f"{of}-versions.json"] = partial(ask, Versions(camera=name), VersionsKept)
        if pictures:
            found[f"{of}-picture.jpg"] = partial(picture, name)
    return found | {
        "orders.json": partial(ask, ReadOrders(limit=_MAX_ORDERS), OrdersGiven),
        "log.txt": log,
        "doctor.json": partial(ask, ReadDoctorReport(), DoctorState),
        "metrics.txt": metrics,
    }


ROUTES = [
    Endpoint(
        "GET",
        "/devices/{device}/support.zip",
        _support,
        "Return a support archive of a device: status, settings, versions, log, orders, metrics; without secrets.",
        reply="application/zip",
        query=SupportWanted,
    ),
]
