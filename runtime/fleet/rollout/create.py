"""A new roll-out: its devices, its stages, and what there was before."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from msgspec.structs import replace

from edge_config.errors import UsageError
from edge_config.wire.fleet import Assignment, Children, FleetBounds, Rollout
from runtime.fleet.rollout.drive import pack_of
from runtime.fleet.rollout.judge import roots_of
from runtime.fleet.rollout.operator_keys import OperatorKeys
from runtime.fleet.rollout.record import Reports, group_key
from runtime.fleet.rollout.stages import Division, StageShare, divide, members
from runtime.fleet.rollout.wanted import assigned_to, clashing, targets_of
from runtime.fleet.store.interface import Store


@dataclass(frozen=True, kw_only=True)
class RolloutWish:
    """What an operator asks for.

    Attributes:
        group: the group; empty: the named devices.
        devices: the named devices.
        root: id of the bundle; empty: settings only.
        camera: name of the camera; empty: each.
        settings: changes of settings; null: none.
        shares: how many devices have their assignment after each stage.
        soak_s, shadow_s, watch_s: as in `Rollout`.
        bounds, children, by: as in `Rollout`.
    """

    group: str
    devices: Collection[str]
    root: str
    camera: str
    settings: dict[str, Any] | None
    shares: Sequence[StageShare]
    soak_s: float
    shadow_s: float
    watch_s: float
    bounds: FleetBounds
    children: Children
    by: str


async def create(store: Store, keys: OperatorKeys, wish: RolloutWish, now_ms: int) -> tuple[Rollout, Division]:
    """Return the record of a new roll-out, which is not in the store yet, and how its devices were divided.

    Raises:
        UsageError: no such devices, or another roll-out of them is not over.
        PackMissing: the bundle is not in the store, or one that a device would have to go back to.
        AssignmentKeyUnknown: somebody whom this operator does not know has assigned them something.
    """
    reports = await store.reports()
    names = members(reports, wish.group, wish.devices)
    division = divide(reports, names, wish.camera, wish.shares, now_ms)
    chosen = tuple(name for stage in division.stages for name in stage)
    began = datetime.fromtimestamp(now_ms / 1000, timezone.utc)
    rollout = Rollout(
        id=f"{began:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        by=wish.by,
        at_ms=now_ms,
        group=wish.group,
        devices=chosen,
        camera=wish.camera,
        root=wish.root,
        settings=wish.settings,
        children=wish.children,
        stages=division.stages,
        soak_s=wish.soak_s,
        shadow_s=wish.shadow_s,
        watch_s=wish.watch_s,
        bounds=wish.bounds,
        since_ms=now_ms,
    )
    for other in clashing(await store.rollouts(), rollout):
        if other.state in ("running", "paused"):
            remedy = f"`patchedge fleet resume {other.id}`, or `patchedge fleet rollback {other.id}`"
            raise UsageError(f"roll-out {other.id} of these devices is {other.state}", remedy=remedy)
    rollout = with_before(rollout, await keys.assigned(store, _targets(rollout, reports)), reports)
    if rollout.root:
        await _need_packs(store, rollout)
    return rollout, division


def _targets(rollout: Rollout, reports: Reports) -> set[str]:
    """Return what the devices of a roll-out, and its group, are called in assignments."""
    targets = {group_key(rollout)} if rollout.group else set[str]()
    return targets.union(*(targets_of(name, reports[name].groups) for name in rollout.devices))


def with_before(rollout: Rollout, assignments: Sequence[Assignment], reports: Reports) -> Rollout:
    """Return the record with what its devices and its group had before."""
    before = {name: roots_of(reports[name], rollout.camera) for name in rollout.devices}
    settings_before: dict[str, dict[str, dict[str, Any]]] = {}
    for name in rollout.devices:
        _, settings_before[name] = assigned_to(assignments, targets_of(name, reports[name].groups), rollout)
    if rollout.group:
        roots, settings = assigned_to(assignments, {group_key(rollout)}, rollout)
        before |= {group_key(rollout): roots} if roots else {}
        settings_before |= {group_key(rollout): settings} if settings else {}
    return replace(rollout, before=before, settings_before={name: one for name, one in settings_before.items() if one})


async def _need_packs(store: Store, rollout: Rollout) -> None:
    """Check that there is a way back before there is one forward."""
    for root in dict.fromkeys((rollout.root, *(one for had in rollout.before.values() for one in had.values()))):
        await pack_of(store, root, rollout)


def need_last(rollouts: dict[str, Rollout], mine: Rollout) -> None:
    """Check that no later roll-out has changed the same devices.

    Raises:
        UsageError: one has: it must be taken back first.
    """
    for other in clashing(rollouts, mine):
        if other.at_ms > mine.at_ms and other.state != "rolled back":
            remedy = f"take that back first: `patchedge fleet rollback {other.id}`"
            raise UsageError(f"roll-out {other.id} came later", where=f"roll-out {mine.id}", remedy=remedy)
