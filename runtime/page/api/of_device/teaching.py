"""Teach a camera: collect pictures, look at them, accept or reject them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from edge_config.wire.requests import Status
from edge_config.wire.teaching import (
    MAX_TEACHING,
    Accept,
    Deleted,
    DeletePictures,
    ListPictures,
    PictureIds,
    PictureList,
    PicturesJudged,
    Reject,
    StopTeaching,
    Teach,
    TeachingState,
)
from runtime.page.api.endpoint import Call, Endpoint, json_response
from runtime.page.api.of_device.to_device import LONG_S, ask_camera, stored_png
from runtime.page.refused import Refused

FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
"""Header of what never changes under its name."""


class CollectPictures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to collect.

    Attributes:
        frames: ends after this number of stored frames; by default 100.
        minutes: ends after this time, minutes; by default when there are enough frames.
        every_ms: minimum time between two frames, milliseconds.
    """

    frames: Annotated[int, Meta(ge=1, le=MAX_TEACHING)] | None = None
    minutes: Annotated[float, Meta(gt=0, le=20_160)] | None = None
    every_ms: Annotated[int, Meta(ge=0, le=86_400_000)] | None = None


class WhichPictures(msgspec.Struct, frozen=True, kw_only=True):
    """Which stored pictures to list.

    Attributes:
        kind: kinds, with commas between them: `peak`, `taught`, `aside`, `held_out`; by default all.
        undecided: only pictures on which nothing was decided yet.
        after: only pictures with a later id; empty: from the first.
        limit: maximum number of pictures.
    """

    kind: str = ""
    undecided: bool = False
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class HowShown(msgspec.Struct, frozen=True, kw_only=True):
    """How to show a stored picture.

    Attributes:
        width: return a JPEG of at most this width, pixels; by default the PNG as it is stored. Where no JPEG can be
            made, it is the PNG in any case.
    """

    width: Annotated[int, Meta(ge=16, le=8192)] | None = None


class JudgePictures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pictures to accept or to reject.

    Attributes:
        ids: their ids.
        all: all pictures that are set aside and not decided on.
    """

    ids: PictureIds = ()
    all: bool = False


class DeleteWhich(msgspec.Struct, frozen=True, kw_only=True):
    """Which stored pictures to delete.

    Attributes:
        kind: kinds, with commas between them: `peak`, `taught`, `aside`, `held_out`, `clip`; by default all.
        ids: only pictures with these ids, with commas between them; by default all.
    """

    kind: str = ""
    ids: str = ""


async def _teaching(call: Call) -> Response:
    """Return the collection: the status has it, and may be read by every key."""
    camera = call.services.devices.camera(call.path("key"))
    status: Any = await call.services.devices.ask(camera.device, Status(), object)
    return json_response(status.get("cameras", {}).get(camera.name, {}).get("teaching"))


async def _teach(call: Call) -> TeachingState:
    wanted = msgspec.structs.asdict(call.body(CollectPictures))
    return await ask_camera(call, Teach, TeachingState, **wanted)


async def _stop(call: Call) -> TeachingState:
    return await ask_camera(call, StopTeaching, TeachingState)


async def _pictures(call: Call) -> PictureList:
    wanted = call.query(WhichPictures)
    return await ask_camera(
        call,
        ListPictures,
        PictureList,
        timeout_s=LONG_S,
        kinds=_words(wanted.kind),
        undecided=wanted.undecided,
        after=wanted.after,
        limit=wanted.limit,
    )


async def _picture(call: Call) -> Response:
    """Return a stored picture, which is read from the device in parts."""
    camera = call.services.devices.camera(call.path("key"))
    width = call.query(HowShown).width
    known = f'"{call.path("id")}-{width or ""}"'
    headers = {**FOR_EVER, "etag": known}
    if call.request.headers.get("if-none-match") == known:
        return Response(status_code=304, headers=headers)
    get = partial(stored_png, call, camera.device, camera.name, call.path("id"))
    if width is None:
        return Response(await get(), media_type="image/png", headers=headers)
    png, jpeg = await call.services.media.thumbnails.make(get, width)
    if jpeg is None:
        return Response(png, media_type="image/png", headers={"cache-control": "no-store"})
    return Response(jpeg, media_type="image/jpeg", headers=headers)


async def _judge(call: Call, kind: type[Accept | Reject]) -> PicturesJudged:
    judged = call.body(JudgePictures)
    if bool(judged.ids) == judged.all:
        raise Refused(400, "name pictures in `ids`, or set `all`: one of them")
    return await ask_camera(call, kind, PicturesJudged, timeout_s=LONG_S, pictures=judged.ids, all=judged.all)


async def _accept(call: Call) -> PicturesJudged:
    return await _judge(call, Accept)


async def _reject(call: Call) -> PicturesJudged:
    return await _judge(call, Reject)


async def _delete(call: Call) -> Deleted:
    which = call.query(DeleteWhich)
    return await ask_camera(
        call, DeletePictures, Deleted, timeout_s=LONG_S, kinds=_words(which.kind), pictures=_words(which.ids)
    )


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


_TEACHING = "/cameras/{key}/teaching"
_PICTURES = "/cameras/{key}/pictures"
_DEVICE = (409, 502, 503)

ROUTES = [
    Endpoint(
        "GET",
        _TEACHING,
        _teaching,
        "Return the collection of normal frames; null if there was none.",
        reply=TeachingState | None,
        statuses=_DEVICE,
    ),
    Endpoint(
        "POST",
        _TEACHING,
        _teach,
        "Collect normal frames from now on.",
        reply=TeachingState,
        body=CollectPictures,
        role="operator",
        statuses=_DEVICE,
    ),
    Endpoint(
        "DELETE",
        _TEACHING,
        _stop,
        "End the collection; what was stored stays.",
        reply=TeachingState,
        role="operator",
        statuses=_DEVICE,
    ),
    Endpoint(
        "GET",
        _PICTURES,
        _pictures,
        "List stored pictures, the oldest first.",
        reply=PictureList,
        query=WhichPictures,
        statuses=_DEVICE,
    ),
    Endpoint(
        "DELETE",
        _PICTURES,
        _delete,
        "Delete stored pictures.",
        reply=Deleted,
        query=DeleteWhich,
        role="operator",
        statuses=_DEVICE,
    ),
    Endpoint(
        "GET",
        f"{_PICTURES}/{{id}}",
        _picture,
        "Return a stored picture.",
        reply="image/png",
        query=HowShown,
        statuses=(*_DEVICE, 413),
    ),
    Endpoint(
        "POST",
        f"{_PICTURES}/accept",
        _accept,
        "Accept pictures as normal: the next learning learns them.",
        reply=PicturesJudged,
        body=JudgePictures,
        role="operator",
        statuses=_DEVICE,
    ),
    Endpoint(
        "POST",
        f"{_PICTURES}/reject",
        _reject,
        "Reject pictures: they are never learnt.",
        reply=PicturesJudged,
        body=JudgePictures,
        role="operator",
        statuses=_DEVICE,
    ),
]
