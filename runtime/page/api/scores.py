"""Scores over time, for a curve."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runtime.page.api.alerts import Moment
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.devices.live import now_ms
from runtime.page.refused import Refused

LAST_MS = 600_000
"""Default of the time that is shown."""


class ScoresQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which scores are wanted.

    Attributes:
        from_ms: from this time on; by default ten minutes before `to_ms`.
        to_ms: up to before this time; by default now.
        points: maximum number of points.
    """

    from_ms: Moment | None = None
    to_ms: Moment | None = None
    points: Annotated[int, Meta(ge=10, le=4000)] = 600


class AlertSpan(msgspec.Struct, frozen=True, kw_only=True):
    """When an alert was open.

    Attributes:
        id: of the alert.
        from_ms: when it began.
        to_ms: when it ended; null while it is open.
    """

    id: str
    from_ms: int
    to_ms: int | None


class ScoreCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of a camera as points of equal length; where nothing was scored there is no point.

    Attributes:
        t_ms: begin of each point.
        max: its highest score.
        mean: mean of its scores.
        threshold: threshold in force.
        step_ms: length of a point; shorter ones lie together.
        alerts: alerts that were open in this time, the earliest first.
    """

    t_ms: list[int]
    max: list[float]
    mean: list[float]
    threshold: list[float]
    step_ms: float
    alerts: list[AlertSpan]


async def _scores(call: Call) -> ScoreCurve:
    query, services = call.query(ScoresQuery), call.services
    camera = services.devices.camera(call.path("key"))
    to_ms = now_ms() if query.to_ms is None else query.to_ms
    from_ms = max(0, to_ms - LAST_MS) if query.from_ms is None else query.from_ms
    if from_ms >= to_ms:
        raise Refused(400, "`from_ms` is not before `to_ms`")
    curve = await services.store.curve(camera.device, camera.name, from_ms, to_ms, query.points)
    alerts = await services.store.overlapping(camera.device, camera.name, from_ms, to_ms)
    return ScoreCurve(
        t_ms=curve.t_ms.tolist(),
        max=curve.highest.tolist(),
        mean=curve.mean.tolist(),
        threshold=curve.threshold.tolist(),
        step_ms=(to_ms - from_ms) / query.points,
        alerts=[AlertSpan(id=one.id, from_ms=one.start_ms, to_ms=one.end_ms) for one in alerts],
    )


ROUTES = [
    Endpoint(
        "GET",
        "/cameras/{key}/scores",
        _scores,
        "Return the scores of a camera over a time, and its alerts.",
        reply=ScoreCurve,
        query=ScoresQuery,
        statuses=(503,),
    ),
]
