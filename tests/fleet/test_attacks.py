"""Attacks by somebody who can write to the servers, or holds other credentials: each is refused with its own error."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from nacl.signing import SigningKey

from edge_config.errors import PatchedgeError
from edge_config.fleet_errors import (
    AssignmentFlood,
    AssignmentForOthers,
    AssignmentInvalid,
    AssignmentKeyUnknown,
    AssignmentOld,
    AssignmentSignatureInvalid,
    FleetAccessDenied,
    PackSwapped,
    PackTooLarge,
)
from edge_config.settings.fleet import FleetOfDevice, FleetSettings
from edge_config.wire.fleet import Assignment, DeviceReport, Signed
from runtime.client.within import within
from runtime.fleet.store import flood, objects
from runtime.fleet.store.counters import Counters
from runtime.fleet.store.interface import PackInfo
from runtime.fleet.store.layout import FleetLayout
from runtime.fleet.store.make import StoreLimits, make
from runtime.fleet.store.permissions import device_permissions, new_seed, server_user
from runtime.fleet.store.signatures import sign, verify
from runtime.fleet.store.store import FleetStore
from tests.support.brokers import NatsServer, needs_nats
from tests.support.processes import ENOUGH_S

pytestmark = needs_nats

KEY = SigningKey(bytes(range(32)))
OPERATORS = {f"ed25519:{bytes(KEY.verify_key).hex()}"}
DEVICE, GROUPS = "press-3", ("press",)
TARGETS = ("device:press-3", "group:press")
SLOT = "device.press-3.=.root"
SIZE = 300_000
BUNDLE = "ab" * 32


class Refusals(list[PatchedgeError]):
    """What the store refused; waits for a number of them."""

    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    def __call__(self, error: PatchedgeError) -> None:
        self.append(error)
        self.more.set()

    async def until(self, count: int) -> None:
        while len(self) < count:
            await within(ENOUGH_S, self.more.wait())
            self.more.clear()


@asynccontextmanager
async def opened(server: NatsServer) -> AsyncIterator[FleetStore]:
    settings = FleetSettings(servers=(f"nats://127.0.0.1:{server.port}",))
    async with FleetStore.connect(settings, patience_s=ENOUGH_S) as store:
        await make(store.connection, store.layout, StoreLimits(packs_bytes=64 << 20))
        yield store


def assigned(counter: int, key: SigningKey = KEY, target: str = "device:press-3") -> Signed:
    one = Assignment(counter=counter, target=target, root=BUNDLE, pack_sha256="cd" * 32, pack_bytes=SIZE)
    return sign(one, key)


async def write(store: FleetStore, data: bytes, key: str = SLOT) -> None:
    """Write to the bucket of assignments as one does who can write to the servers."""
    subject = store.layout.desired.subject(key)
    await store.connection.call(lambda session: session.stream.publish(subject, data))


async def received(store: FleetStore) -> Signed:
    """Return what the device sees next of its assignments."""
    async with aclosing(store.watch_desired(DEVICE, GROUPS)) as watched:
        return await within(ENOUGH_S, anext(watched))


async def put(store: FleetStore, folder: Path, data: bytes, record: PackInfo | None = None) -> PackInfo:
    """Put bytes into the store as the pack of the bundle; the store says `record` of them."""
    (folder / "file").write_bytes(data)
    info = PackInfo(BUNDLE, hashlib.sha256(data).hexdigest(), len(data))
    await objects.upload(store.connection, store.layout.packs, BUNDLE, record or info, folder / "file")
    return info


def test_a_pack_that_was_swapped(server: NatsServer, tmp_path: Path) -> None:
    """Other bytes of the same size under the same name, with or without their own hash in the store: PackSwapped."""

    async def run() -> None:
        async with opened(server) as store:
            good = await put(store, tmp_path, os.urandom(SIZE))
            evil = os.urandom(SIZE)
            await put(store, tmp_path, evil)
            with pytest.raises(PackSwapped, match="its sha256 or size is not the assigned one"):
                await store.fetch_pack(good, tmp_path / "pack", 1 << 30)
            await put(store, tmp_path, evil[:-1], PackInfo(BUNDLE, good.sha256, SIZE - 1))
            with pytest.raises(PackSwapped):
                await store.fetch_pack(good, tmp_path / "pack", 1 << 30)
            await put(store, tmp_path, evil, good)
            with pytest.raises(PackSwapped):
                await store.fetch_pack(good, tmp_path / "pack", 1 << 30)

    asyncio.run(run())
    assert not list(tmp_path.glob("pack*"))


def test_an_object_that_is_too_large(server: NatsServer, tmp_path: Path) -> None:
    """More bytes than assigned, more than the store says, more than the device takes: PackTooLarge, early."""

    async def run() -> None:
        async with opened(server) as store:
            good = await put(store, tmp_path, os.urandom(SIZE))
            with pytest.raises(PackTooLarge, match=f"{SIZE} bytes are assigned, 1000 are allowed"):
                await store.fetch_pack(good, tmp_path / "pack", 1000)
            large = await put(store, tmp_path, bytes(8 << 20))
            got: list[int] = []
            with pytest.raises(PackTooLarge, match=f"has {8 << 20} bytes, {SIZE} are assigned"):
                await store.fetch_pack(good, tmp_path / "pack", 1 << 30, got.append)
            assert got == []
            await put(store, tmp_path, bytes(8 << 20), PackInfo(BUNDLE, large.sha256, SIZE))
            with pytest.raises(PackTooLarge, match=f"goes on after the {SIZE} bytes that are assigned"):
                await store.fetch_pack(good, tmp_path / "pack", 1 << 30, got.append)
            assert sum(got) <= SIZE + objects.CHUNK_BYTES

    asyncio.run(run())
    assert not list(tmp_path.glob("pack*"))


def test_an_older_assignment_that_is_replayed(server: NatsServer, tmp_path: Path) -> None:
    """A genuine one of last month, put back into its place: AssignmentOld, also after the device was restarted."""

    async def run() -> None:
        async with opened(server) as store:
            for signed in (assigned(1), assigned(2)):
                await store.assign(signed)
                seen = await received(store)
                record = verify(seen, OPERATORS, TARGETS)
                counters = Counters(tmp_path / "counters.json")
                assert counters.check(seen, record)
                counters.accept(seen, record)
            await write(store, msgspec.json.encode(assigned(1)))
            seen = await received(store)
            record = verify(seen, OPERATORS, TARGETS)
            assert record.counter == 1
            with pytest.raises(AssignmentOld, match="assignment 1: 2 was accepted before"):
                Counters(tmp_path / "counters.json").check(seen, record)

    asyncio.run(run())


def test_an_assignment_by_another_key(server: NatsServer) -> None:
    """A valid signature, but by nobody that the device knows: AssignmentKeyUnknown."""

    async def run() -> None:
        async with opened(server) as store:
            await write(store, msgspec.json.encode(assigned(3, SigningKey.generate())))
            with pytest.raises(AssignmentKeyUnknown):
                verify(await received(store), OPERATORS, TARGETS)

    asyncio.run(run())


def test_an_assignment_that_was_changed(server: NatsServer) -> None:
    """The operator's signature under another payload: AssignmentSignatureInvalid."""

    async def run() -> None:
        async with opened(server) as store:
            changed = msgspec.structs.replace(assigned(3), payload=assigned(4).payload)
            await write(store, msgspec.json.encode(changed))
            with pytest.raises(AssignmentSignatureInvalid):
                verify(await received(store), OPERATORS, TARGETS)

    asyncio.run(run())


