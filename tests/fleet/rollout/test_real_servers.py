"""Roll-outs by their verbs over a real NATS server, which is killed under one of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from nacl.signing import SigningKey

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.fleet_errors import RolloutOvertaken
from edge_config.settings.fleet import FleetSettings
from edge_config.wire.fleet import FleetBounds
from runtime.fleet.rollout.create import RolloutWish, create
from runtime.fleet.rollout.drive import Drive, now_ms
from runtime.fleet.rollout.operator_keys import OperatorKeys
from runtime.fleet.rollout.stages import parse_stages
from runtime.fleet.rollout.tell import Tell
from runtime.fleet.store.make import StoreLimits, make
from runtime.fleet.store.store import FleetStore
from tests.fleet.rollout.fleet_of import names
from tests.support.brokers import NatsServer, needs_nats
from tests.support.fakes.fleet_devices import FakeDevice
from tests.support.tiny import make_bundle

pytestmark = [needs_nats, pytest.mark.slow]

KEYS = OperatorKeys(SigningKey(bytes(range(32))))


def other_bundle(folder: Path) -> Path:
    """Return a tiny bundle with another id."""
    target = make_bundle(folder / "other.bundle")
    old = manifests.decode((target / bundles.MANIFEST).read_bytes(), where="")
    changed = replace(old, calibration=replace(old.calibration, threshold=old.calibration.threshold + 1))
    (target / bundles.MANIFEST).write_bytes(manifests.encode(changed))
    return target


def test_over_a_real_server(tiny_bundle: Path, tmp_path: Path) -> None:
    """Stages, a server that is killed between two of them, a second command that takes over, and the way back."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    try:
        asyncio.run(_over(server, tiny_bundle, other_bundle(tmp_path)))
    finally:
        server.end()


async def _over(server: NatsServer, old: Path, new: Path) -> None:
    settings = FleetSettings(servers=(f"nats://127.0.0.1:{server.port}",))
    async with FleetStore.connect(settings, "anna") as store, FleetStore.connect(settings, "fleet") as devices_store:
        await make(store.connection, store.layout, StoreLimits(packs_bytes=64 << 20))
        was, root = (await store.put_pack(old)).bundle, (await store.put_pack(new)).bundle
        devices = [FakeDevice(name, ("press",), {"belt": was}, at_ms=now_ms()) for name in names(6)]
        devices[1].at_ms = 1  # its clock is wrong: that of the server counts
        for device in devices:
            await devices_store.say(device.report())
        tasks = [asyncio.create_task(device.act(devices_store)) for device in devices]
        wish = RolloutWish(
            group="press", devices=(), root=root, camera="", settings=None, shares=parse_stages("1,50%,100%"),
            soak_s=1.0, shadow_s=0.0, watch_s=1.0, bounds=FleetBounds(), children="keep", by="anna",
        )  # fmt: skip
        rollout, _ = await create(store, KEYS, wish, now_ms())
        first = asyncio.create_task(Drive(store, KEYS, rollout, 0, Tell(lambda _: None)).run())
        async for report in store.watch_reports():
            if report.phase == "in place":
                break
        server.end()
        server.start()
        found = await KEYS.rollout(store, rollout.id)
        assert found is not None
        second = Drive(store, KEYS, *found, Tell(lambda _: None))
        await second.resume("otto")
        with pytest.raises(RolloutOvertaken, match="otto goes on with it"):
            await first
        assert (await second.run()).state == "done"
        async for _ in store.watch_reports():
            if all(device.served and device.counter >= 7 for device in devices):
                break
        assert {device.roots["belt"] for device in devices} == {root}
        assert [len(stage) for stage in second.rollout.stages] == [1, 2, 3]
        back = await second.roll_back("by otto")
        async for _ in store.watch_reports():
            if all(device.counter >= back.counters[device.name] for device in devices):
                break
        assert {device.roots["belt"] for device in devices} == {was}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
