"""Clips of alerts, as films that a browser plays."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse

from edge_config.errors import UnavailableError, UnreadableImage
from edge_config.wire.fetch import ClipPart, FetchClip
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.api.of_device.to_device import made
from runtime.page.media.fetch_clip import fetch_clip
from runtime.page.refused import Refused

_HEADERS = {"cache-control": "private, max-age=3600"}


async def _clip(call: Call) -> FileResponse:
    """Return the film of an alert's clip; it is made when it is asked for first. Ranges are Starlette's work."""
    alert = await call.services.store.alert(call.path("id"))
    if not alert.clip:
        raise Refused(404, "this alert has no clip")
    devices = call.services.devices

    async def ask(offset: int) -> tuple[ClipPart, tuple[bytes, ...]]:
        request = made(FetchClip, camera=alert.camera, clip=alert.clip, offset=offset)
        return await devices.ask_parts(alert.device, request, ClipPart, user=call.user)

    async def fetch(path: Path) -> None:
        await fetch_clip(ask, path)

    try:
        path, media_type = await call.services.media.films.get(f"{alert.device}/{alert.clip}", fetch)
    except UnreadableImage as error:
        raise Refused(502, str(error)) from error
    except UnavailableError as error:
        raise Refused(503, str(error)) from error
    return FileResponse(path, media_type=media_type, headers=_HEADERS)


ROUTES = [
    Endpoint(
        "GET",
        "/alerts/{id}/clip",
        _clip,
        "Return the clip of an alert as a film: MP4 with H.264, or WebM. It takes ranges (`Range`).",
        reply="video/mp4",
        statuses=(409, 502, 503),
    ),
]
