"""Look after a device: its status, metrics, log, orders, doctor's report and bundles."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from edge_config.wire.requests import Status
from edge_config.wire.upkeep import (
    DoctorState,
    LogLines,
    MetricsText,
    OrdersGiven,
    ReadDoctorReport,
    ReadLogs,
    ReadMetrics,
    ReadOrders,
    StartDoctor,
)
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.api.of_device.to_device import ask_device, made


class LogsSince(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of the log to return.

    Attributes:
        after: number of a line: only later ones are returned; `next` of the last reply, 0 at first.
        limit: maximum number of lines.
    """

    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class HowManyOrders(msgspec.Struct, frozen=True, kw_only=True):
    """How many orders to return.

    Attributes:
        limit: maximum number of them.
    """

    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class BundleShown(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle in service of a camera.

    Attributes:
        camera: key of the camera.
        id: its id: the sha256 of its manifest.
        threshold: threshold in force.
        provider: execution provider that computes its graph; empty if unknown.
        passed_over: preferred providers that are not used, a line each.
        regions: whose regions limit what is judged: `settings`, `bundle`, or empty.
        learning: state of learning on; empty where it is off.
    """

    camera: str
    id: str
    threshold: float
    provider: str = ""
    passed_over: tuple[str, ...] = ()
    regions: str = ""
    learning: str = ""


class BundlesShown(msgspec.Struct, frozen=True, kw_only=True):
    """The bundles of a device.

    Attributes:
        bundles: one for each camera.
    """

    bundles: list[BundleShown]


async def _status(call: Call) -> Any:
    return (await ask_device(call, Status(), dict))[0]


async def _metrics(call: Call) -> Response:
    said, parts = await ask_device(call, ReadMetrics(), MetricsText)
    return Response(b"".join(parts), headers={"content-type": said.content_type, "cache-control": "no-store"})


async def _logs(call: Call) -> LogLines:
    since = call.query(LogsSince)
    return (await ask_device(call, made(ReadLogs, after=since.after, limit=since.limit), LogLines))[0]


async def _orders(call: Call) -> OrdersGiven:
    wanted = call.query(HowManyOrders)
    return (await ask_device(call, made(ReadOrders, limit=wanted.limit), OrdersGiven))[0]


async def _examine(call: Call) -> DoctorState:
    return (await ask_device(call, StartDoctor(), DoctorState))[0]


async def _report(call: Call) -> DoctorState:
    return (await ask_device(call, ReadDoctorReport(), DoctorState))[0]


async def _bundles(call: Call) -> BundlesShown:
    return bundles_of(call.path("device"), (await ask_device(call, Status(), dict))[0])


def bundles_of(device: str, status: dict[str, Any]) -> BundlesShown:
    """Return the bundles that a status names."""
    learning = status.get("learning", {})
    shown = [
        BundleShown(
            camera=f"{device}:{name}",
            id=camera.get("bundle", ""),
            threshold=camera.get("threshold", 0.0),
            provider=camera.get("provider", ""),
            passed_over=tuple(camera.get("passed_over", ())),
            regions=camera.get("regions", ""),
            learning=learning.get(name, {}).get("state", ""),
        )
        for name, camera in status.get("cameras", {}).items()
    ]
    return BundlesShown(bundles=shown)


_DEVICE = (409, 502, 503)

ROUTES = [
    Endpoint(
        "GET",
        "/devices/{device}/status",
        _status,
        "Return the status of a device, as the reply to `status` has it.",
        reply=dict[str, Any],
        statuses=_DEVICE,
    ),
    Endpoint(
        "GET",
        "/devices/{device}/metrics",
        _metrics,
        "Return the metrics of a device, as Prometheus text.",
        reply="text/plain",
        statuses=_DEVICE,
    ),
    Endpoint(
        "GET",
        "/devices/{device}/logs",
        _logs,
        "Return the last lines of the log of a device, the oldest first.",
        reply=LogLines,
        query=LogsSince,
        statuses=_DEVICE,
    ),
    Endpoint(
        "GET",
        "/devices/{device}/orders",
        _orders,
        "Return the audit log of a device: the last requests that changed something, the newest first.",
        reply=OrdersGiven,
        query=HowManyOrders,
        statuses=_DEVICE,
    ),
    Endpoint(
        "POST",
        "/devices/{device}/doctor",
        _examine,
        "Check a device, beside what it does.",
        reply=DoctorState,
        role="operator",
        statuses=_DEVICE,
    ),
    Endpoint(
        "GET",
        "/devices/{device}/doctor",
        _report,
        "Return the last report of the check.",
        reply=DoctorState,
        statuses=_DEVICE,
    ),
    Endpoint(
        "GET",
        "/devices/{device}/bundle",
        _bundles,
        "Return the bundles in service of a device.",
        reply=BundlesShown,
        statuses=_DEVICE,
    ),
]
