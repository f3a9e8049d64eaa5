"""What a device should run, by all the assignments that there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from edge_config.wire.fleet import Assignment, Rollout


class WantedCamera(msgspec.Struct, frozen=True, kw_only=True):
    """What a camera should run.

    Attributes:
        root: id of the bundle; empty: nothing was assigned.
        settings: settings that were assigned; null: none.
        children: `keep`: a bundle that was learnt from `root` may serve in its place.
        counter: counter of the newest assignment that concerns the camera.
        target: whose assignment the bundle is: device:NAME or group:NAME; empty without one.
    """

    root: str = ""
    settings: dict[str, Any] | None = None
    children: str = "keep"
    counter: int = 0
    target: str = ""


def targets_of(device: str, groups: Iterable[str]) -> set[str]:
    """Return the names of a device, as assignments have them."""
    return {f"device:{device}", *(f"group:{group}" for group in groups)}


def wanted(assignments: Iterable[Assignment], targets: Collection[str], camera: str) -> WantedCamera:
    """Return what a camera should run: the highest counter with a bundle, and the highest with settings, hold."""
    mine = sorted(
        (one for one in assignments if one.target in targets and one.camera in ("", camera)),
        key=lambda one: one.counter,
    )
    roots, settings = [one for one in mine if one.root], [one for one in mine if one.settings is not None]
    return WantedCamera(
        root=roots[-1].root if roots else "",
        settings=(settings[-1].settings or None) if settings else None,
        children=roots[-1].children if roots else "keep",
        counter=mine[-1].counter if mine else 0,
        target=roots[-1].target if roots else "",
    )


def assigned_to(
    assignments: Iterable[Assignment], targets: Collection[str], rollout: Rollout
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return the bundles and the settings that these targets were assigned for the cameras of a roll-out.

    Returns:
        Camera -> bundle, and camera -> settings; the camera is empty where the assignment is for all.
    """
    about = [one for one in assignments if one.target in targets and _overlaps(one.camera, rollout.camera)]
    roots: dict[str, str] = {}
    settings: dict[str, dict[str, Any]] = {}
    for one in sorted(about, key=lambda one: one.counter):
        if one.root:
            roots[one.camera] = one.root
        if one.settings is not None:
            settings[one.camera] = one.settings
    return roots, settings


def _overlaps(camera: str, other: str) -> bool:
    return not camera or not other or camera == other


def clashing(rollouts: Mapping[str, Rollout], mine: Rollout) -> Iterable[Rollout]:
    """Return other roll-outs that share devices, or the group, and cameras with one, and bundles or settings."""
    for other in rollouts.values():
        shares = not set(other.devices).isdisjoint(mine.devices) or (mine.group and mine.group == other.group)
        same = (other.root and mine.root) or (other.settings is not None and mine.settings is not None)
        if other.id != mine.id and shares and same and _overlaps(other.camera, mine.camera):
            yield other
