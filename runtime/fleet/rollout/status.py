"""What is known of the fleet: devices, what each should run and runs, and roll-outs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from edge_config.wire.fleet import Assignment, CameraReport, DeviceReport, FleetPhase, Rollout, RolloutState
from runtime.fleet.rollout.judge import is_in_place, is_overtaken
from runtime.fleet.rollout.record import counter_of, taken
from runtime.fleet.rollout.stages import is_on
from runtime.fleet.rollout.wanted import targets_of, wanted


class FleetCamera(msgspec.Struct, frozen=True, kw_only=True):
    """A camera of a device of the fleet.

    Attributes:
        camera: its name.
        state: its state.
        wanted: id of the bundle that it should run; empty: nothing was assigned.
        wanted_by: whose assignment that is: device:NAME or group:NAME; empty without one.
        settings_wanted: keys of the settings that were assigned.
        root: id of the bundle that the one in service comes from.
        active: id of the bundle in service.
        in_place: whether it runs what it should, or a bundle that it learnt from that and may serve.
        round: rounds of learning between `root` and `active`; 0: the root itself serves.
        learnt: number of pictures that were learnt on the device since the root.
        would_drop: whether that would be dropped by what is assigned: another root, or the root itself only.
        settings_changed: keys that were changed on the device.
        threshold: threshold in force.
        fps: scored frames per second.
        frame_ms_p95: time of a frame, the 95th percentile, milliseconds.
        alerts_per_hour: alerts per hour.
        drift: what drifts, a sentence; empty: nothing.
        bundle_problem: why a bundle was refused; empty if none was.
    """

    camera: str
    state: str
    wanted: str
    wanted_by: str
    settings_wanted: list[str]
    root: str
    active: str
    in_place: bool
    round: int
    learnt: int
    would_drop: bool
    settings_changed: list[str]
    threshold: float
    fps: float
    frame_ms_p95: float
    alerts_per_hour: float
    drift: str
    bundle_problem: str


class FleetDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device of the fleet, by its newest report.

    Attributes:
        device: its name.
        groups: groups that its settings name.
        version: version of patchedge.
        at_ms: time of the report.
        on: whether it has reported lately.
        phase: what it does about its newest assignment.
        reason: why, a sentence; empty if there is nothing to say.
        counter: counter of the newest assignment that it accepted; 0: none.
        counter_wanted: counter of the newest assignment that is for it; 0: none.
        rollout: roll-out of the assignment that it accepted; empty: none.
        cameras: its cameras.
    """

    device: str
    groups: list[str]
    version: str
    at_ms: int
    on: bool
    phase: FleetPhase
    reason: str
    counter: int
    counter_wanted: int
    rollout: str
    cameras: list[FleetCamera]


class FleetRollout(msgspec.Struct, frozen=True, kw_only=True):
    """A roll-out.

    Attributes:
        id: its id.
        by: name of the operator that began it, or went on with it.
        at_ms: when it began.
        group: the group that it is for; empty: the devices were named.
        camera: name of the camera; empty: each.
        root: id of the bundle; empty: settings only.
        settings: keys of its settings.
        state: running, paused, done, stopped or rolled back.
        reason: why it has stopped, is paused or was taken back.
        since_ms: when the stage or the state began.
        stage: number of the stage that is under way, from 1; 0: none yet.
        stages: devices of each stage.
        told: number of devices that have got an assignment of it.
        in_place: number of those that report that it is in place.
        back: devices that go back, or went back.
        came_back: those of `back` that report it, or have something newer.
    """

    id: str
    by: str
    at_ms: int
    group: str
    camera: str
    root: str
    settings: list[str]
    state: RolloutState
    reason: str
    since_ms: int
    stage: int
    stages: list[list[str]]
    told: int
    in_place: int
    back: list[str]
    came_back: list[str]


class FleetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The fleet as it is now.

    Attributes:
        at_ms: when it was asked.
        devices: all devices that have ever reported, or those of a roll-out, by name.
        rollouts: roll-outs, the newest first.
    """

    at_ms: int
    devices: list[FleetDevice]
    rollouts: list[FleetRollout]


def status_of(
    reports: Mapping[str, DeviceReport],
    assignments: Iterable[Assignment],
    rollouts: Mapping[str, Rollout],
    now_ms: int,
) -> FleetStatus:
    """Return what is known of the fleet."""
    all_ = list(assignments)
    newest = sorted(rollouts.values(), key=lambda one: one.at_ms, reverse=True)
    return FleetStatus(
        at_ms=now_ms,
        devices=[_device(report, all_, now_ms) for _, report in sorted(reports.items())],
        rollouts=[_rollout(one, reports) for one in newest],
    )


def about(status: FleetStatus, rollout: Rollout) -> FleetStatus:
    """Return what is known of one roll-out and its devices."""
    return FleetStatus(
        at_ms=status.at_ms,
        devices=[one for one in status.devices if one.device in rollout.devices],
        rollouts=[one for one in status.rollouts if one.id == rollout.id],
    )


def _device(report: DeviceReport, assignments: Iterable[Assignment], now_ms: int) -> FleetDevice:
    targets = targets_of(report.device, report.groups)
    mine = [one for one in assignments if one.target in targets]
    return FleetDevice(
        device=report.device,
        groups=list(report.groups),
        version=report.version,
        at_ms=report.at_ms,
        on=is_on(report, now_ms),
        phase=report.phase,
        reason=report.reason,
        counter=report.counter,
        counter_wanted=max((one.counter for one in mine), default=0),
        rollout=report.rollout,
        cameras=[_camera(one, mine) for one in report.cameras],
    )


def _camera(report: CameraReport, assignments: Iterable[Assignment]) -> FleetCamera:
    want = wanted(assignments, {one.target for one in assignments}, report.camera)
    serves = report.root == want.root and (want.children == "keep" or report.active == want.root)
    return FleetCamera(
        camera=report.camera,
        state=report.state,
        wanted=want.root,
        wanted_by=want.target,
        settings_wanted=sorted(want.settings or {}),
        root=report.root,
        active=report.active,
        in_place=not want.root or serves,
        round=report.round,
        learnt=report.learnt,
        would_drop=bool(want.root and report.round and not serves),
        settings_changed=list(report.settings_changed),
        threshold=report.threshold,
        fps=report.fps,
        frame_ms_p95=report.frame_ms_p95,
        alerts_per_hour=report.alerts_per_hour,
        drift=report.drift,
        bundle_problem=report.bundle_problem,
    )


def _rollout(rollout: Rollout, reports: Mapping[str, DeviceReport]) -> FleetRollout:
    told = [name for name in taken(rollout) if name not in rollout.back]
    return FleetRollout(
        id=rollout.id,
        by=rollout.by,
        at_ms=rollout.at_ms,
        group=rollout.group,
        camera=rollout.camera,
        root=rollout.root,
        settings=sorted(rollout.settings or {}),
        state=rollout.state,
        reason=rollout.reason,
        since_ms=rollout.since_ms,
        stage=rollout.stage,
        stages=[list(stage) for stage in rollout.stages],
        told=len(told),
        in_place=sum(is_in_place(rollout, reports.get(name), counter_of(rollout, name)) for name in told),
        back=list(rollout.back),
        came_back=[name for name in rollout.back if _came_back(rollout, reports.get(name))],
    )


def _came_back(rollout: Rollout, report: DeviceReport | None) -> bool:
    if report is None:
        return False
    counter = counter_of(rollout, report.device)
    return is_in_place(rollout, report, counter) or is_overtaken(rollout, report, counter)