@pytest.mark.parametrize("target", ["device:oven-1", "group:oven"])
def test_an_assignment_for_another_device(server: NatsServer, target: str) -> None:
    """A genuine one for another device or group, moved into the place of this one: AssignmentForOthers."""

    async def run() -> None:
        async with opened(server) as store:
            await write(store, msgspec.json.encode(assigned(5, target=target)))
            with pytest.raises(AssignmentForOthers, match=f"is for {target}, not for device:press-3"):
                verify(await received(store), OPERATORS, TARGETS)

    asyncio.run(run())


def test_bytes_that_are_no_assignment(server: NatsServer) -> None:
    """What is not even signed is told as AssignmentInvalid, and the next one arrives."""
    refused = Refusals()

    async def run() -> None:
        async with (
            opened(server) as store,
            aclosing(store.watch_desired(DEVICE, GROUPS, refused)) as watched,
        ):
            waiting = asyncio.create_task(anext(watched))  # type: ignore[arg-type]
            await write(store, base64.b64encode(os.urandom(1000)))
            await write(store, json.dumps({"payload": "{}"}).encode(), "group.press.=.root")
            await refused.until(2)
            await write(store, msgspec.json.encode(assigned(1)))
            assert await within(ENOUGH_S, waiting) == assigned(1)

    asyncio.run(run())
    assert [type(one) for one in refused] == [AssignmentInvalid, AssignmentInvalid]


