"""What a command says while a roll-out goes on: a line for each change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from edge_config.duration import in_words
from edge_config.wire.fleet import Rollout
from runtime.fleet.rollout.judge import is_in_place
from runtime.fleet.rollout.machine import Wait, doing
from runtime.fleet.rollout.record import Reports, awaited, counter_of, told
from runtime.fleet.rollout.stages import Division, cameras_of

MAX_NAMED = 8
"""Maximum number of devices of a stage that are named, with a line for each change of one."""

EVERY_S = 5.0
"""Minimum interval of lines about a larger stage, seconds."""


class Tell:
    """Prints what happens."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Begin with nothing said; `say` prints a line."""
        self._say = say
        self._has_said = False
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
        self._has_said = True

    def waits(self, rollout: Rollout, reports: Reports, wait: Wait, now_ms: int) -> None:
        """Say what has changed of the devices of the stage."""
        if wait.until_ms is not None:
            if not self._has_said:  # a command that goes on with what another one began
                self._say(f"{_stage(rollout)}: in place; {wait.why}")
                self._has_said = True
            return
        names = awaited(rollout, reports)
        phases = {name: doing(rollout, reports, name, now_ms) for name in names[:MAX_NAMED]}
        if len(names) <= MAX_NAMED:
            for name, phase in phases.items():
                if phase != "told" and self._phases.get(name) != phase:
                    self._say(f"  {name}: {phase}")
        else:
            done = sum(is_in_place(rollout, reports.get(name), counter_of(rollout, name)) for name in names)
            line = f"  {done} of {len(names)} in place; {wait.why}"
            if line != self._line and time.monotonic() - self._said_s >= EVERY_S:
                self._line, self._said_s = line, time.monotonic()
                self._say(line)
        self._phases = phases


def beginning(rollout: Rollout, division: Division, reports: Reports) -> Iterator[str]:
    """Yield what a new roll-out will do, whom it leaves out, and which lessons the new bundle does not have."""
    what = " and ".join(
        filter(None, (f"bundle {rollout.root[:12]}" if rollout.root else "", "settings" if rollout.settings else ""))
    )
    of = f" of group {rollout.group}" if rollout.group else ""
    camera = f", camera {rollout.camera}" if rollout.camera else ""
    stages = f"{len(rollout.stages)} stage{'' if len(rollout.stages) == 1 else 's'}"
    yield f"roll-out {rollout.id}: {what} to {_devices(len(rollout.devices))}{of}{camera}, in {stages}"
    if division.without:
        yield f"  left out, without a camera {rollout.camera}: {', '.join(division.without)}"
    if division.off:
        yield f"  off now, to follow: {', '.join(division.off)}"
    if not rollout.root:
        return
    for name in rollout.devices:
        for one in cameras_of(reports[name], rollout.camera):
            if one.round and (one.root != rollout.root or rollout.children == "drop") and one.active != rollout.root:
                lost = f"{_pictures(one.learnt)} that it learnt in {one.round} round{'s' * (one.round > 1)}"
                keep = f"`patchedge fleet pull {name} --camera {one.camera} --out FILE.pack` fetches them first"
                yield f"  {name}, camera {one.camera}: {lost} are not in this bundle; {keep}"


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


def _pictures(count: int) -> str:
    return f"{count} picture{'' if count == 1 else 's'}"


def _devices(count: int) -> str:
    return f"{count} device{'' if count == 1 else 's'}"
