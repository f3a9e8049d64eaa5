"""The state machine of a roll-out: from the reports of devices and the time to its next step. It does no I/O.

A roll-out is one record. `next_step` says what to do, `record.py` has the record after it, and `orders.py` the
assignments that follow from a record. The driver first writes the record, against its revision, and then the
assignments: a driver that dies in between is no loss, as the next one writes the same assignments, with the counters of
the record.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_config.duration import in_words
from edge_config.wire.fleet import Rollout
from runtime.fleet.rollout.judge import has_taken, is_in_place, trouble
from runtime.fleet.rollout.record import Reports, awaited, counter_of, taken
from runtime.fleet.rollout.stages import is_on


@dataclass(frozen=True)
class BeginStage:
    """Begin the next stage."""


@dataclass(frozen=True)
class Settle:
    """All devices of the stage are in place: the soak begins."""


@dataclass(frozen=True)
class Wait:
    """Wait for reports.

    Attributes:
        why: for what.
        until_ms: and no longer than until this time; None: for reports only.
    """

    why: str
    until_ms: int | None = None


@dataclass(frozen=True)
class StopRollout:
    """Stop, and take the stage back.

    Attributes:
        reason: which device, and why.
        failed: the devices that are the reason.
    """

    reason: str
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Finish:
    """All stages are in place."""


@dataclass(frozen=True)
class Over:
    """The roll-out does not go on: it is paused, done, stopped or rolled back."""


Step = BeginStage | Settle | Wait | StopRollout | Finish | Over


def next_step(rollout: Rollout, reports: Reports, now_ms: int) -> Step:
    """Return the next step of a roll-out.

    Args:
        rollout: its record.
        reports: newest report of each device.
        now_ms: the time, milliseconds since 1970 UTC.
    """
    if rollout.state != "running":
        return Over()
    wrong = {name: said for name in taken(rollout) if (said := _trouble(rollout, reports, name, now_ms))}
    if wrong:
        return StopRollout("; ".join(f"{name} {said}" for name, said in wrong.items()), tuple(wrong))
    if rollout.stage == 0:
        return BeginStage()
    return _missing(rollout, reports, now_ms) or _soak(rollout, reports, now_ms)


def _soak(rollout: Rollout, reports: Reports, now_ms: int) -> Step:
    """Return the next step where all devices of the stage are in place."""
    if not rollout.settled_ms:
        return Settle()
    soak_s = rollout.soak_s if awaited(rollout, reports) else 0.0  # a stage may have devices that are off only
    until_ms = rollout.settled_ms + round(1000 * soak_s)
    if now_ms < until_ms:
        return Wait(f"soak: {in_words((until_ms - now_ms) / 1000)} left", until_ms)
    return Finish() if rollout.stage == len(rollout.stages) else BeginStage()


def _trouble(rollout: Rollout, reports: Reports, name: str, now_ms: int) -> str:
    return trouble(rollout, reports.get(name), counter_of(rollout, name), now_ms)


def _missing(rollout: Rollout, reports: Reports, now_ms: int) -> Wait | None:
    """Return what the stage waits for; None if nothing is missing."""
    missing = [
        name
        for name in awaited(rollout, reports)
        if not is_in_place(rollout, reports.get(name), counter_of(rollout, name))
    ]
    if not missing:
        return None
    said = [f"{name} ({doing(rollout, reports, name, now_ms)})" for name in missing[:5]]
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""  # noqa: PLR2004 - as many as were named
    return Wait(f"waits for {', '.join(said)}{more}")


def doing(rollout: Rollout, reports: Reports, name: str, now_ms: int) -> str:
    """Return what a device does about the roll-out, in words."""
    report = reports.get(name)
    if report is None or not is_on(report, now_ms):
        return f"no report in {in_words((now_ms - report.at_ms) / 1000)}" if report else "no report"
    said = f": {report.reason}" if report.reason else ""
    if has_taken(rollout, report, counter_of(rollout, name)):
        return f"{report.phase}{said}"
    # Such as that it does not know the operator's key.
    return f"told{said}" if report.at_ms >= rollout.since_ms else "told"