def test_a_flood_of_assignments(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hundreds of changes the device sees few, the newest among them, and is told once: AssignmentFlood."""
    per_s, most, changes = 1.0, 5, 400
    monkeypatch.setattr(flood, "MAX_CHANGES", most)
    monkeypatch.setattr(flood, "PER_S", per_s)
    refused = Refusals()
    seen: list[int] = []

    async def run() -> None:
        async with (
            opened(server) as store,
            aclosing(store.watch_desired(DEVICE, GROUPS, refused)) as watched,
        ):
            await store.assign(assigned(1))
            seen.append(verify(await within(ENOUGH_S, anext(watched)), OPERATORS, TARGETS).counter)
            writing = asyncio.create_task(all_of(store))
            while seen[-1] != changes:
                seen.append(verify(await within(ENOUGH_S, anext(watched)), OPERATORS, TARGETS).counter)
            await writing

    async def all_of(store: FleetStore) -> None:
        for counter in range(2, changes + 1):
            await write(store, msgspec.json.encode(assigned(counter)))

    async def timed() -> float:
        began_s = asyncio.get_running_loop().time()
        await run()
        return asyncio.get_running_loop().time() - began_s

    took_s = asyncio.run(timed())
    assert len(seen) <= 1 + most * (1 + took_s / per_s)
    assert {type(one) for one in refused} == {AssignmentFlood}
    assert len(refused) <= 1 + took_s / per_s


def test_another_devices_credentials(tmp_path: Path) -> None:
    """With the key of the oven nobody reads or reports as the press: FleetAccessDenied."""
    seed, public = new_seed()
    admin_seed, admin = new_seed()
    for name, text in (("oven-1", seed), ("anna", admin_seed)):
        (tmp_path / f"{name}.nk").touch(mode=0o600)
        (tmp_path / f"{name}.nk").write_text(text)
    oven = server_user(public, device_permissions(FleetLayout("patchedge"), "oven-1", ("oven",)))
    users = f"accounts {{ FLEET {{ jetstream: enabled, users: [\n{server_user(admin, None)}\n{oven}\n] }} }}"
    server = NatsServer(tmp_path / "nats", users)
    server.start()
    servers = (f"nats://127.0.0.1:{server.port}",)

    async def run() -> None:
        operator = FleetSettings(servers=servers, credentials_file=str(tmp_path / "anna.nk"))
        async with FleetStore.connect(operator, patience_s=ENOUGH_S) as store:
            await make(store.connection, store.layout, StoreLimits(packs_bytes=1 << 20))
        settings = FleetOfDevice(
            servers=servers, operators=tuple(OPERATORS), credentials_file=str(tmp_path / "oven-1.nk"), name="oven-1"
        )
        refused = Refusals()
        async with FleetStore.connect(settings, patience_s=ENOUGH_S) as store:
            await store.say(DeviceReport(device="oven-1"))
            with pytest.raises(FleetAccessDenied, match=r"patchedge\.fleet\.said\.press-3"):
                await store.say(DeviceReport(device=DEVICE))
            async with aclosing(store.watch_desired(DEVICE, GROUPS, refused)) as watched:
                waiting = asyncio.create_task(anext(watched))  # type: ignore[arg-type]
                await refused.until(2)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
        assert {type(one) for one in refused} == {FleetAccessDenied}

    try:
        asyncio.run(run())
    finally:
        server.end()
