"""A change of a camera's settings on its way: what it is about, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from edge_config.polygons import Polygons
from edge_config.settings.problems import KeyPath
from edge_config.settings.sections import Alerts, Camera
from edge_config.settings.settings_file import PlannedChange
from edge_config.wire.configure import ChangedValue, Configure
from runtime.app.configure.change_file import as_values
from runtime.events import Asked
from runtime.view import View


@dataclass(frozen=True, slots=True)
class Outlines:
    """The regions and ignored parts of a camera, as in its settings."""

    regions: Polygons | None
    ignore: Polygons | None

    @classmethod
    def of(cls, section: Camera) -> Outlines:
        """Take them from the settings of a camera."""
        return cls(section.regions, section.ignore)

    @property
    def view(self) -> View:
        """What is judged of the frames."""
        own = self.regions is not None or self.ignore is not None
        return View(self.regions or (), self.ignore or (), own)


@dataclass(slots=True)
class ChangeUnderWay:
    """The change that is being made.

    Attributes:
        asked: the request.
        camera: name of the camera.
        alerts, outlines: its settings afterwards; of an undo they are known once it is planned.
        step: what is waited for.
        planned: with `keep`: the change of the file.
        undoes: number of the kept change that is taken back.
        review: number of the review that is waited for.
        kept: number of the kept change, once it is written.
    """

    asked: Asked
    camera: str
    alerts: Alerts
    outlines: Outlines
    step: Literal["plan", "check", "write", "take"] = "plan"
    planned: PlannedChange | None = None
    undoes: int | None = None
    review: int | None = None
    kept: int | None = None


def named_keys(request: Configure) -> dict[KeyPath, Any]:
    """Return the keys that a request names, with their new values, as a file holds them."""
    named: dict[KeyPath, Any] = {("alerts", key): value for key, value in request.alerts.items()}
    if request.regions is not UNSET:
        named["regions",] = as_values(request.regions)
    if request.ignore is not UNSET:
        named["ignore",] = as_values(request.ignore)
    return named


def what_changes(alerts: Alerts, outlines: Outlines, new_alerts: Alerts, new_outlines: Outlines) -> list[ChangedValue]:
    """Return what changes of the settings in force."""
    old = {f"alerts.{key}": value for key, value in msgspec.to_builtins(alerts).items()}
    new = {f"alerts.{key}": value for key, value in msgspec.to_builtins(new_alerts).items()}
    old |= {"regions": as_values(outlines.regions), "ignore": as_values(outlines.ignore)}
    new |= {"regions": as_values(new_outlines.regions), "ignore": as_values(new_outlines.ignore)}
    return [ChangedValue(key=key, before=old[key], after=new[key]) for key in old if old[key] != new[key]]
