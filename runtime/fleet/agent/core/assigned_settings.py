"""Settings of an assignment: are they settings at all, are they in force, and what a person changed since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from edge_config.errors import SettingsError
from edge_config.polygons import Polygons
from edge_config.settings.parse import with_changes
from edge_config.settings.sections import Alerts
from edge_config.wire.configure import InForce, SettingsChange

KEYS = ("alerts", "regions", "ignore")

_MAX_BYTES = 60_000  # a request to the device has at most 64 KB

_USER = "fleet"


def user_of(counter: int) -> str:
    """Return the name that stands beside a change of settings which an assignment made."""
    return f"{_USER} {counter}"


def problem_of(settings: dict[str, Any] | None) -> str:
    """Return why these cannot be settings of any camera; empty: they may be."""
    if settings is None:
        return ""
    if unknown := sorted(set(settings) - set(KEYS)):
        return f"unknown settings {', '.join(unknown)[:100]}; known are {', '.join(KEYS)}"
    if len(msgspec.json.encode(settings)) > _MAX_BYTES:
        return f"the settings are larger than {_MAX_BYTES} bytes"
    try:
        with_changes(Alerts(), msgspec.convert(settings.get("alerts", {}), dict[str, Any]))
        for key in ("regions", "ignore"):
            msgspec.convert(settings.get(key), Polygons | None)
    except (SettingsError, msgspec.ValidationError) as error:
        return f"the settings are not valid ({' '.join(str(error).split())[:300]})"
    return ""


def change_of(counter: int, changes: Sequence[SettingsChange]) -> SettingsChange | None:
    """Return the change that an assignment made and that was not taken back; None: there is none."""
    return next((one for one in changes if one.user == user_of(counter) and not one.undone), None)


def in_place_of(settings: dict[str, Any], changes: Sequence[SettingsChange]) -> dict[str, Any]:
    """Return settings with those that the fleet changed before, and that are not in them, as they were before that.

    So they take the place of what was assigned before, and without a key they take all of it back. What a person
    changed since stays.

    Args:
        settings: as an assignment has them.
        changes: kept changes of the camera, the newest first.
    """
    before: dict[str, Any] = {}
    of_persons: set[str] = set()
    for change in changes:
        if change.undone:
            continue
        for one in change.what:
            if not change.user.startswith(f"{_USER} "):
                of_persons.add(one.key)
            elif one.key not in of_persons:
                before[one.key] = one.before
    defaults: dict[str, Any] = msgspec.to_builtins(Alerts())
    whole = {key: before[key] for key in ("regions", "ignore") if key in before} | settings
    alerts = {
        key: defaults[key] if before[f"alerts.{key}"] is None else before[f"alerts.{key}"]
        for key in defaults
        if f"alerts.{key}" in before
    }
    return {**whole, "alerts": {**alerts, **settings.get("alerts", {})}} if alerts else whole


def is_last(change: SettingsChange, changes: Sequence[SettingsChange]) -> bool:
    """Return whether a change is the one that would be taken back next."""
    return change == next((one for one in changes if not one.undone), None)


def changed_on_the_spot(
    settings: dict[str, Any] | None, in_force: InForce | None, changes: Sequence[SettingsChange]
) -> tuple[str, ...]:
    """Return the keys that a person changed at the device since the fleet's last change, and those not as assigned."""
    names = set(_of_persons(changes))
    if settings is not None and in_force is not None:
        names |= set(_differing(settings, in_force))
    return tuple(sorted(names))


def _of_persons(changes: Sequence[SettingsChange]) -> Iterable[str]:
    for change in changes:
        if change.undone:
            continue
        if change.user.startswith(f"{_USER} "):
            return
        yield from (one.key for one in change.what)


def _differing(settings: dict[str, Any], in_force: InForce) -> list[str]:
    keys = settings.get("alerts", {})
    wanted, now = with_changes(Alerts(), keys), _alerts(in_force)
    names = [f"alerts.{key}" for key in keys if getattr(wanted, key) != getattr(now, key)]
    outlines = [key for key in ("regions", "ignore") if key in settings]
    names += [key for key in outlines if msgspec.convert(settings[key], Polygons | None) != getattr(in_force, key)]
    return names


def _alerts(in_force: InForce) -> Alerts:
    known = {key: value for key, value in in_force.alerts.items() if key in Alerts.__struct_fields__}
    return with_changes(Alerts(), known)
