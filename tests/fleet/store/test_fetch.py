"""Packs are fetched from where a try has ended: over the death of a server, and of the agent."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge_config.settings.fleet import FleetSettings
from runtime.client.within import within
from runtime.fleet.store import objects
from runtime.fleet.store.interface import PackInfo
from runtime.fleet.store.make import StoreLimits, make
from runtime.fleet.store.objects import CHUNK_BYTES, MAX_WINDOW
from runtime.fleet.store.store import FleetStore
from tests.support.brokers import NatsServer, nats_cluster, needs_nats
from tests.support.processes import ENOUGH_S

pytestmark = [needs_nats, pytest.mark.slow]

SIZE = 12 * (1 << 20) + 12_345


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[NatsServer]]:
    with nats_cluster(tmp_path) as nodes:
        yield nodes


@asynccontextmanager
async def opened(nodes: list[NatsServer]) -> AsyncIterator[FleetStore]:
    servers = tuple(f"nats://127.0.0.1:{node.port}" for node in nodes)
    async with FleetStore.connect(FleetSettings(servers=servers), "test") as store:
        yield store


async def pushed(store: FleetStore, folder: Path, replicas: int) -> PackInfo:
    """Push random bytes as the pack of a bundle."""
    await within(ENOUGH_S, make(store.connection, store.layout, StoreLimits(replicas, 64 << 20)))
    (folder / "random").write_bytes(data := os.urandom(SIZE))
    info = PackInfo("ab" * 32, hashlib.sha256(data).hexdigest(), SIZE)
    await objects.upload(store.connection, store.layout.packs, info.bundle, info, folder / "random")
    return info


def test_a_fetch_goes_on_after_servers_died(
    nodes: list[NatsServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each node is killed once and comes back: what was there is not fetched again, but for what was on its way."""
    asked = [0]
    ask = objects._one

    async def counted(*args: object) -> object:
        found = await ask(*args)  # type: ignore[arg-type]
        asked[0] += len(found.data or b"") if found is not None else 0
        return found

    async def run() -> None:
        async with opened(nodes) as store:
            info = await within(ENOUGH_S, pushed(store, tmp_path, 3))
            got, kills = [0], list(nodes)
            monkeypatch.setattr(objects, "_one", counted)

            def progress(size: int) -> None:
                """Kill the next node after each quarter, and start the one that was killed before."""
                got[0] += size
                if kills and got[0] > SIZE // 4 * (len(nodes) - len(kills) + 1):
                    node = kills.pop(0)
                    node.end()
                    node.start()

            fetched = await within(ENOUGH_S, store.fetch_pack(info, tmp_path / "pack", SIZE, progress))
            assert not kills
            assert fetched == got[0] == SIZE
            assert hashlib.sha256((tmp_path / "pack").read_bytes()).hexdigest() == info.sha256
            assert asked[0] - SIZE <= len(nodes) * MAX_WINDOW * CHUNK_BYTES

    asyncio.run(run())


def test_a_fetch_goes_on_after_the_agent_died(server: NatsServer, tmp_path: Path) -> None:
    """A new process fetches what is missing in the partial file; of a damaged one all is fetched again."""

    async def half(store: FleetStore, info: PackInfo) -> int:
        """Fetch until half of it is there, and give up."""
        got, there = [0], asyncio.Event()

        def progress(size: int) -> None:
            got[0] += size
            if got[0] > SIZE // 2:
                there.set()

        task = asyncio.create_task(store.fetch_pack(info, tmp_path / "pack", SIZE, progress))
        await within(ENOUGH_S, there.wait())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return got[0]

    async def run() -> None:
        async with opened([server]) as store:
            info = await within(ENOUGH_S, pushed(store, tmp_path, 1))
            before = await half(store, info)
        assert not (tmp_path / "pack").exists()
        async with opened([server]) as store:
            assert await within(ENOUGH_S, store.fetch_pack(info, tmp_path / "pack", SIZE)) == SIZE - before
            assert hashlib.sha256((tmp_path / "pack").read_bytes()).hexdigest() == info.sha256
            (tmp_path / "pack").unlink()
            before = await half(store, info)
            with (tmp_path / "pack.part").open("r+b") as stream:
                stream.write(bytes(1000))
            assert await within(ENOUGH_S, store.fetch_pack(info, tmp_path / "pack", SIZE)) == 2 * SIZE - before
            assert hashlib.sha256((tmp_path / "pack").read_bytes()).hexdigest() == info.sha256

    asyncio.run(run())
    assert sorted(path.name for path in tmp_path.glob("pack*")) == ["pack"]
