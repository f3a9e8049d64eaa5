"""A simulated device: the real agent, connection, packs and memory on a disk, over a runtime that is simulated."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_config.settings.fleet import FleetOfDevice
from edge_config.settings.sections import Trust
from runtime.fleet.agent.agent import Agent, Pace
from runtime.fleet.agent.core.reports import ThisDevice
from runtime.fleet.agent.desired import Assigned
from runtime.fleet.agent.kept import KeptFile
from runtime.fleet.agent.packs import Packs
from runtime.fleet.store.store import FleetStore
from runtime.security.trust import Judge
from tests.programs.fleet.tempo import Tempo
from tests.support.fakes.fleet_runtime import Bundle, FakeRuntime

CAMERA = "belt"
GROUP = "press"
MAX_BYTES = 64 << 20

ENOUGH_S = 20.0
NOT_ENDED = "not-ended"
"""File of a device whose agent did not end when it was told to."""


class HostPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a process with simulated devices is told.

    Attributes:
        folder: of all devices.
        servers: addresses of the servers.
        operator: public key of the operator.
        trusted: public key of the workshop.
        devices: names of the devices.
        root: id of the bundle of their settings.
        behaves: device -> bundle -> how it behaves there.
        tempo: of the run.
        lost: share of the answers of a runtime that are lost.
    """

    folder: str
    servers: tuple[str, ...]
    operator: str
    trusted: str
    devices: tuple[str, ...]
    root: str
    behaves: dict[str, dict[str, Bundle]]
    tempo: Tempo
    lost: float = 0.0


class ServedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a runtime's own log: from now on a bundle serves.

    Attributes:
        at_ms: when.
        serves: the bundle.
        assigned: root that was assigned.
        before: what it would go back to: its root and the bundle.
    """

    at_ms: int
    serves: str
    assigned: str
    before: tuple[str, str] | None


class LoggedRuntime(FakeRuntime):
    """A simulated runtime that survives the death of its process, as a real one does: by what it wrote to the disk."""

    def __init__(self, log: Path, root: str, behaves: Mapping[str, Bundle]) -> None:
        """Go on from the last line of its log."""
        self._log = log
        lines = served(log)
        super().__init__((CAMERA,), root, check_s=0.2)
        self.behaves = dict(behaves)
        if lines:
            its = self._cameras[CAMERA]
            its.active, its.assigned, its.before = lines[-1].serves, lines[-1].assigned, lines[-1].before

    def _serve(self, camera: str, bundle: str) -> None:
        super()._serve(camera, bundle)
        its = self._cameras[camera]
        line = ServedLine(at_ms=time.time_ns() // 10**6, serves=bundle, assigned=its.assigned, before=its.before)
        with self._log.open("ab") as stream:
            stream.write(msgspec.json.encode(line) + b"\n")


def served(log: Path) -> list[ServedLine]:
    """Return the lines of the log of a runtime."""
    text = log.read_bytes() if log.exists() else b""
    return [msgspec.json.decode(line, type=ServedLine) for line in text.splitlines()]


def log_of(folder: Path, device: str) -> Path:
    """Return the file of the log of a device's runtime."""
    return folder / device / "runtime.jsonl"


@dataclass
class SimulatedDevice:
    """A device whose agent is started and stopped; its runtime goes on meanwhile."""

    name: str
    plan: HostPlan
    pace: Pace

    def __post_init__(self) -> None:
        """Start the runtime."""
        self._folder = Path(self.plan.folder) / self.name
        self._folder.mkdir(parents=True, exist_ok=True)
        log = log_of(Path(self.plan.folder), self.name)
        self.runtime = LoggedRuntime(log, self.plan.root, self.plan.behaves.get(self.name, {}))
        self.runtime.fault = self._loses
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the agent, unless it runs."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop the agent wherever it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=ENOUGH_S)
            if not self._task.done():
                with (self._folder / NOT_ENDED).open("a") as stream:
                    self._task.print_stack(file=stream)
            self._task = None

    def _loses(self, what: str) -> bool:
        """Return whether an answer of the runtime is lost."""
        return what.endswith("answered") and secrets.randbelow(1000) < 1000 * self.plan.lost

    async def _run(self) -> None:
        plan, folder = self.plan, self._folder
        settings = FleetOfDevice(servers=plan.servers, operators=(plan.operator,), groups=(GROUP,), name=self.name)
        judge = Judge(Trust(keys=(plan.trusted,)))
        async with FleetStore.connect(settings, self.name) as store:
            agent = Agent(
                ThisDevice(self.name, (GROUP,), "simulated", secrets.token_hex(4)),
                (CAMERA,),
                store,
                self.runtime,
                Packs(store, folder / "fleet", judge, MAX_BYTES),
                Assigned(self.name, (GROUP,), {plan.operator}, folder / "counters.json"),
                KeptFile(folder / "memory.json"),
                self.pace,
            )
            await agent.run()


async def obey(devices: Mapping[str, SimulatedDevice], lines: asyncio.StreamReader) -> None:
    """Do what comes in lines such as {"do": "stop", "device": "sim-001"}, until there is no more."""
    while line := await lines.readline():
        order = json.loads(line)
        device = devices[order["device"]]
        if order["do"] == "stop":
            await device.stop()
        else:
            device.start()
    for device in devices.values():
        with contextlib.suppress(Exception):
            await device.stop()
