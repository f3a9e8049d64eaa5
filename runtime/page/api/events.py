"""Live values for browsers and programs: server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response, StreamingResponse

from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.devices.devices import PageDevices
from runtime.page.devices.hub import MAX_BROWSERS, Hub, Mailbox, TooManyBrowsers, event
from runtime.page.refused import Refused

MAX_PREVIEWS = 64
"""Maximum number of cameras that one browser watches."""


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser wants to hear.

    Attributes:
        previews: keys of the cameras of which it wants pictures, with commas between them.
        rate: maximum number of pictures of a camera a second.
    """

    previews: Annotated[str, Meta(max_length=2000)] = ""
    rate: Annotated[float, Meta(ge=0.1, le=10)] = 5.0


async def _events(call: Call) -> Response:
    query, devices = call.query(EventsQuery), call.services.devices
    keys = [key for key in query.previews.split(",") if key]
    if len(keys) > MAX_PREVIEWS:
        raise Refused(400, f"{len(keys)} cameras, at most {MAX_PREVIEWS} can be watched at once")
    # A camera that is not known yet may come: its device is away.
    try:
        mailbox = devices.hub.join({devices.full_key(key) for key in keys}, query.rate)
    except TooManyBrowsers:
        raise Refused(503, f"{MAX_BROWSERS} browsers watch already: close one", headers={"retry-after": "10"}) from None
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_news(devices, mailbox), media_type="text/event-stream", headers=headers)


async def _news(devices: PageDevices, mailbox: Mailbox) -> AsyncIterator[bytes]:
    """Yield how everything is, then all news."""
    hub: Hub = devices.hub
    try:
        yield b"retry: 2000\n\n" + b"".join(_now(devices))
        while (said := await mailbox.take()) is not None:
            yield said
    finally:
        hub.leave(mailbox)


def _now(devices: PageDevices) -> Iterator[bytes]:
    for link in devices.links:
        yield event("device", msgspec.json.encode(link.shown()))
    for camera in devices.cameras:
        yield event("camera", msgspec.json.encode(camera.shown()))


ROUTES = [
    Endpoint(
        "GET",
        "/events",
        _events,
        "Stream live values as server-sent events: `device`, `camera`, `preview` and `alert`, each with an object.",
        reply="text/event-stream",
        query=EventsQuery,
        statuses=(404, 503),
    ),
]
