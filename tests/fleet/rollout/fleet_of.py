"""A fleet of invented devices for the tests of roll-outs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from edge_config.wire.fleet import CameraReport, DeviceReport, Rollout
from runtime.fleet.rollout.stages import StageShare, divide

OLD, NEW, OTHER = "0a" * 32, "0b" * 32, "0c" * 32
NOW_MS = 1_800_000_000_000


def report(name: str, *, root: str = OLD, age_ms: int = 0, **more: Any) -> DeviceReport:
    """Return the report of a device of the group press with the camera belt."""
    camera = {"camera": "belt", "state": "live", "root": root, "active": root, **more.pop("camera", {})}
    fields = {"groups": ("press",), "at_ms": NOW_MS - age_ms, **more}
    return DeviceReport(device=name, cameras=(msgspec.convert(camera, CameraReport),), **fields)


def names(count: int) -> Iterator[str]:
    """Yield names of devices, in order."""
    return (f"edge-{number:03d}" for number in range(1, count + 1))


def rollout_of(reports: dict[str, DeviceReport], *shares: str, **more: Any) -> Rollout:
    """Return the record of a roll-out of the bundle NEW to all of these devices, before its first stage."""
    division = divide(reports, sorted(reports), "", [StageShare(one) for one in shares or ("100%",)], NOW_MS)
    devices = tuple(name for stage in division.stages for name in stage)
    fields = {"group": "press", "root": NEW, "stages": division.stages, "devices": devices, "since_ms": NOW_MS}
    return Rollout(id="r-1", **{**fields, **more})
