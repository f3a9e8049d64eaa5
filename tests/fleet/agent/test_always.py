"""Whatever happens to the agent, its runtime and the servers, in any order: what must hold in each case."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from edge_config.errors import NotWritten
from edge_config.wire.fleet import Assignment
from runtime.fleet.agent.core.memory import ENDS, CameraMemory
from runtime.fleet.store.signatures import sign
from tests.fleet.agent.device import OLD, Device, assignment
from tests.support.fakes.fleet_runtime import Bundle

CAMERAS = ("a", "b")
FORGED = "f" * 64

BEHAVIOURS = {
    "good": Bundle(),
    "parity": Bundle(refusal="parity"),
    "alerts": Bundle(alerts_per_s=1),
    "slow": Bundle(frame_ms=40),
    "moved": Bundle(state="moved"),
}
FAULTS = ("Stage", "Shadow", "Activate", "BringBack", "SetSettings", "UndoSettings", "Unstage", "save")
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
"""Without shrinking, which takes minutes: a story is short, and the log tells it."""

SETTLE_TURNS = 150
"""Turns after the last fault in which every device has come to an end: the longest watch has 12."""


class Killed(Exception):
    """The agent was killed."""


class Chaos:
    """Faults that are due: each is `(when, what)`, such as ("Activate answered", "kill")."""

    def __init__(self, device: Device) -> None:
        """Have the runtime and the memory of a device ask for faults."""
        self.due: list[tuple[str, str]] = []
        device.runtime.fault = self._at
        save = device.kept.save

        def kept(cameras: dict[str, CameraMemory]) -> None:
            if self._at("save"):
                raise NotWritten("the disk is full")
            save(cameras)
            self._at("save answered")

        device.kept.save = kept  # type: ignore[method-assign]

    def _at(self, name: str) -> bool:
        for fault in self.due:
            if fault[0] == name:
                self.due.remove(fault)
                if fault[1] == "kill":
                    raise Killed
                return True
        return False


MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a folder of its own in it
"""Where devices keep what they save: nothing of it outlives a test, and a disk takes half of the time."""

moments = st.sampled_from([*FAULTS, *(f"{name} answered" for name in FAULTS), "look"])
operations = st.one_of(
    st.tuples(st.just("turns"), st.integers(1, 20)),
    st.tuples(st.just("assign"), st.sampled_from(sorted(BEHAVIOURS))),
    st.tuples(st.just("settings"), st.sampled_from([2.0, 3.0, -1.0])),
    st.tuples(st.just("forge"), st.none()),
    st.tuples(st.just("fault"), st.tuples(moments, st.sampled_from(["lose", "kill"]))),
    st.tuples(st.just("restart runtime"), st.none()),
    st.tuples(st.just("restart agent"), st.none()),
    st.tuples(st.just("up"), st.booleans()),
    st.tuples(st.just("packs"), st.sampled_from(["", "no server"])),
)


class Story:
    """A device to which things happen."""

    def __init__(self, folder: Path) -> None:
        self.device = Device(folder, CAMERAS)
        self.chaos = Chaos(self.device)
        self.assigned: dict[str, str] = {}
        self.counter = 0
        self.last = ""

    async def turns(self, count: int) -> None:
        """Have turns pass; an agent that is killed is started again."""
        for _ in range(count):
            await self._turn()

    async def _turn(self) -> None:
        try:
            await self.device.step()
        except Killed:
            self.device.restart_agent()

    async def happen(self, what: str, more: Any) -> None:
        """Have one thing happen."""
        device = self.device
        match what:
            case "turns":
                await self.turns(more)
            case "assign" | "settings":
                self.counter += 1
                self._assign(what, more)
            case "forge":
                good = msgspec.json.decode(assignment(self.counter + 50, FORGED).payload, type=Assignment)
                device.assigned.take(sign(good, SigningKey.generate()))
            case "fault":
                self.chaos.due.append(more)
            case "restart runtime":
                device.runtime.restart()
            case "restart agent":
                device.restart_agent()
            case "up":
                device.runtime.up = more
            case _:
                device.packs.away = more

    def _assign(self, what: str, more: Any) -> None:
        if what == "assign":
            root = f"{self.counter:064x}"
            self.device.runtime.behaves[root] = BEHAVIOURS[more]
            self.assigned[root] = more
            self.device.assign(self.counter, root, shadow_s=10)
            self.last = root
        else:
            self.device.assign(self.counter, settings={"alerts": {"threshold": more}})

    async def settle(self) -> None:
        """Have the faults end, and time pass."""
        self.chaos.due.clear()
        self.device.runtime.up, self.device.packs.away = True, ""
        await self.turns(SETTLE_TURNS)


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(st.lists(operations, max_size=25))
def test_devices_converge_and_never_activate_twice(story: list[tuple[str, Any]]) -> None:
    """Only assigned bundles serve, each is activated at most once, and in the end it serves or is refused."""
    with TemporaryDirectory(dir=MEMORY) as folder:
        asyncio.run(_tell(Path(folder), story))


async def _tell(folder: Path, story: list[tuple[str, Any]]) -> None:
    its = Story(folder)
    device = its.device
    await its.turns(25)
    for what, more in story:
        await its.happen(what, more)
    await its.settle()

    for camera in CAMERAS:
        assert set(device.runtime.served[camera]) <= {OLD, *its.assigned}
        assert not [root for root in device.runtime.served[camera] if its.assigned.get(root) == "parity"]
    assert max(Counter(device.runtime.activated).values(), default=0) <= 1
    assert all(one.step in ENDS for one in device.agent.memories.values())
    if its.last:
        serving = {device.serving(camera) for camera in CAMERAS}
        assert (serving == {its.last}) == (its.assigned[its.last] == "good")
    assert device.report.phase != "waiting"
