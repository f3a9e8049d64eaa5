"""Take alerts and pictures along: a table, and a data set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from edge_config.installed import version
from edge_config.wire.teaching import ListPictures, PictureList, StoredPicture
from runtime.page.api.alerts import Moment, alerts_wanted
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.api.of_device.to_device import LONG_S, made, stored_png
from runtime.page.devices.live import now_ms
from runtime.page.media import dataset
from runtime.page.media.dataset import CameraPictures, Picked
from runtime.page.media.stream import streamed
from runtime.page.media.table import ALERT_COLUMNS, alert_row, csv_lines, iso
from runtime.page.refused import Refused
from runtime.page.shapes import ShownAlert
from runtime.page.store.alerts import AlertFilter, AlertsWanted

MAX_ALERTS = 200_000
"""Maximum number of alerts of a table; of more, the latest."""

MAX_LISTED = 50_000
"""Maximum number of stored pictures of a camera that are listed."""

_PAGE = 500


class AlertsTable(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are in the table; the filters are those of the list.

    Attributes:
        camera: keys of cameras, with commas between them; empty: all.
        from_ms: only those that began at this time or later.
        to_ms: only those that began before this time.
        state: `open`: not over. `new`: neither acknowledged nor called false. Else those that were.
        text: only those with this text in the name of device or camera, the reason, or a comment.
    """

    camera: Annotated[str, Meta(max_length=2000)] = ""
    from_ms: Moment | None = None
    to_ms: Moment | None = None
    state: AlertFilter | None = None
    text: Annotated[str, Meta(max_length=200)] = ""


class DatasetWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which pictures are in the data set.

    Attributes:
        camera: keys of cameras, with commas between them; empty: all.
        from_ms: only pictures of this time or later.
        to_ms: only pictures before this time.
        state: of alerts only those that are `open`, `new`, `acknowledged` or `false_alarm`.
        text: of alerts only those with this text, as in the list.
    """

    camera: Annotated[str, Meta(max_length=2000)] = ""
    from_ms: Moment | None = None
    to_ms: Moment | None = None
    state: AlertFilter | None = None
    text: Annotated[str, Meta(max_length=200)] = ""


async def _table(call: Call) -> Response:
    query = call.query(AlertsTable)
    wanted = alerts_wanted(call, query.camera, query.from_ms, query.to_ms, query.state, query.text)

    async def pieces() -> AsyncIterator[bytes]:
        yield csv_lines([ALERT_COLUMNS])
        async for some in _pages(call, wanted):
            yield csv_lines(map(alert_row, some))

    return await streamed(call.services.media, pieces(), "text/csv; charset=utf-8", f"alerts-{_today()}.csv")


def _today() -> str:
    return f"{datetime.now().astimezone():%Y-%m-%d}"


async def _pages(call: Call, wanted: AlertsWanted) -> AsyncIterator[list[ShownAlert]]:
    """Yield alerts, the latest first, some at a time."""
    wanted, number = replace(wanted, limit=_PAGE), 0
    while number < MAX_ALERTS:
        some = await call.services.store.alerts(wanted)
        if some:
            yield some
        if len(some) < _PAGE:
            return
        number += len(some)
        wanted = replace(wanted, before=(some[-1].start_ms, some[-1].id))


async def _dataset(call: Call) -> Response:
    query, devices = call.query(DatasetWanted), call.services.devices
    keys = [key for key in query.camera.split(",") if key]
    cameras = [devices.camera(key) for key in keys] or devices.cameras
    if not cameras:
        raise Refused(404, "the page knows of no camera yet")
    found = []
    for camera in cameras:
        of = AlertsWanted(((camera.device, camera.name),), query.from_ms, query.to_ms, query.state, query.text)
        alerts = [alert async for some in _pages(call, of) for alert in some]
        pictures = await _stored(call, camera.device, camera.name)
        found.append(CameraPictures(camera.device, camera.name, pictures, alerts))
    named = bool(query.state or query.text)
    picked = dataset.pick(found, query.from_ms, query.to_ms, named=named)

    async def read(one: Picked) -> bytes:
        if one.stored is not None:
            return await stored_png(call, one.of.device, one.of.camera, one.stored.id)
        shown = None if one.alert is None else await call.services.store.picture(one.alert.id)
        if shown is None or shown.picture is None:
            raise Refused(404, "it was deleted meanwhile")
        return shown.picture

    pieces = dataset.archive(picked, read, _head(query, [camera.key for camera in cameras]))
    return await streamed(call.services.media, pieces, "application/zip", f"dataset-{_today()}.zip")


async def _stored(call: Call, device: str, camera: str) -> list[StoredPicture]:
    """Return what is stored on a device of one camera."""
    found: list[StoredPicture] = []
    while len(found) < MAX_LISTED:
        request = made(ListPictures, camera=camera, after=found[-1].id if found else "", limit=1000)
        reply = await call.services.devices.ask(device, request, PictureList, user=call.user, timeout_s=LONG_S)
        found += reply.pictures
        if not reply.more or not reply.pictures:
            break
    return found


def _head(query: DatasetWanted, keys: list[str]) -> str:
    span = f"from {iso(query.from_ms) or 'the first'} to {iso(query.to_ms) or 'the last'}"
    made_by = f"by the page of patchedge {version() or ''}".rstrip()
    only = [f"state {query.state}"] if query.state else []
    only += [f"text {query.text!r}"] if query.text else []
    alerts = f"\nOf alerts only those with {' and '.join(only)}." if only else ""
    return f"Data set in MVTec layout, made {iso(now_ms())} {made_by}.\nCameras: {', '.join(keys)}; {span}.{alerts}"


ROUTES = [
    Endpoint(
        "GET",
        "/export/alerts.csv",
        _table,
        "Return alerts as CSV, the latest first. A text that a spreadsheet would take for a formula begins with '.",
        reply="text/csv",
        query=AlertsTable,
        statuses=(404, 503),
    ),
    Endpoint(
        "GET",
        "/export/dataset.zip",
        _dataset,
        "Return stored pictures and pictures of alerts as a data set in MVTec layout; its README says how it was made.",
        reply="application/zip",
        query=DatasetWanted,
        statuses=(404, 409, 502, 503),
    ),
]
