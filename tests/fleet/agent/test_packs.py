"""Bundles of assignments on the disk: fetched, verified, unpacked and deleted."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_config.bundle import files as bundles
from edge_config.settings.sections import Trust
from runtime.client.within import within
from runtime.fleet.agent.core.actions import Fetch
from runtime.fleet.agent.core.seen import PackSeen
from runtime.fleet.agent.packs import Packs
from runtime.security.trust import Judge
from tests.support.fakes.fleet_store import FakeFleetStore
from tests.support.tiny import make_bundle

PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "line.bundle")


class Disk:
    """A folder of bundles beside a store in memory."""

    def __init__(self, folder: Path, max_bytes: int = 1 << 30, trust: Trust | None = None) -> None:
        self.store = FakeFleetStore()
        self.folder = folder
        self.packs = Packs(self.store, folder, Judge(trust or Trust()), max_bytes)

    async def push(self, bundle: Path, counter: int = 1) -> Fetch:
        """Push a bundle, and return what an assignment of it asks for."""
        info = await self.store.put_pack(bundle)
        return Fetch(info.bundle, info.sha256, info.size, counter)

    async def until(self, wanted: Fetch, good: Callable[[PackSeen], bool]) -> PackSeen:
        """Ask for it until it is as it should be."""
        return await within(PATIENCE_S, self._until(wanted, good))

    async def _until(self, wanted: Fetch, good: Callable[[PackSeen], bool]) -> PackSeen:
        while not good(seen := self.packs.seen(wanted)):
            self.packs.start(wanted)
            await asyncio.sleep(0.01)
        return seen


def test_pack_is_fetched_once_and_unpacked(bundle: Path, tmp_path: Path) -> None:
    """The bundle is there under its id, whole; after a restart of the agent it is verified, and not fetched again.

    What an agent left that was killed while it unpacked is deleted.
    """

    async def tell() -> None:
        disk = Disk(tmp_path)
        wanted = await disk.push(bundle)
        seen = await disk.until(wanted, lambda one: one.state == "here")
        assert bundles.read(seen.path).id == bundles.read(bundle).id == wanted.root
        assert disk.packs.fetched_bytes == wanted.size
        (tmp_path / "bundles" / f".{wanted.root}.x.part" / "new").mkdir(parents=True)
        disk.packs = Packs(disk.store, tmp_path, Judge(Trust()), 1 << 30)
        await disk.until(wanted, lambda one: one.state == "here")
        assert disk.packs.fetched_bytes == 0
        assert [one.name for one in (tmp_path / "bundles").iterdir()] == [wanted.root]
        await disk.packs.close()

    asyncio.run(tell())


def test_damaged_bundle_is_fetched_again(bundle: Path, tmp_path: Path) -> None:
    """A bundle on the disk that a power cut or a disk has damaged is replaced."""

    async def tell() -> None:
        disk = Disk(tmp_path)
        wanted = await disk.push(bundle)
        path = Path((await disk.until(wanted, lambda one: one.state == "here")).path)
        (path / "index.hnsw").write_bytes(b"")
        disk.packs = Packs(disk.store, tmp_path, Judge(Trust()), 1 << 30)
        await disk.until(wanted, lambda one: one.state == "here")
        assert bundles.read(path).id == wanted.root
        shutil.rmtree(path)  # the runtime deletes what it does not need
        assert disk.packs.seen(wanted).state == "absent"
        await disk.packs.close()

    asyncio.run(tell())


def test_bundle_that_is_being_unpacked_is_not_deleted(bundle: Path, tmp_path: Path) -> None:
    """Deleting what nothing needs leaves alone what is wanted, while it is unpacked under a name of its own."""

    async def tell() -> None:
        disk = Disk(tmp_path)
        wanted = await disk.push(bundle)
        disk.packs.start(wanted)
        unpacking, other = (tmp_path / "bundles" / f".{root}.abcd.part" for root in (wanted.root, "0" * 64))
        unpacking.mkdir()
        other.mkdir()
        disk.packs.prune({wanted.root})
        assert unpacking.exists()
        assert not other.exists()
        await disk.packs.close()

    asyncio.run(tell())


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("swapped", "has other bytes"),
        ("other bundle", "it holds the bundle"),
        ("too large", "`fleet.max_mb` allows"),
        ("no signature", "there is no signature"),
    ],
)
def test_what_must_not_be_served_is_refused(bundle: Path, tmp_path: Path, fault: str, reason: str) -> None:
    """Other bytes, another bundle, more bytes than allowed, no trusted signature: nothing is left behind."""

    async def tell() -> None:
        trust = Trust(keys=("ed25519:" + "ab" * 32,)) if fault == "no signature" else None
        disk = Disk(tmp_path, 100 if fault == "too large" else 1 << 30, trust)
        wanted = await disk.push(bundle)
        if fault == "swapped":
            disk.store.packs[wanted.root] = bytes(wanted.size)
        if fault == "other bundle":
            data = disk.store.packs[wanted.root]
            disk.store.hold("ab" * 32, data)
            wanted = Fetch("ab" * 32, hashlib.sha256(data).hexdigest(), len(data), 1)
        seen = await disk.until(wanted, lambda one: one.state == "refused")
        assert reason in seen.reason
        assert not [*(tmp_path / "bundles").iterdir(), *(tmp_path / "packs").iterdir()]
        await disk.packs.close()

    asyncio.run(tell())


def test_full_disk_is_waited_for(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is checked before the download, and the reason says how much is needed."""

    async def tell() -> None:
        disk = Disk(tmp_path)
        wanted = await disk.push(bundle)
        full = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
        seen = await disk.until(wanted, lambda one: one.state == "waiting")
        assert seen.reason == "the disk has 1 MB left, and 65 MB are needed"
        assert disk.store.fetched == {}
        await disk.packs.close()

    asyncio.run(tell())


def test_bundles_that_nothing_needs_are_deleted(bundle: Path, tmp_path: Path) -> None:
    """Those that are named stay, half-fetched ones of others go."""

    async def tell() -> None:
        disk = Disk(tmp_path)
        wanted = await disk.push(bundle)
        path = Path((await disk.until(wanted, lambda one: one.state == "here")).path)
        (tmp_path / "packs" / f"{'ab' * 32}.pack.part").write_bytes(b"half")
        disk.packs.prune({wanted.root})
        assert path in [*(tmp_path / "bundles").iterdir()]
        assert not [*(tmp_path / "packs").iterdir()]
        await disk.until(wanted, lambda _: True)
        await asyncio.sleep(0)
        disk.packs.prune(())
        assert not [*(tmp_path / "bundles").iterdir()]
        await disk.packs.close()

    asyncio.run(tell())
