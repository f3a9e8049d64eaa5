"""The settings of a camera: read, changed while it runs, and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from edge_config.errors import RequestError
from edge_config.polygons import Polygons
from edge_config.wire.configure import ChangedValue, ChangesKept, Configure, InForce, ListChanges, SettingsChange, Undo
from edge_config.wire.requests import Status
from runtime.page.api.endpoint import Call, Endpoint
from runtime.page.api.of_device.to_device import LONG_S, ask_camera
from runtime.page.refused import KeyDenied

_SHORT_KEY = 8

_PLACES = {"regions", "ignore"}


class ShownValue(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that changed.

    Attributes:
        name: `regions`, `ignore`, or its key in the section `alerts`.
        before: its value before, of polygons their number; null: the default.
        after: its value since, likewise.
    """

    name: str
    before: Any
    after: Any


class ShownChange(msgspec.Struct, frozen=True, kw_only=True):
    """A kept change of the settings.

    Attributes:
        number: its number; numbers only grow.
        at_ms: when it was made.
        by: name of the user, or the beginning of the client's key; empty if neither is known.
        what: what changed, one line.
        values: what changed, one by one.
        undone: it was taken back.
    """

    number: int
    at_ms: int
    by: str
    what: str
    values: tuple[ShownValue, ...]
    undone: bool


class CameraSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a camera that are in force, and their changes.

    Attributes:
        threshold: scores above it are anomalous; 0 before there is a bundle.
        bundle_threshold: threshold of the bundle; 0 if unknown.
        alerts: its section `alerts`.
        regions: polygons in pixels of the frame, outside of which nothing is judged; null: none of its own.
        ignore: polygons in which nothing is judged; null: none of its own.
        regions_of: whose regions are used: `settings`, `bundle`, or empty.
        frame_hw: height and width of the frame; null if unknown.
        changes: kept changes, the newest first.
        file: the settings file on the device; empty if there is none.
    """

    threshold: float
    bundle_threshold: float
    alerts: dict[str, Any]
    regions: Polygons | None
    ignore: Polygons | None
    regions_of: str
    frame_hw: tuple[int, int] | None
    changes: tuple[ShownChange, ...]
    file: str


class ChangeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is absent stays as it is.

    Attributes:
        alerts: keys of the section `alerts`, as in the settings; null: the default.
        regions: polygons in pixels of the frame; null: none of its own.
        ignore: polygons in pixels of the frame; null: none of its own.
        keep: write it to the settings file of the device, too; else it is gone when the device starts again.
    """

    alerts: Annotated[dict[str, Any], Meta(max_length=64)] = {}
    regions: Polygons | UnsetType | None = UNSET
    ignore: Polygons | UnsetType | None = UNSET
    keep: bool = True


async def _settings(call: Call) -> CameraSettings:
    """Return the settings; with a key that may only look, those that the list of changes or the status has."""
    try:
        now = await ask_camera(call, Configure, InForce)
    except KeyDenied:
        kept = await _changes(call)
        return _shown(kept.in_force or await _from_status(call), kept)
    return _shown(now, await _changes(call))


async def _changes(call: Call) -> ChangesKept:
    """Return the kept changes; a device of an earlier release keeps none."""
    try:
        return await ask_camera(call, ListChanges, ChangesKept)
    except RequestError:
        return ChangesKept(camera="", changes=())


async def _from_status(call: Call) -> InForce:
    camera = call.services.devices.camera(call.path("key"))
    status: Any = await call.services.devices.ask(camera.device, Status(), object)
    said: Mapping[str, Any] = status.get("cameras", {}).get(camera.name, {})
    return InForce(
        camera=camera.name,
        threshold=said.get("threshold", 0.0),
        alerts=said.get("alerts", {}),
        frame_hw=camera.frame_hw,
        regions_of=said.get("regions", ""),
    )


async def _change(call: Call) -> CameraSettings:
    wanted = call.body(ChangeSettings)
    places = {"regions": wanted.regions, "ignore": wanted.ignore}
    changed = {name: polygons for name, polygons in places.items() if polygons is not UNSET}
    now = await ask_camera(
        call, Configure, InForce, timeout_s=LONG_S, alerts=wanted.alerts, keep=wanted.keep, **changed
    )
    return _shown(now, await _changes(call))


async def _undo(call: Call) -> CameraSettings:
    now = await ask_camera(call, Undo, InForce, timeout_s=LONG_S)
    return _shown(now, await _changes(call))


def _shown(now: InForce, kept: ChangesKept) -> CameraSettings:
    return CameraSettings(
        threshold=now.threshold,
        bundle_threshold=now.bundle_threshold,
        alerts=now.alerts,
        regions=now.regions,
        ignore=now.ignore,
        regions_of=now.regions_of,
        frame_hw=now.frame_hw,
        changes=tuple(map(_one, kept.changes)),
        file=kept.file,
    )


def _one(change: SettingsChange) -> ShownChange:
    return ShownChange(
        number=change.number,
        at_ms=change.at_ms,
        by=change.user or change.by[:_SHORT_KEY],
        what=", ".join(map(_what, change.what)),
        values=tuple(map(_one_value, change.what)),
        undone=change.undone,
    )


def _one_value(value: ChangedValue) -> ShownValue:
    name = value.key.removeprefix("alerts.")
    return ShownValue(name=name, before=_counted(name, value.before), after=_counted(name, value.after))


def _counted(name: str, value: Any) -> Any:
    return len(value) if name in _PLACES and isinstance(value, list | tuple) else value


def _what(value: ChangedValue) -> str:
    """Return what has changed, such as `threshold: 2.4 → 3.1`; of polygons their numbers."""
    name = value.key.removeprefix("alerts.")
    return f"{name}: {_value(name, value.before)} → {_value(name, value.after)}"


def _value(name: str, value: Any) -> str:
    if value is None:
        return "default"
    if name in _PLACES and isinstance(value, list | tuple):
        return f"{len(value)} {'polygon' if len(value) == 1 else 'polygons'}"
    if isinstance(value, list | tuple | set | frozenset):
        return " ".join(map(str, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


_PATH = "/cameras/{key}/settings"
_DEVICE = (409, 502, 503)

ROUTES = [
    Endpoint(
        "GET",
        _PATH,
        _settings,
        "Return the settings of a camera that are in force, and their changes.",
        reply=CameraSettings,
        statuses=_DEVICE,
    ),
    Endpoint(
        "PUT",
        _PATH,
        _change,
        "Change settings of a camera, all of them or nothing, from some frame on.",
        reply=CameraSettings,
        body=ChangeSettings,
        role="operator",
        statuses=_DEVICE,
    ),
    Endpoint(
        "POST",
        f"{_PATH}/undo",
        _undo,
        "Take back the last kept change of a camera's settings.",
        reply=CameraSettings,
        role="operator",
        statuses=_DEVICE,
    ),
]
