"""Roll-outs over a fleet of invented devices: what each of them serves in the end, and what the operator is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from nacl.signing import SigningKey

from edge_config.errors import UsageError
from edge_config.fleet_errors import PackMissing, RolloutOvertaken
from edge_config.wire.fleet import FleetBounds, Rollout
from runtime.fleet.rollout import record
from runtime.fleet.rollout.create import RolloutWish, create, need_last
from runtime.fleet.rollout.drive import Drive
from runtime.fleet.rollout.operator_keys import OperatorKeys
from runtime.fleet.rollout.stages import parse_stages
from runtime.fleet.rollout.tell import Tell, ending
from runtime.fleet.store.signatures import verify
from tests.fleet.rollout.fleet_of import NEW, NOW_MS, OLD, OTHER, names
from tests.support.fakes.fleet_devices import FakeDevice
from tests.support.fakes.fleet_store import FakeFleetStore

ENDS = ("in place", "refused", "went back")
KEY = SigningKey(bytes(range(32)))
KEYS = OperatorKeys(KEY)


class Operator:
    """An operator with a fleet of invented devices.

    Attributes:
        said: what the operator was told.
        now_ms: the operator's clock; a test moves it.
    """

    def __init__(self, devices: list[FakeDevice]) -> None:
        self.devices = {device.name: device for device in devices}
        self.store = FakeFleetStore()
        self.said: list[str] = []
        self.now_ms = NOW_MS
        for root in (OLD, NEW, OTHER):
            self.store.hold(root, b"pack of " + root.encode())

    async def begin(self, stages: str = "1,100%", **more: Any) -> Drive:
        """Return a roll-out of NEW to the group press that has not begun."""
        fields = {
            "group": "press", "devices": (), "root": NEW, "camera": "", "settings": None, "soak_s": 0.0,
            "shadow_s": 0.0, "watch_s": 600.0, "bounds": FleetBounds(), "children": "keep", "by": "anna",
        }  # fmt: skip
        wish = RolloutWish(**{**fields, "shares": parse_stages(stages), **more})
        rollout, _ = await create(self.store, KEYS, wish, self.now_ms)
        return self.drive(rollout, 0)

    def drive(self, rollout: Rollout, revision: int) -> Drive:
        return Drive(self.store, KEYS, rollout, revision, Tell(self.said.append), lambda: self.now_ms)

    async def again(self, rollout: Rollout) -> Drive:
        """Return what another command has for the same roll-out."""
        found = await KEYS.rollout(self.store, rollout.id)
        assert found is not None
        return self.drive(*found)

    def serve(self) -> dict[str, str]:
        """Return what the camera belt of each device serves."""
        return {name: device.roots["belt"] for name, device in self.devices.items()}

    async def until_all_know(self, rollout: Rollout) -> None:
        """Wait until every device that is on has taken its newest assignment."""
        counters = {name: record.counter_of(rollout, name) for name in self.devices}
        async for _ in self.store.watch_reports():
            reports = await self.store.reports()
            if all(
                reports[name].counter >= counter and (not counter or reports[name].phase in ENDS)
                for name, counter in counters.items()
            ):
                return


@asynccontextmanager
async def fleet(*devices: FakeDevice, off: int = 0) -> AsyncIterator[Operator]:
    """Run the devices, but for the last `off` of them, which have reported long ago."""
    operator = Operator(list(devices))
    on = devices[: len(devices) - off]
    for device in devices:
        device.at_ms = NOW_MS if device in on else NOW_MS - 10**9
        await operator.store.say(device.report())
    tasks = [asyncio.create_task(device.act(operator.store)) for device in on]
    try:
        yield operator
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def press(count: int, **more: Any) -> list[FakeDevice]:
    """Return devices of the group press with one camera."""
    return [FakeDevice(name, ("press",), {"belt": OLD}, **more) for name in names(count)]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_good_bundle_reaches_all_by_stages() -> None:
    """One device, then a tenth, then all, each stage once that before is in place; at last the group's own key."""

    async def test() -> None:
        async with fleet(*press(20)) as operator:
            drive = await operator.begin("1,10%,100%")
            rollout = await drive.run()
            assert rollout.state == "done"
            await operator.until_all_know(rollout)
            assert set(operator.serve().values()) == {NEW}
            first = [device.served[0][1] for device in operator.devices.values()]
            assert first == sorted(first)
            assert [len(stage) for stage in rollout.stages] == [1, 1, 18]
            group = [one for one in await operator.store.assigned() if one.target == "group:press"]
            assert [(one.root, one.counter) for one in group] == [(NEW, 21)]
            assert ending(rollout).endswith("done, in place on 20 devices")
            stages = [line for line in operator.said if line.startswith("stage")]
            assert stages[:3] == [
                "stage 1 of 3: 1 device: edge-001",
                "stage 1 of 3: in place",
                "stage 2 of 3: 1 device: edge-002",
            ]

    run(test)


