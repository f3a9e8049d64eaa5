"""The store of a fleet at a real NATS server: the same promises as those of the fake in memory."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from nacl.signing import SigningKey

from edge_config.bundle import files as bundles
from edge_config.errors import PatchedgeError
from edge_config.fleet_errors import AssignmentInvalid, FleetConflict, FleetUnavailable, PackMissing
from edge_config.settings.fleet import FleetSettings
from edge_config.wire.fleet import Assignment, DeviceReport, PullOrder, Rollout, Signed
from runtime.client.within import within
from runtime.fleet.store.interface import Store
from runtime.fleet.store.make import StoreLimits, make
from runtime.fleet.store.signatures import sign
from runtime.fleet.store.store import FleetStore
from runtime.security.signing import sign as sign_bundle
from tests.support.brokers import NatsServer, needs_nats
from tests.support.fakes.fleet_store import FakeFleetStore
from tests.support.ports import free_port
from tests.support.processes import ENOUGH_S

pytestmark = needs_nats

KEY = SigningKey(bytes(range(32)))
T = TypeVar("T")


def settings(server: NatsServer) -> FleetSettings:
    return FleetSettings(servers=(f"nats://127.0.0.1:{server.port}",))


@asynccontextmanager
async def opened(server: NatsServer) -> AsyncIterator[FleetStore]:
    async with FleetStore.connect(settings(server), "test", ENOUGH_S) as store:
        await make(store.connection, store.layout, StoreLimits(packs_bytes=64 << 20))
        yield store


def assigned(counter: int, target: str = "device:press-3", **more: object) -> Signed:
    fields = {"counter": counter, "target": target, "root": "ab" * 32, "pack_sha256": "cd" * 32, "pack_bytes": 9}
    return sign(msgspec.convert({**fields, **more}, Assignment), KEY)


async def take(source: AsyncIterator[T], count: int) -> list[T]:
    """Return the next of what is yielded."""
    return [await within(ENOUGH_S, anext(source)) for _ in range(count)]


EachStore = Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["real", "fake"])
def each_store(request: pytest.FixtureRequest) -> EachStore:
    """Return what opens the real store, and the one that other tests have in its place."""

    @asynccontextmanager
    async def fake() -> AsyncIterator[Store]:
        yield FakeFleetStore()

    if request.param == "fake":
        return fake
    server = request.getfixturevalue("server")
    return lambda: opened(server)


def test_a_pack_arrives_whole(each_store: EachStore, tiny_bundle: Path, tmp_path: Path) -> None:
    """A bundle is packed and pushed, and what is fetched unpacks to the same bundle."""

    async def run() -> None:
        async with each_store() as store:
            info = await store.put_pack(tiny_bundle)
            assert info.bundle == bundles.read(tiny_bundle).id
            assert await store.pack(info.bundle) == info
            pieces: list[int] = []
            assert await store.fetch_pack(info, tmp_path / "pack", 1 << 30, pieces.append) == info.size == sum(pieces)
            assert await store.put_pack(tmp_path / "pack") == info
            with pytest.raises(PackMissing):
                await store.pack("0" * 64)

    asyncio.run(run())


def test_another_pack_of_a_bundle_is_not_replaced_by_mistake(
    each_store: EachStore, tiny_bundle: Path, tmp_path: Path
) -> None:
    """A bundle that was signed later has the same id, but other bytes than those that devices were assigned."""

    async def run() -> None:
        async with each_store() as store:
            first = await store.put_pack(tiny_bundle)
            shutil.copytree(tiny_bundle, tmp_path / "signed.bundle")
            sign_bundle(tmp_path / "signed.bundle", KEY)
            with pytest.raises(FleetConflict, match="another pack of this bundle"):
                await store.put_pack(tmp_path / "signed.bundle")
            assert await store.pack(first.bundle) == first
            second = await store.put_pack(tmp_path / "signed.bundle", replace=True)
            assert (second.bundle, second != first) == (first.bundle, True)
            assert await store.fetch_pack(second, tmp_path / "pack", 1 << 30) == second.size

    asyncio.run(run())


def test_a_damaged_counter_does_not_begin_again(server: NatsServer) -> None:
    """Counters that begin at 1 again would be refused by every device: an operator has to say where to go on."""

    async def run() -> None:
        async with opened(server) as store:
            subject = store.layout.desired.subject("counter")
            await store.connection.call(lambda session: session.stream.publish(subject, b"damaged"))
            with pytest.raises(AssignmentInvalid, match="init --counter"):
                await store.next_counter()
            assert await store.raise_counter(500) == 500
            assert await store.next_counter() == 501

    asyncio.run(run())


def test_a_device_sees_its_own_and_its_groups_assignments(each_store: EachStore) -> None:
    """What is there comes first, then changes; bundles, settings and cameras do not replace each other."""

    async def run() -> None:
        async with each_store() as store:
            one, two = assigned(1), assigned(2, "group:press")
            for other in (one, two, assigned(3, "device:press-30"), assigned(4, "group:oven")):
                await store.assign(other)
            async with aclosing(store.watch_desired("press-3", ["press", "hall"])) as watched:
                assert {one.payload for one in await take(watched, 2)} == {one.payload, two.payload}
                plain = {"root": "", "pack_sha256": "", "pack_bytes": 0}
                changes = [
                    assigned(5, settings={"alerts": {"threshold": 3}}, **plain),
                    assigned(6, camera="top"),
                    assigned(7),
                ]
                for change in changes:
                    await store.assign(change)
                    assert await take(watched, 1) == [change]
            async with aclosing(store.watch_desired("press-3", ["press"])) as watched:
                newest = {one.payload for one in await take(watched, 4)}
            assert newest == {one.payload for one in (two, *changes)}
            assert [one.counter for one in await store.assigned()] == [2, 3, 4, 5, 6, 7]

    asyncio.run(run())


def test_counters_are_given_once(each_store: EachStore) -> None:
    """Operators that ask at the same time get different numbers, and an assignment never replaces a newer one."""

    async def run() -> None:
        async with each_store() as store:
            counters = await asyncio.gather(*(store.next_counter() for _ in range(5)))
            assert sorted(counters) == [1, 2, 3, 4, 5]
            await store.assign(assigned(5))
            await asyncio.gather(*(store.next_counter() for _ in range(3)))
            with pytest.raises(FleetConflict, match="newer"):
                await store.assign(assigned(4))

    asyncio.run(run())


def test_reports_are_the_newest_of_each_device(each_store: EachStore) -> None:
    """A table asks once; a roll-out follows."""

    async def run() -> None:
        async with each_store() as store:
            assert await store.reports() == {}
            for counter in range(3):
                for device in ("a", "b"):
                    await store.say(DeviceReport(device=device, counter=counter, phase="in place"))
            assert {name: one.counter for name, one in (await store.reports()).items()} == {"a": 2, "b": 2}
            async with aclosing(store.watch_reports()) as watched:
                assert {one.device for one in await take(watched, 2)} == {"a", "b"}
                await store.say(DeviceReport(device="b", counter=9))
                assert (await take(watched, 1))[0].counter == 9

    asyncio.run(run())


def test_a_rollout_is_changed_by_one_at_a_time(each_store: EachStore) -> None:
    """A writer names the revision that was read."""

    async def run() -> None:
        async with each_store() as store:
            assert await store.rollout("r-1") is None
            signed = [sign(Rollout(id="r-1", stage=stage), KEY) for stage in range(3)]
            first = await store.put_rollout("r-1", signed[0])
            with pytest.raises(FleetConflict):
                await store.put_rollout("r-1", signed[2])
            second = await store.put_rollout("r-1", signed[1], first)
            with pytest.raises(FleetConflict):
                await store.put_rollout("r-1", signed[2], first)
            assert await store.rollout("r-1") == (signed[1], second)
            assert await store.rollouts() == {"r-1": Rollout(id="r-1", stage=1)}

    asyncio.run(run())


def test_the_steps_of_a_large_rollout_take_no_room(server: NatsServer) -> None:
    """Of a roll-out only the newest record is kept, so that a year of large ones fits; it may have half a megabyte."""

    async def run() -> None:
        async with opened(server) as store:
            revision = 0
            for stage in range(5):
                large = Rollout(id="r-1", stage=stage, reason="x" * 500_000)
                revision = await store.put_rollout("r-1", sign(large, KEY), revision)
            info = await store.connection.call(lambda session: session.stream.stream_info(store.layout.rollouts.stream))
            assert 500_000 < info.state.bytes < 600_000
            assert list(await store.rollouts()) == ["r-1"]

    asyncio.run(run())


def test_a_device_uploads_what_was_ordered(each_store: EachStore, tiny_bundle: Path, tmp_path: Path) -> None:
    """An order reaches the device, and its bundle the operator."""

    async def run() -> None:
        async with each_store() as store:
            order = PullOrder(counter=1, target="device:press-3", camera="top")
            await store.order_pull(sign(order, KEY))
            async with aclosing(store.watch_pulls("press-3")) as watched:
                assert await take(watched, 1) == [sign(order, KEY)]
            assert await store.fetch_pulled(order, tmp_path / "pulled", 1 << 30) is None
            info = await store.put_pulled(order, tiny_bundle)
            assert await store.fetch_pulled(order, tmp_path / "pulled", 1 << 30) == info
            assert (tmp_path / "pulled").stat().st_size == info.size

    asyncio.run(run())


def test_servers_without_a_store_say_so(server: NatsServer) -> None:
    """Before `fleet init` each method ends with what to do; and so it does where nobody listens."""

    async def run() -> None:
        async with FleetStore.connect(settings(server), patience_s=ENOUGH_S) as store:
            with pytest.raises(FleetUnavailable, match="patchedge fleet init"):
                await store.reports()
        nobody = FleetSettings(servers=(f"nats://127.0.0.1:{free_port()}",))
        async with FleetStore.connect(nobody, patience_s=0.3) as store:
            with pytest.raises(FleetUnavailable, match=r"no answer in 0\.3 s"):
                await store.reports()

    asyncio.run(run())


@pytest.mark.slow
def test_a_device_that_is_early_waits_for_the_store(server: NatsServer) -> None:
    """An agent that starts before `fleet init` says so once, then reports and follows as soon as there is a store."""
    seen: list[PatchedgeError] = []
    told = asyncio.Event()

    def refused(error: PatchedgeError) -> None:
        seen.append(error)
        told.set()

    async def run() -> None:
        async with (
            FleetStore.connect(settings(server)) as store,
            aclosing(store.watch_desired("press-3", [], refused)) as watched,
        ):
            saying = asyncio.create_task(store.say(DeviceReport(device="press-3")))
            following = asyncio.ensure_future(anext(watched))
            await within(ENOUGH_S, told.wait())
            assert not saying.done()
            async with opened(server) as operator:
                await operator.assign(assigned(1))
                assert await within(ENOUGH_S, following) == assigned(1)
                await within(ENOUGH_S, saying)
                assert list(await operator.reports()) == ["press-3"]

    asyncio.run(run())
    assert [type(one) for one in seen] == [FleetUnavailable]


def test_all_goes_on_after_a_server_was_away(server: NatsServer) -> None:
    """A watcher sees what was assigned while the server was away, and a report that waited is published."""

    async def run() -> None:
        seen: list[PatchedgeError] = []
        async with (
            opened(server) as store,
            opened(server) as operator,
            aclosing(store.watch_desired("press-3", [], seen.append)) as watched,
        ):
            await operator.assign(assigned(1))
            assert await take(watched, 1) == [assigned(1)]
            await asyncio.to_thread(server.end)
            waiting = asyncio.create_task(store.say(DeviceReport(device="press-3")))
            later = asyncio.create_task(operator.assign(assigned(2)))
            await asyncio.to_thread(server.start)
            await within(ENOUGH_S, later)
            while await take(watched, 1) != [assigned(2)]:
                pass
            await within(ENOUGH_S, waiting)
            assert list(await store.reports()) == ["press-3"]
        assert seen == []

    asyncio.run(run())
