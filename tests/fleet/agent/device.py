"""A simulated device of a fleet under one clock: its runtime, its bundles, its agent, and an operator its assigns."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from nacl.signing import SigningKey

from edge_config.wire.fleet import Assignment, DeviceReport, Signed
from runtime.fleet.agent.agent import Agent
from runtime.fleet.agent.core.reports import ThisDevice
from runtime.fleet.agent.desired import Assigned
from runtime.fleet.store.signatures import sign
from tests.support.fakes.fleet_runtime import FakeKept, FakePacks, FakeRuntime
from tests.support.fakes.fleet_store import FakeFleetStore

KEY = SigningKey(bytes(range(32)))
OPERATOR = f"ed25519:{bytes(KEY.verify_key).hex()}"

OLD = "0" * 64
GOOD = hashlib.sha256(b"good").hexdigest()
BAD = hashlib.sha256(b"bad").hexdigest()

STEP_S = 5.0
"""Time of one turn."""


def assignment(counter: int, root: str = "", **more: Any) -> Signed:
    """Return a signed assignment."""
    pack = {"root": root, "pack_sha256": "cd" * 32, "pack_bytes": 9} if root else {}
    fields = {"counter": counter, "target": "device:press-3", "watch_s": 60.0, "rollout": f"r{counter}"}
    return sign(msgspec.convert({**fields, **pack, **more}, Assignment), KEY)


class Device:
    """A device whose time passes only in `turns`.

    Attributes:
        now_s: its clock.
        phases: all phases of its reports, each once in a row.
    """

    def __init__(self, folder: Path, cameras: Sequence[str] = ("cam1",)) -> None:
        """Start it, with the bundle `OLD` in service."""
        self.now_s = 0.0
        self.cameras = cameras
        self.runtime = FakeRuntime(cameras, OLD, clock=lambda: self.now_s)
        self.packs, self.kept, self.store = FakePacks(), FakeKept(), FakeFleetStore()
        self.phases: list[str] = []
        self._folder = folder
        self.signed: list[Signed] = []
        self.restart_agent()

    def restart_agent(self) -> None:
        """Kill the agent, and start it again: it has what it saved, and gets again what is assigned."""
        assigned = Assigned("press-3", ("press",), {OPERATOR}, self._folder / "counters.json")
        for signed in self.signed:
            assigned.take(signed)
        this = ThisDevice("press-3", ("press",), "1", "boot")
        self.assigned = assigned
        self.agent = Agent(
            this,
            self.cameras,
            self.store,
            self.runtime,
            self.packs,
            assigned,
            self.kept,
            clock=lambda: self.now_s,
        )

    def assign(self, counter: int, root: str = "", **more: Any) -> None:
        """Assign something, and have it arrive."""
        self.signed.append(assignment(counter, root, **more))
        self.assigned.take(self.signed[-1])

    async def step(self, step_s: float = STEP_S) -> None:
        """Have a turn pass."""
        self.now_s += step_s
        await self.agent.turn()
        phase = self.report.phase
        if not self.phases or self.phases[-1] != phase:
            self.phases.append(phase)

    def turns(self, count: int = 60, step_s: float = STEP_S) -> None:
        """Have some turns pass."""

        async def run() -> None:
            for _ in range(count):
                await self.step(step_s)

        asyncio.run(run())

    @property
    def report(self) -> DeviceReport:
        """What the agent says now."""
        return self.agent.report()

    def serving(self, camera: str = "cam1") -> str:
        """Return the id of the bundle in service."""
        return self.runtime.serving(camera)
