"""Alerts: found, seen, commented, called false."""

from __future__ import annotations

from dataclasses import replace
from math import isclose
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta
from starlette.responses import Response

from edge_config.errors import RequestError
from edge_config.wire import teaching
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.api.of_device.to_device import LONG_S
from runtime.page.devices.live import now_ms
from runtime.page.devices.peaks import SAME
from runtime.page.refused import Refused
from runtime.page.shapes import AlertComment, ByWhom, HeatShown, ShownAlert
from runtime.page.store.alerts import AlertFilter, AlertsWanted

Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]  # the end of the year 9999, which datetime can write

CHANGED = "the picture has changed: look again"
"""The device keeps another picture than the one that was looked at."""

_CACHED = {"cache-control": "private, max-age=60"}


class AlertsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are wanted.

    Attributes:
        camera: keys of cameras, with commas between them; empty: all.
        from_ms: only those that began at this time or later.
        to_ms: only those that began before this time.
        state: `open`: not over. `new`: neither acknowledged nor called false. Else those that were.
        text: only those with this text in the name of device or camera, the reason, or a comment.
        limit: maximum number.
        before: `next` of the reply before; empty: the latest.
    """

    camera: Annotated[str, Meta(max_length=2000)] = ""
    from_ms: Moment | None = None
    to_ms: Moment | None = None
    state: AlertFilter | None = None
    text: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    before: Annotated[str, Meta(max_length=100)] = ""


class AlertList(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts, the latest first.

    Attributes:
        alerts: those that were wanted.
        next: `before` of the next page; null if there are no more.
    """

    alerts: list[ShownAlert]
    next: str | None


class CommentBody(msgspec.Struct, frozen=True, kw_only=True):
    """A comment.

    Attributes:
        text: what is to be said.
    """

    text: Annotated[str, Meta(min_length=1, max_length=2000)]