def test_assignments_are_signed_and_counted() -> None:
    """Each is signed by the operator's key, for one target, with the pack's hash, and counters rise."""

    async def test() -> None:
        async with fleet(*press(2)) as operator:
            await (await operator.begin()).run()
            signed = [one async for one in _first(operator.store.watch_desired("edge-001", ("press",)), 2)]
            found = [verify(one, {signed[0].key}, {"device:edge-001", "group:press"}) for one in signed]
            pack = await operator.store.pack(NEW)
            assert {(one.pack_sha256, one.pack_bytes) for one in found} == {(pack.sha256, pack.size)}
            assert [one.counter for one in found] == [1, 3]
            assert bytes.fromhex(signed[0].key.removeprefix("ed25519:")) == bytes(KEY.verify_key)

    run(test)


async def _first(source: AsyncIterator[Any], count: int) -> AsyncIterator[Any]:
    async for one in source:
        yield one
        count -= 1
        if not count:
            return


@pytest.mark.parametrize("how", ["refuses", "goes_back"])
def test_a_bad_bundle_stops_at_its_stage(how: str) -> None:
    """The roll-out stops, names device and reason; the stage goes back, later ones never had it, earlier keep it."""

    async def test() -> None:
        devices = press(10)
        setattr(devices[3], how, {NEW: "golden frame 2 scores 0.4 apart"})
        async with fleet(*devices) as operator:
            rollout = await (await operator.begin("1,50%,100%")).run()
            await operator.until_all_know(rollout)
            phase = {"refuses": "refused", "goes_back": "went back"}[how]
            assert rollout.state == "stopped"
            assert rollout.reason == f"edge-004 {phase}: golden frame 2 scores 0.4 apart"
            assert list(operator.serve().values()) == [NEW, *[OLD] * 9]
            assert all(not device.served for device in devices[5:])
            assert rollout.back == ("edge-002", "edge-003", "edge-004", "edge-005")
            newest = [one for one in await operator.store.assigned() if one.target == "device:edge-003"]
            assert [(one.root, one.watch_s) for one in newest] == [(OLD, 0.0)]
            assert not [one for one in await operator.store.assigned() if one.target == "group:press"]

    run(test)


def test_a_device_that_gets_worse_in_its_soak_stops_it() -> None:
    """Drift that was not there before stops the roll-out while the stage soaks."""

    async def test() -> None:
        devices = press(3)
        async with fleet(*devices) as operator:
            drive = await operator.begin("1,100%", soak_s=60.0)
            await drive.run(once=True)
            await _until(operator, "edge-001", "in place")
            await (again := await operator.again(drive.rollout)).run(once=True)
            assert again.rollout.settled_ms == NOW_MS
            devices[0].more = {NEW: {"drift": "brighter than what was learnt"}}
            await operator.store.say(devices[0].report("in place"))
            rollout = await (await operator.again(drive.rollout)).run()
            assert rollout.reason == "edge-001 camera belt: drifts since: brighter than what was learnt"
            await operator.until_all_know(rollout)
            assert set(operator.serve().values()) == {OLD}

    run(test)


async def _until(operator: Operator, name: str, phase: str) -> None:
    async for report in operator.store.watch_reports():
        if report.device == name and report.phase == phase:
            return


