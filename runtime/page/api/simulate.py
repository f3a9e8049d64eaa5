"""Try alert settings of a camera on the scores of the last hours."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge_config.errors import SettingsError
from edge_config.settings.parse import with_changes
from edge_config.settings.sections import Alerts
from edge_config.wire.requests import Status
from runtime.page.api.alerts import Moment
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.refused import Refused
from runtime.page.tune.simulate import Replayed, Rules, Simulation, TooLong, compare

_HOUR_MS = 3_600_000


class AlertsTried(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to try.

    Attributes:
        alerts: keys of the section `alerts` that would change, as in the settings; null: the default.
        from_ms: on frames from this time on.
        to_ms: up to before this time.
    """

    alerts: Annotated[dict[str, Any], Meta(max_length=64)] = {}
    from_ms: Moment
    to_ms: Moment


class SimulatedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that there would have been.

    Attributes:
        from_ms: time of its first frame.
        to_ms: time of the frame with which it ended; of the last one if it would still be open.
        peak: its highest score.
    """

    from_ms: int
    to_ms: int
    peak: float


class SimulatedAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings in force and those that are tried make of the same scores.

    Attributes:
        now: number of alerts with the settings in force.
        then: number of alerts with those that are tried.
        now_list: the first 1000 of the former, in their order.
        then_list: the first 1000 of the latter.
        frames: number of frames that the page has of this time; 0: there is nothing to say.
        hours: time from the first to the last of them.
    """

    now: int
    then: int
    now_list: list[SimulatedAlert]
    then_list: list[SimulatedAlert]
    frames: int
    hours: float


async def _simulate(call: Call) -> SimulatedAlerts:
    tried, services = call.body(AlertsTried), call.services
    if tried.from_ms >= tried.to_ms:
        raise Refused(400, "`from_ms` is not before `to_ms`")
    camera = services.devices.camera(call.path("key"))
    async with services.media.simulation():
        now, then = await _rules(call, camera.device, camera.name, tried.alerts)
        runs = await services.store.runs(camera.device, camera.name, tried.from_ms, tried.to_ms)
        try:
            found = await asyncio.to_thread(compare, runs, now, then)
        except TooLong:
            raise Refused(503, "this takes too long: try a shorter time") from None
    return SimulatedAlerts(
        now=found.now.count,
        then=found.then.count,
        now_list=_listed(found.now),
        then_list=_listed(found.then),
        frames=found.frames,
        hours=(found.last_ms - found.first_ms) / _HOUR_MS,
    )


async def _rules(call: Call, device: str, name: str, changes: dict[str, Any]) -> tuple[Rules, Rules]:
    """Return the rules in force, as the device says, and those with the changes."""
    status: Any = await call.services.devices.ask(device, Status(), object)
    said = status.get("cameras", {}).get(name)
    if said is None:
        raise Refused(404, f"the device has no camera `{name[:80]}` any more")
    alerts = msgspec.convert(said["alerts"], Alerts)
    threshold = said.get("default_threshold", said["threshold"])
    try:
        tried = with_changes(alerts, changes)
    except SettingsError as error:
        raise Refused(400, str(error)) from error
    min_ms = said.get("bundle_min_ms")
    return Rules(alerts, threshold, min_ms), Rules(tried, threshold, min_ms)


def _listed(simulation: Simulation) -> list[SimulatedAlert]:
    def one(alert: Replayed) -> SimulatedAlert:
        return SimulatedAlert(from_ms=alert.from_ms, to_ms=alert.to_ms, peak=alert.peak)

    return [one(alert) for alert in simulation.alerts]


ROUTES = [
    Endpoint(
        "POST",
        "/cameras/{key}/simulate",
        _simulate,
        "Try alert settings on the stored scores of a camera, with the device's own logic; nothing is changed.",
        reply=SimulatedAlerts,
        body=AlertsTried,
        statuses=(409, 502, 503),
    ),
]