class FalseAlarmBody(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at.

    Attributes:
        score: `picture_score` of the alert as it was shown; another picture is refused. null: whatever is kept.
    """

    score: float | None = None


async def _find(call: Call) -> AlertList:
    query = call.query(AlertsQuery)
    wanted = replace(
        alerts_wanted(call, query.camera, query.from_ms, query.to_ms, query.state, query.text),
        before=_place(query.before) if query.before else None,
        limit=query.limit,
    )
    found = await call.services.store.alerts(wanted)
    last = found[-1] if len(found) == query.limit else None
    return AlertList(alerts=found, next=None if last is None else f"{last.start_ms}-{last.id}")


def alerts_wanted(
    call: Call, camera: str, from_ms: int | None, to_ms: int | None, state: AlertFilter | None, text: str
) -> AlertsWanted:
    """Return which alerts the filters of a request mean; they are those of `AlertsQuery`.

    Raises:
        Refused: several devices have a camera of this name, or there is no such device.
    """
    keys = [call.services.devices.full_key(key) for key in camera.split(",") if key]
    return AlertsWanted(cameras=tuple(map(_of, keys)), from_ms=from_ms, to_ms=to_ms, state=state, text=text)


def _of(key: str) -> tuple[str, str]:
    device, _, camera = key.partition(":")
    return device, camera


def _place(before: str) -> tuple[int, str]:
    start, _, alert = before.partition("-")
    if not start.isdecimal() or len(start) > 16:  # noqa: PLR2004 - milliseconds until the year 300,000
        raise Refused(400, "`before` is not the `next` of a reply")
    return int(start), alert


async def _get(call: Call) -> ShownAlert:
    return await call.services.store.alert(call.path("id"))


async def _picture(call: Call) -> Response:
    found = await call.services.store.picture(call.path("id"))
    if found is None or found.picture is None:
        raise Refused(
            404, "there is no picture of this alert; `attach: [jpeg]` in the camera's alert settings sends one"
        )
    return Response(found.picture, media_type=found.media_type, headers=_CACHED)


async def _heat(call: Call) -> HeatShown:
    found = await call.services.store.picture(call.path("id"))
    if found is None or found.heat is None:
        raise Refused(
            404, "there is no heat map of this alert; `attach: [heat_map]` in the camera's alert settings sends one"
        )
    return found.heat


async def _acknowledge(call: Call) -> ShownAlert:
    return _told(call, await call.services.store.acknowledge(call.path("id"), _by(call)))


async def _not_acknowledged(call: Call) -> ShownAlert:
    return _told(call, await call.services.store.acknowledge(call.path("id"), None))


async def _comment(call: Call) -> ShownAlert:
    text = call.body(CommentBody).text.strip()
    if not text:
        raise Refused(400, "the comment is empty")
    said = AlertComment(by=call.user, at_ms=now_ms(), text=text)
    return _told(call, await call.services.store.comment(call.path("id"), said))


async def _false_alarm(call: Call) -> ShownAlert:
    """Have the device take the peak as normal, and note it; the device decides whether that can be."""
    services = call.services
    alert, seen = await services.store.alert(call.path("id")), call.body(FalseAlarmBody).score
    request = teaching.FalseAlarm(camera=alert.camera, alert_id=alert.id, score=seen)
    try:
        await services.devices.ask(alert.device, request, teaching.Marked, user=call.user)
    except RequestError:
        if seen is None or not await _is_another(call, alert, seen):
            raise
        raise Refused(409, CHANGED) from None
    return _told(call, await services.store.call_false(alert.id, _by(call)))


async def _is_another(call: Call, alert: ShownAlert, seen: float) -> bool:
    """Return whether the device keeps another picture of an alert than the one that was seen; then show that one."""
    best = max(await _peaks(call, alert), key=lambda one: one.score, default=None)
    if best is None or isclose(best.score, seen, rel_tol=SAME):
        return False
    devices = call.services.devices
    await devices.alerts.peaks.fetch(devices.link(alert.device), alert, best, instead=True)
    return True


async def _not_false(call: Call) -> ShownAlert:
    """Have the device reject the peaks that it took as normal, and forget the mark; what was learnt stays learnt."""
    services = call.services
    alert = await services.store.alert(call.path("id"))
    taken = tuple(one.id for one in await _peaks(call, alert) if one.decided == "accepted")
    if taken:
        request = teaching.Reject(camera=alert.camera, pictures=taken)
        await services.devices.ask(alert.device, request, teaching.PicturesJudged, user=call.user, timeout_s=LONG_S)
    structlog.get_logger().info("a false alarm is taken back", alert=alert.id, user=call.user, rejected=len(taken))
    return _told(call, await services.store.call_false(alert.id, None))


async def _peaks(call: Call, alert: ShownAlert) -> list[teaching.StoredPicture]:
    """Return the stored peaks of an alert, also those that were learned, and taken back with the version."""
    found: list[teaching.StoredPicture] = []
    after, more = "", True
    while more:
        request = teaching.ListPictures(camera=alert.camera, kinds=("peak", "aside"), after=after, limit=1000)
        reply = await call.services.devices.ask(alert.device, request, teaching.PictureList, timeout_s=LONG_S)
        found += [one for one in reply.pictures if one.alert == alert.id]
        more = reply.more and bool(reply.pictures)
        after = reply.pictures[-1].id if reply.pictures else ""
    return found


def _by(call: Call) -> ByWhom:
    return ByWhom(by=call.user, at_ms=now_ms())


def _told(call: Call, alert: ShownAlert) -> ShownAlert:
    """Tell all browsers of an alert, and return it."""
    devices = call.services.devices
    devices.hub.tell_alert(alert)
    for camera in devices.cameras:
        if camera.alert is not None and camera.alert.id == alert.id:
            camera.alert, camera.changed = alert, True
    return alert


ROUTES = [
    Endpoint(
        "GET", "/alerts", _find, "List alerts, the latest first.", reply=AlertList, query=AlertsQuery, statuses=(404,)
    ),
    Endpoint("GET", "/alerts/{id}", _get, "Return an alert.", reply=ShownAlert),
    Endpoint("GET", "/alerts/{id}/picture", _picture, "Return the picture of its peak.", reply="image/*"),
    Endpoint("GET", "/alerts/{id}/heat", _heat, "Return the heat map of its peak.", reply=HeatShown),
    Endpoint(
        "POST",
        "/alerts/{id}/acknowledge",
        _acknowledge,
        "Note that the user has seen an alert; the first one stays.",
        reply=ShownAlert,
        role="operator",
        statuses=(507,),
    ),
    Endpoint(
        "DELETE",
        "/alerts/{id}/acknowledge",
        _not_acknowledged,
        "Take it back that somebody has seen an alert.",
        reply=ShownAlert,
        role="operator",
        statuses=(507,),
    ),
    Endpoint(
        "POST",
        "/alerts/{id}/comment",
        _comment,
        "Add a comment to an alert.",
        reply=ShownAlert,
        body=CommentBody,
        role="operator",
        statuses=(507,),
    ),
    Endpoint(
        "POST",
        "/alerts/{id}/false-alarm",
        _false_alarm,
        "Call an alert a false alarm: the device accepts its peak as normal, and learns it when it learns on.",
        reply=ShownAlert,
        body=FalseAlarmBody,
        role="operator",
        statuses=(409, 502, 503, 507),
    ),
    Endpoint(
        "DELETE",
        "/alerts/{id}/false-alarm",
        _not_false,
        "Take it back that an alert is a false alarm: the device rejects its peak, unless that was learnt already.",
        reply=ShownAlert,
        role="operator",
        statuses=(409, 502, 503, 507),
    ),
]