def test_the_soak_lasts() -> None:
    """The next stage begins when the soak is over, not before; a command that was interrupted goes on with the rest."""

    async def test() -> None:
        async with fleet(*press(3)) as operator:
            drive = await operator.begin("1,100%", soak_s=1800.0)
            await drive.run(once=True)
            await _until(operator, "edge-001", "in place")
            for passed_s, served in ((0, 1), (1799, 1), (1800, 3)):
                operator.now_ms = NOW_MS + 1000 * passed_s
                for device in operator.devices.values():
                    device.at_ms = operator.now_ms
                    await operator.store.say(device.report("in place"))
                drive = await operator.again(drive.rollout)
                await drive.run(once=True)
                await operator.until_all_know(drive.rollout)
                assert list(operator.serve().values()).count(NEW) == served

    run(test)


def test_devices_that_are_off_follow_by_the_group() -> None:
    """They are not waited for; when they are back they take what the group has."""

    async def test() -> None:
        devices = press(4)
        async with fleet(*devices, off=1) as operator:
            rollout = await (await operator.begin("1,100%")).run()
            assert rollout.state == "done"
            assert ending(rollout).endswith("in place on 3 devices; 1 device off, to follow")
            assert operator.serve()["edge-004"] == OLD
            task = asyncio.create_task(devices[3].act(operator.store))
            await _until(operator, "edge-004", "in place")
            task.cancel()
            assert operator.serve()["edge-004"] == NEW

    run(test)


def test_rollback_takes_all_back() -> None:
    """Every device that took it gets a newer assignment of what it had, and the group what most of its devices had."""

    async def test() -> None:
        devices = press(4)
        devices[2].roots = {"belt": OTHER}
        async with fleet(*devices, off=1) as operator:
            done = await (await operator.begin()).run()
            rollout = await (await operator.again(done)).roll_back("taken back by anna")
            await operator.until_all_know(
                replace(rollout, counters={**rollout.counters, "edge-004": 0, "group:press": 0})
            )
            assert list(operator.serve().values()) == [OLD, OLD, OTHER, OLD]
            group = [one for one in await operator.store.assigned() if one.target == "group:press"]
            assert [one.root for one in group] == [OLD]
            assert min(rollout.counters.values()) > max(done.counters.values())

    run(test)


def test_each_camera_goes_back_to_its_own() -> None:
    """Where the cameras of a device had several bundles, each gets its own back."""

    async def test() -> None:
        device = FakeDevice("edge-001", ("press",), {"belt": OLD, "lid": OTHER})
        async with fleet(device) as operator:
            done = await (await operator.begin("100%")).run()
            assert device.roots == {"belt": NEW, "lid": NEW}
            await (await operator.again(done)).roll_back("")
            for _ in range(50):
                await asyncio.sleep(0)
            own = [one for one in await operator.store.assigned() if one.target == "device:edge-001"]
            assert {one.camera: one.root for one in own} == {"": NEW, "belt": OLD, "lid": OTHER}

    run(test)


def test_two_commands_cannot_both_drive_it() -> None:
    """The one that comes later goes on, the earlier one ends and says so."""

    async def test() -> None:
        devices = press(3)
        async with fleet(*devices) as operator:
            first = await operator.begin("1,100%", soak_s=60.0)
            await first.run(once=True)
            second = await operator.again(first.rollout)
            await second.resume("otto")
            with pytest.raises(RolloutOvertaken, match="otto goes on with it"):
                await first.run()
            await second.run(once=True)

    run(test)


def test_a_command_is_not_stopped_by_a_step_of_another_one() -> None:
    """Resuming and taking back begin again with the newest record, where another command has just written a step."""

    async def test() -> None:
        async with fleet(*press(3)) as operator:
            drive = await operator.begin("1,100%", soak_s=60.0)
            await drive.run(once=True)
            early, late = await operator.again(drive.rollout), await operator.again(drive.rollout)
            await (await operator.again(drive.rollout)).pause("by otto")
            await early.resume("anna")
            assert (early.rollout.state, early.rollout.by) == ("running", "anna")
            assert (await late.roll_back("")).state == "rolled back"
            with pytest.raises(RolloutOvertaken, match="it is rolled back"):
                await early.resume("anna")

    run(test)


