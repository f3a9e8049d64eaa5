"""The assignments that follow from the record of a roll-out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_config.wire.fleet import Rollout
from runtime.fleet.rollout.record import group_key, told

Settings = dict[str, Any] | None


@dataclass(frozen=True)
class PlannedAssignment:
    """An assignment that is to be written, without its counter and signature.

    Attributes:
        key: its key in `Rollout.counters`: the device, or `group:NAME`; with `/CAMERA` where each camera has its own.
        target: as in an assignment.
        camera: as in an assignment.
        root: as in an assignment.
        settings: as in an assignment.
        is_back: whether it takes something back: nothing is shadowed or watched then.
    """

    key: str
    target: str
    camera: str
    root: str
    settings: Settings
    is_back: bool = False


def orders(rollout: Rollout) -> list[PlannedAssignment]:
    """Return the assignments that follow from a record: those of its stage, of its end, or those that take it back."""
    if rollout.state in ("stopped", "rolled back"):
        return list(_orders_back(rollout))
    if rollout.stage == 0:
        return []
    if rollout.state == "done":
        return [_forward(rollout, group_key(rollout), group_key(rollout))] if rollout.group else []
    return [_forward(rollout, name, f"device:{name}") for name in told(rollout)]


def _forward(rollout: Rollout, key: str, target: str) -> PlannedAssignment:
    return PlannedAssignment(key, target, rollout.camera, rollout.root, rollout.settings)


def _orders_back(rollout: Rollout) -> Iterator[PlannedAssignment]:
    # The group first: assignments of devices then have higher counters, and hold.
    if rollout.group and group_key(rollout) in rollout.counters:
        yield from _before(rollout, group_key(rollout), group_key(rollout), *_group_before(rollout))
    for name in rollout.back:
        what = rollout.before.get(name, {}), rollout.settings_before.get(name, {})
        yield from _before(rollout, name, f"device:{name}", *what)


def _group_before(rollout: Rollout) -> tuple[Mapping[str, str], Mapping[str, Settings]]:
    """Return what the group was assigned before; if nothing was, what most of its devices had."""
    key = group_key(rollout)
    if key in rollout.before or key in rollout.settings_before:
        return rollout.before.get(key, {}), rollout.settings_before.get(key, {})
    had: dict[str, Counter[str]] = {}
    for roots in rollout.before.values():
        for camera, root in roots.items():
            had.setdefault(camera, Counter())[root] += 1
    return {camera: roots.most_common(1)[0][0] for camera, roots in had.items()}, {}


def _before(
    rollout: Rollout, key: str, target: str, roots: Mapping[str, str], settings: Mapping[str, Settings]
) -> Iterator[PlannedAssignment]:
    """Yield assignments of what there was before; without settings before, the device takes its own ones again."""
    if rollout.root:
        what = {camera: (roots[camera], _settings(rollout, settings, camera)) for camera in sorted(roots)}
    else:
        what = {camera: ("", _settings(rollout, settings, camera)) for camera in sorted(settings) or [rollout.camera]}
    if len(set(map(str, what.values()))) == 1:
        yield PlannedAssignment(key, target, rollout.camera, *next(iter(what.values())), is_back=True)
        return
    for camera, (root, had) in what.items():
        yield PlannedAssignment(f"{key}/{camera}" if camera else key, target, camera, root, had, is_back=True)


def _settings(rollout: Rollout, settings: Mapping[str, Settings], camera: str) -> Settings:
    if rollout.settings is None:
        return None
    return settings.get(camera, settings.get("", {})) or {}
