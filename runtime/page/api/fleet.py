"""The fleet: devices, what they should run and run, and roll-outs."""

from __future__ import annotations

from runtime.fleet.rollout.status import FleetStatus
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.refused import Refused


async def _fleet(call: Call) -> FleetStatus:
    if call.services.fleet is None:
        raise Refused(404, "this page shows no fleet: its settings have no section `fleet`")
    return await call.services.fleet.status()


ROUTES = [
    Endpoint(
        "GET",
        "/fleet",
        _fleet,
        "Return all devices of the fleet, what each should run and runs, and the roll-outs.",
        reply=FleetStatus,
        statuses=(404, 503),
    ),
]