def test_a_command_that_died_before_its_assignments_is_continued() -> None:
    """The record is written first: the next command writes the same assignments, with the same counters."""

    async def test() -> None:
        async with fleet(*press(2)) as operator:
            drive = await operator.begin("100%")
            assign, operator.store.assign = operator.store.assign, _dies  # type: ignore[method-assign]
            with pytest.raises(ConnectionError):
                await drive.run()
            operator.store.assign = assign  # type: ignore[method-assign]
            planned = drive.rollout.counters
            rollout = await (await operator.again(drive.rollout)).run()
            assert rollout.state == "done"
            assert [device.served[0][1] for device in operator.devices.values()] == [*planned.values()]

    run(test)


async def _dies(_: object) -> None:
    raise ConnectionError


def test_a_newer_assignment_of_somebody_else_stays() -> None:
    """A device that was given something else meanwhile stops the roll-out, and is not given what it had before."""

    async def test() -> None:
        devices = press(3)
        async with fleet(*devices) as operator:
            drive = await operator.begin("2,100%", soak_s=60.0)
            await drive.run(once=True)
            await _until(operator, "edge-002", "in place")
            devices[1].counter, devices[1].rollout, devices[1].roots = 99, "r-2", {"belt": OTHER}
            await operator.store.say(devices[1].report("in place"))
            rollout = await (await operator.again(drive.rollout)).run()
            assert rollout.reason == "edge-002 has a newer assignment, 99, by roll-out r-2"
            assert rollout.back == ("edge-001",)

    run(test)


def test_no_way_forward_without_a_way_back() -> None:
    """A bundle that a device would go back to must be in the store before the roll-out begins; so must the new one."""

    async def test() -> None:
        devices = press(2)
        devices[1].roots = {"belt": "0d" * 32}
        async with fleet(*devices) as operator:
            with pytest.raises(PackMissing, match=r"edge-002 could not go back .*fleet pull edge-002 --camera"):
                await operator.begin()
            with pytest.raises(PackMissing, match="bundle 0e0e0e0e0e0e: is not in the store; `patchedge fleet push`"):
                await operator.begin(root="0e" * 32)

    run(test)


def test_one_roll_out_at_a_time() -> None:
    """A second one of the same devices is refused while the first is not over; an older one is not taken back first."""

    async def test() -> None:
        async with fleet(*press(2)) as operator:
            first = await operator.begin("1,100%", soak_s=60.0)
            await first.run(once=True)
            with pytest.raises(UsageError, match=f"roll-out {first.rollout.id} of these devices is running"):
                await operator.begin(root=OTHER)
            operator.now_ms += 60_000
            later = await operator.begin(root="", settings={"alerts": {"threshold": 3.0}})
            await later.run(once=True)
            need_last(await operator.store.rollouts(), first.rollout)  # settings and bundles do not clash
            third = replace(first.rollout, id="r-3", at_ms=operator.now_ms)
            with pytest.raises(UsageError, match="roll-out r-3 came later"):
                need_last({**await operator.store.rollouts(), "r-3": third}, first.rollout)

    run(test)


def test_settings_travel_the_same_way() -> None:
    """Settings alone are assigned by stages; what was assigned before comes back, or nothing where nothing was."""

    async def test() -> None:
        async with fleet(*press(2)) as operator:
            one = await (await operator.begin("100%", root="", settings={"alerts": {"threshold": 2.0}})).run()
            assert [device.settings for device in operator.devices.values()] == [{"alerts": {"threshold": 2.0}}] * 2
            operator.now_ms += 1
            two = await (await operator.begin("100%", root="", settings={"alerts": {"threshold": 3.0}})).run()
            for rollout, settings in ((two, {"alerts": {"threshold": 2.0}}), (one, {})):
                back = await (await operator.again(rollout)).roll_back("")
                await operator.until_all_know(back)
                assert [device.settings for device in operator.devices.values()] == [settings] * 2
            assert set(operator.serve().values()) == {OLD}

    run(test)


def test_a_record_is_json() -> None:
    """A record survives its way through the store."""

    async def test() -> None:
        async with fleet(*press(3)) as operator:
            rollout = await (await operator.begin()).run()
            assert msgspec.json.decode(msgspec.json.encode(rollout), type=Rollout) == rollout

    run(test)
