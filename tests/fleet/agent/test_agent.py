"""The agent in its event loop: it follows the store, speaks, goes on when the servers or the disk are away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl.signing import SigningKey

from edge_config.errors import NotWritten
from edge_config.wire.fleet import Assignment, DeviceReport
from runtime.client.within import within
from runtime.fleet.agent.agent import Agent, Pace
from runtime.fleet.agent.core.memory import CameraMemory
from runtime.fleet.agent.core.reports import ThisDevice
from runtime.fleet.agent.desired import Assigned
from runtime.fleet.agent.kept import KeptFile
from runtime.fleet.store.signatures import sign
from tests.fleet.agent.device import GOOD, KEY, OLD, OPERATOR, Device, assignment
from tests.support.fakes.fleet_runtime import FakeKept, FakePacks, FakeRuntime
from tests.support.fakes.fleet_store import FakeFleetStore

PATIENCE_S = 20.0
QUICK = Pace(busy_s=0.02, idle_s=0.05, report_s=5.0)


def agent_of(name: str, store: FakeFleetStore, folder: Path, runtime: FakeRuntime) -> Agent:
    """Return an agent that looks often."""
    assigned = Assigned(name, ("press",), {OPERATOR}, folder / f"{name}.json")
    this = ThisDevice(name, ("press",), "1", "boot")
    return Agent(this, ("cam1",), store, runtime, FakePacks(), assigned, FakeKept(), QUICK)


async def until(store: FakeFleetStore, good: Callable[[dict[str, DeviceReport]], bool]) -> None:
    """Wait until the reports are as they should be."""

    async def wait() -> None:
        while not good(await store.reports()):  # noqa: ASYNC110 - the servers have no event for it
            await asyncio.sleep(0.02)

    await within(PATIENCE_S, wait())


def run_with(agents: list[Agent], tell: Callable[[], Any]) -> None:
    """Run agents while something is told."""

    async def run() -> None:
        tasks = [asyncio.create_task(agent.run()) for agent in agents]
        try:
            await tell()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.slow
def test_two_hundred_devices_in_one_process(tmp_path: Path) -> None:
    """An assignment of their group comes into place on all of them, once each."""
    store = FakeFleetStore()
    runtimes = {f"d{number}": FakeRuntime(root=OLD) for number in range(200)}
    agents = [agent_of(name, store, tmp_path, runtime) for name, runtime in runtimes.items()]

    async def tell() -> None:
        await until(store, lambda reports: len(reports) == len(runtimes))
        await store.assign(assignment(1, GOOD, target="group:press", watch_s=0.2))
        await until(store, lambda reports: {one.phase for one in reports.values()} == {"in place"})

    run_with(agents, tell)
    assert all(runtime.activated == [("cam1", GOOD)] for runtime in runtimes.values())


def test_what_serves_is_said_as_soon_as_it_is_seen(tmp_path: Path) -> None:
    """A runtime that is up later than its agent, or serves another bundle, is no secret until the next report is due:
    a roll-out must know the way back.
    """
    store, runtime = FakeFleetStore(), FakeRuntime(root=OLD)
    runtime.up = False
    assigned = Assigned("d1", (), {OPERATOR}, tmp_path / "d1.json")
    rare = Pace(busy_s=0.02, idle_s=0.05, report_s=600.0)
    this = ThisDevice("d1", (), "1", "boot")
    agent = Agent(this, ("cam1",), store, runtime, FakePacks(), assigned, FakeKept(), rare)

    async def tell() -> None:
        await until(store, lambda reports: "d1" in reports)
        runtime.up = True
        await until(store, lambda reports: reports["d1"].cameras[0].active == OLD)
        runtime.replace_bundle("cam1", GOOD)
        await until(store, lambda reports: reports["d1"].cameras[0].active == GOOD)

    run_with([agent], tell)


def test_servers_that_are_away_stop_nothing(tmp_path: Path) -> None:
    """What was assigned before goes on; when they are back the newest report is said."""
    store, runtime = FakeFleetStore(), FakeRuntime(root=OLD, check_s=0.3)
    agent = agent_of("press-3", store, tmp_path, runtime)

    async def tell() -> None:
        await store.assign(assignment(1, GOOD, watch_s=0.2))
        await until(store, lambda reports: reports["press-3"].counter == 1 if reports else False)
        store.up.clear()
        while agent.memories["cam1"].step != "in place":  # noqa: ASYNC110 - nothing is said while servers are away
            await asyncio.sleep(0.02)
        store.up.set()
        await until(store, lambda reports: reports["press-3"].phase == "in place")

    run_with([agent], tell)


def test_assignments_of_strangers_are_said_and_change_nothing(tmp_path: Path) -> None:
    """One that is signed by another key, and one for another device; the report says why."""
    device = Device(tmp_path)
    good = msgspec.json.decode(assignment(4, GOOD).payload, type=Assignment)
    device.assigned.take(sign(good, SigningKey.generate()))
    device.turns(20)
    assert "not an operator's key" in device.report.reason
    device.assigned.take(sign(msgspec.structs.replace(good, target="device:press-4"), KEY))
    device.turns(20)
    assert "not accepted: assignment 4: is for device:press-4" in device.report.reason
    assert (device.report.phase, device.runtime.served["cam1"]) == ("idle", [OLD])


def test_nothing_is_done_that_cannot_be_written_down(tmp_path: Path) -> None:
    """While the disk takes no memory, nothing is asked of the device; then it goes on."""
    device = Device(tmp_path)
    device.turns(20)

    def full(_: dict[str, CameraMemory]) -> None:
        raise NotWritten("the disk is full")

    save = device.kept.save
    device.kept.save = full  # type: ignore[method-assign]
    device.assign(4, GOOD)
    device.turns(20)
    assert device.packs.kept == set()
    assert device.serving() == OLD
    device.kept.save = save  # type: ignore[method-assign]
    device.turns()
    assert (device.report.phase, device.serving()) == ("in place", GOOD)


def test_memory_is_on_the_disk_and_damage_is_set_aside(tmp_path: Path) -> None:
    """It is read as it was written; a damaged file is kept under another name, and the agent begins again."""
    file = KeptFile(tmp_path / "agent.json")
    assert file.load() == {}
    its = {"cam1": CameraMemory(root_taken=4, step="watch", phase="watching")}
    file.save(its)
    assert file.load() == its
    (tmp_path / "agent.json").write_bytes(b'{"cameras": {"cam1"')
    assert file.load() == {}
    assert (tmp_path / "agent.damaged").exists()


def test_hardly_anything_is_written_while_nothing_changes(tmp_path: Path) -> None:
    """A device in place saves its counts once a minute at most: a card wears out by writing."""
    device = Device(tmp_path)
    device.turns(20)
    device.assign(4, GOOD)
    device.turns()
    before = device.kept.saves
    device.turns(120)  # ten minutes
    assert device.kept.saves - before <= 10
