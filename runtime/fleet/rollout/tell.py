"""What a command says while a roll-out goes on: a line for each change."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

from edge_config.duration import in_words
from edge_config.wire.fleet import Rollout
from runtime.fleet.rollout.judge import has_taken, is_in_place
from runtime.fleet.rollout.machine import Wait
from runtime.fleet.rollout.record import Reports, awaited, counter_of, told

MAX_NAMED = 8
"""Maximum number of devices of a stage that are named, with a line for each change of one."""

EVERY_S = 5.0
"""Minimum interval of lines about a larger stage, seconds."""


class Tell:
    """Prints what happens."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Begin with nothing said; `say` prints a line."""
        self._say = say
        self._phases: dict[str, str] = {}
        self._said_s = 0.0
        self._line = ""

    def stage(self, rollout: Rollout) -> None:
        """Say that a stage has begun."""
        names = told(rollout)
        later = len(rollout.stages[rollout.stage - 1]) - len(names)
        named = f": {', '.join(names)}" if 0 < len(names) <= MAX_NAMED else ""
        off = f"; {later} more are off and follow by the group's assignment" if later else ""
        self._say(f"{_stage(rollout)}: {_devices(len(names))}{named}{off}")

    def settled(self, rollout: Rollout) -> None:
        """Say that a stage is in place."""
        soak = ""
        if rollout.soak_s and told(rollout):
            until = datetime.fromtimestamp(rollout.settled_ms / 1000 + rollout.soak_s, timezone.utc)
            soak = f"; soak {in_words(rollout.soak_s)}, until {until:%Y-%m-%d %H:%M:%S} UTC"
        self._say(f"{_stage(rollout)}: in place{soak}")

    def waits(self, rollout: Rollout, reports: Reports, wait: Wait) -> None:
        """Say what has changed of the devices of the stage."""
        if wait.until_ms is not None:
            return
        names = awaited(rollout, reports)
        phases: dict[str, str] = {}
        for name in names:
            report = reports.get(name)
            counter = counter_of(rollout, name)
            if report is not None and has_taken(rollout, report, counter):
                phases[name] = f"{report.phase}{f': {report.reason}' if report.reason else ''}"
        if len(names) <= MAX_NAMED:
            for name, phase in phases.items():
                if self._phases.get(name) != phase:
                    self._say(f"  {name}: {phase}")
        else:
            done = sum(is_in_place(rollout, reports.get(name), counter_of(rollout, name)) for name in names)
            line = f"  {done} of {len(names)} in place; {wait.why}"
            if line != self._line and time.monotonic() - self._said_s >= EVERY_S:
                self._line, self._said_s = line, time.monotonic()
                self._say(line)
        self._phases = phases


def ending(rollout: Rollout) -> str:
    """Return how a roll-out has ended, in words."""
    if rollout.state == "done":
        off = sum(name not in rollout.baseline for name in rollout.devices) if rollout.group else 0
        follow = f"; {_devices(off)} off, to follow" if off else ""
        return f"roll-out {rollout.id}: done, in place on {_devices(len(rollout.devices) - off)}{follow}"
    back = f"; going back: {', '.join(rollout.back)}" if rollout.back else ""
    return f"roll-out {rollout.id}: {rollout.state}: {rollout.reason}{back}"


def _stage(rollout: Rollout) -> str:
    return f"stage {rollout.stage} of {len(rollout.stages)}"


def _devices(count: int) -> str:
    return f"{count} device{'' if count == 1 else 's'}"
