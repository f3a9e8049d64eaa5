"""The record of a roll-out: which devices it has reached, and what it is after a step. It does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from edge_config.wire.fleet import DeviceReport, Rollout
from runtime.fleet.rollout.judge import baseline_of, is_overtaken, roots_of
from runtime.fleet.rollout.stages import is_ready

Reports = Mapping[str, DeviceReport]


def awaited(rollout: Rollout, reports: Reports) -> list[str]:
    """Return the devices that the stage waits for: none that were off and have not come back."""
    return [
        name
        for name in told(rollout)
        if name in rollout.baseline or ((report := reports.get(name)) and report.at_ms >= rollout.since_ms)
    ]


def told(rollout: Rollout) -> list[str]:
    """Return the devices of the stage that get an assignment of their own.

    Those of a group that are off get that of the group, which is written when all others have it in place.
    """
    return [name for name in rollout.stages[rollout.stage - 1] if name in rollout.baseline or not rollout.group]


def taken(rollout: Rollout) -> list[str]:
    """Return the devices that have got an assignment, in the order of the stages."""
    of_all = rollout.group and group_key(rollout) in rollout.counters
    return [
        name
        for stage in rollout.stages[: rollout.stage]
        for name in stage
        if of_all or name in rollout.baseline or not rollout.group
    ]


def counter_of(rollout: Rollout, name: str) -> int:
    """Return the counter of the newest assignment of a device, its own or that of its group; 0: none."""
    cameras = {**rollout.before.get(name, {}), **rollout.settings_before.get(name, {})}
    keys = (name, group_key(rollout), *(f"{name}/{camera}" for camera in cameras))
    return max(rollout.counters.get(key, 0) for key in keys)


def group_key(rollout: Rollout) -> str:
    """Return the key of the group in `counters`, `before` and `back`."""
    return f"group:{rollout.group}"


def begun(rollout: Rollout, reports: Reports, now_ms: int) -> Rollout:
    """Return the record when the next stage begins: devices that are off by now are moved to the last one."""
    number = rollout.stage
    stages = list(rollout.stages)
    while number < len(stages) - 1:
        off = tuple(name for name in stages[number] if not is_ready(reports.get(name), rollout.camera, now_ms))
        stages[-1] = (*stages[-1], *off)
        stages[number] = tuple(name for name in stages[number] if name not in off)
        if stages[number]:
            break
        del stages[number]
    on = [name for name in stages[number] if is_ready(reports.get(name), rollout.camera, now_ms)]
    return replace(
        rollout,
        stages=tuple(stages),
        stage=number + 1,
        since_ms=now_ms,
        settled_ms=0,
        baseline={**rollout.baseline, **{name: baseline_of(reports[name], rollout.camera) for name in on}},
        before={
            **rollout.before,
            **{name: roots_of(reports[name], rollout.camera) for name in stages[number] if name in reports},
        },
    )


def settled(rollout: Rollout, now_ms: int) -> Rollout:
    """Return the record when the soak begins."""
    return replace(rollout, settled_ms=now_ms)


def finished(rollout: Rollout, now_ms: int) -> Rollout:
    """Return the record when all stages are in place."""
    return replace(rollout, state="done", since_ms=now_ms)


def paused(rollout: Rollout, now_ms: int, reason: str) -> Rollout:
    """Return the record of a roll-out that waits for `resume`."""
    return replace(rollout, state="paused", reason=reason, since_ms=now_ms)


def resumed(rollout: Rollout, by: str) -> Rollout:
    """Return the record of a roll-out that goes on; the stage that is under way is the same."""
    return replace(rollout, state="running", reason="", by=by)


def stopped(rollout: Rollout, reason: str, failed: Sequence[str], reports: Reports, now_ms: int) -> Rollout:
    """Return the record of a roll-out that stopped: its stage goes back, and so do devices of earlier ones that failed.

    Devices with a newer assignment of somebody else keep that.
    """
    of_stage = told(rollout) if rollout.stage else []
    back = [*of_stage, *(name for name in failed if name not in of_stage)]
    return _back(replace(rollout, state="stopped", reason=reason, since_ms=now_ms), back, reports)


def rolled_back(rollout: Rollout, reports: Reports, now_ms: int, reason: str) -> Rollout:
    """Return the record of a roll-out that is taken back from all its devices."""
    return _back(replace(rollout, state="rolled back", reason=reason, since_ms=now_ms), taken(rollout), reports)


def _back(rollout: Rollout, names: Sequence[str], reports: Reports) -> Rollout:
    """Return the record with the devices that go back; their new counters are still to come."""
    back = dict.fromkeys((*rollout.back, *names))
    mine = (name for name in back if not is_overtaken(rollout, reports.get(name), counter_of(rollout, name)))
    return replace(rollout, back=tuple(mine))
