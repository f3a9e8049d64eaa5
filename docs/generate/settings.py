"""The settings of a device, of the bridge and of the page, section by section."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from docs.generate.describe import Field, allowed, attributes, default, fields, summary, table
from edge_config.settings import bridge, fleet, learning, page, sections
from edge_config.settings.device import Settings

SECTIONS: Mapping[str, type[msgspec.Struct]] = {
    "top-level": Settings,
    "cameras": sections.Camera,
    "alerts": sections.Alerts,
    "provider": sections.Provider,
    "capture": sections.Capture,
    "events": sections.Events,
    "control": sections.ControlSettings,
    "metrics": sections.MetricsSettings,
    "degrade": sections.DegradeSettings,
    "journal": sections.JournalSettings,
    "clips": sections.Clips,
    "learning": learning.Learning,
    "security": sections.Security,
    "trust": sections.Trust,
    "fleet": fleet.FleetOfDevice,
    "bridge": bridge.Bridge,
    "devices": bridge.Device,
    "mqtt": bridge.Mqtt,
    "nats": bridge.Nats,
    "page": page.PageSettings,
    "page-devices": page.ShownDevice,
    "page-store": page.StoreSettings,
    "page-access": page.PageAccess,
    "page-tls": page.PageTls,
    "page-proxy": page.PageProxy,
    "page-fleet": fleet.FleetOfPage,
    "fleet-operator": fleet.FleetSettings,
}
"""Heading on the page -> the section that it describes."""

_LINKS = {kind: f"section [`{name}`](#{name})" for name, kind in SECTIONS.items()} | {
    sections.Camera: "sections [`cameras.NAME`](#cameras)",
    fleet.FleetOfPage: "section [`fleet`](fleet.md#page-fleet)",
    sections.Provider: "`auto`, or names or [sections](#provider)",
}


def section(name: str) -> str:
    """Return the summary and the table of keys of a section."""
    return f"{summary(SECTIONS[name])}\n\n{keys(name)}"


def keys(name: str) -> str:
    """Return the table of keys of a section."""
    kind = SECTIONS[name]
    said = attributes(kind)
    rows = [
        (f"`{field.name}`", _allowed(field), default(field) or _required(field), said[field.name])
        for field in fields(kind)
    ]
    return table(("Key", "Allowed", "Default", "Meaning"), rows)


def _required(field: Field) -> str:
    return "**required**" if field.required else ""


def _allowed(field: Field) -> str:
    inner = next((kind for kind in _LINKS if _holds(field.type, kind)), None)
    return allowed(field.type) if inner is None else _LINKS[inner]


def _holds(kind: object, section_: type) -> bool:
    """Return whether a type is a section, or has it inside."""
    return kind is section_ or any(_holds(one, section_) for one in getattr(kind, "__args__", ()))


FILLERS: dict[str, Callable[..., str]] = {"section": section, "keys": keys}
