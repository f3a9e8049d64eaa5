"""Bundles of assignments on the disk: fetched, verified, unpacked, and deleted when nothing needs them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import structlog

from edge_config.bundle import files as bundles
from edge_config.bundle.files import SignatureCheck
from edge_config.bundle.pack import unpack
from edge_config.errors import BundleError, PatchedgeError
from edge_config.fleet_errors import PackSwapped, PackTooLarge
from runtime.client.within import ended
from runtime.fleet.agent.core.actions import Fetch
from runtime.fleet.agent.core.seen import PackSeen
from runtime.fleet.store.interface import FleetStoreApi, PackInfo
from runtime.process.backoff import Backoff

RETRY_S = (2.0, 60.0)
"""Shortest and longest wait before a pack is fetched again, seconds."""

SPARE_BYTES = 64 << 20
"""Room that is left on the disk."""

_TWICE = 2  # the pack, and the bundle that is unpacked from it


class PackShelf(Protocol):
    """What the agent needs of the bundles on the disk."""

    @property
    def fetched_bytes(self) -> int:
        """Bytes that were downloaded since the start."""

    def seen(self, wanted: Fetch) -> PackSeen:
        """Return how it is with the bundle of an assignment."""

    def start(self, wanted: Fetch) -> None:
        """Fetch it in the background, unless that is done already."""

    def prune(self, keep: Collection[str]) -> None:
        """Delete all bundles but these."""

    async def close(self) -> None:
        """End what runs in the background."""


class Packs:
    """The folder of bundles. Use it from one event loop; `PackShelf` says what its methods do."""

    def __init__(self, store: FleetStoreApi, folder: Path, judge: SignatureCheck, max_bytes: int) -> None:
        """Make the folders.

        Args:
            store: where packs come from.
            folder: where they go.
            judge: checks signatures of bundles.
            max_bytes: maximum size of a pack.

        Raises:
            OSError: the folders cannot be made.
        """
        self._store, self._judge, self._max_bytes = store, judge, max_bytes
        self._bundles, self._work = folder / "bundles", folder / "packs"
        for one in (self._bundles, self._work):
            one.mkdir(parents=True, exist_ok=True)
        for left in self._bundles.glob(".*"):  # an agent was killed while it unpacked
            shutil.rmtree(left, ignore_errors=True)
        self._seen: dict[str, PackSeen] = {}
        self._refused: dict[Fetch, PackSeen] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._backoff: dict[str, Backoff] = {}
        self._keep: frozenset[str] = frozenset()
        self._lock = asyncio.Lock()
        self.fetched_bytes = 0

    def seen(self, wanted: Fetch) -> PackSeen:
        """Return how it is with the bundle of an assignment."""
        seen = self._seen.get(wanted.root, PackSeen())
        if seen.state == "here" and not Path(seen.path).exists():  # the runtime deletes what it does not need
            del self._seen[wanted.root]
            seen = PackSeen()
        return self._refused.get(wanted, seen)

    def start(self, wanted: Fetch) -> None:
        """Fetch it in the background, unless that is done already."""
        if wanted.root not in self._tasks and self.seen(wanted).state not in {"here", "refused"}:
            self._seen.setdefault(wanted.root, PackSeen("fetching"))
            task = asyncio.create_task(self._get(wanted))
            self._tasks[wanted.root] = task
            task.add_done_callback(lambda _: self._tasks.pop(wanted.root, None))

    def prune(self, keep: Collection[str]) -> None:
        """Delete all bundles but these."""
        self._keep = frozenset(keep)
        for root in [root for root in self._seen if root not in self._keep and root not in self._tasks]:
            del self._seen[root]
        for path in (*self._bundles.iterdir(), *self._work.iterdir()):
            root = path.name.lstrip(".").partition(".")[0]  # what is being written begins with a dot
            if root not in self._keep and root not in self._tasks:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    async def close(self) -> None:
        """End what runs in the background."""
        await ended(*self._tasks.values())

    async def _get(self, wanted: Fetch) -> None:
        """Fetch and unpack one bundle; one at a time, so that the room on the disk is known."""
        async with self._lock:
            wait_s = 0.0
            try:
                path = self._bundles / wanted.root
                if not await asyncio.to_thread(self._is_whole, path, wanted.root):
                    await self._fetch(wanted, path)
                self._seen[wanted.root] = PackSeen("here", str(path))
                self._backoff.pop(wanted.root, None)
            except (PackSwapped, PackTooLarge, BundleError) as error:
                structlog.get_logger().warning("a pack is refused", root=wanted.root, reason=str(error))
                self._refused = {wanted: PackSeen("refused", reason=str(error))}
                self._seen.pop(wanted.root, None)
            except (PatchedgeError, OSError) as error:
                wait_s = self._backoff.setdefault(wanted.root, Backoff(*RETRY_S)).after(0.0)
                structlog.get_logger().warning(
                    "a pack could not be fetched", root=wanted.root, reason=str(error), next_try_s=round(wait_s, 1)
                )
                self._seen[wanted.root] = PackSeen("waiting", reason=str(error))
        await asyncio.sleep(wait_s)

    async def _fetch(self, wanted: Fetch, path: Path) -> None:
        self._seen[wanted.root] = PackSeen("fetching")
        self._check_room(wanted)
        pack = self._work / f"{wanted.root}.pack"
        info = PackInfo(bundle=wanted.root, sha256=wanted.sha256, size=wanted.size)
        await self._store.fetch_pack(info, pack, self._max_bytes, self._count)
        try:
            await asyncio.to_thread(self._unpack, pack, path, wanted.root)
        finally:
            pack.unlink(missing_ok=True)
        structlog.get_logger().info("fetched", root=wanted.root, size=wanted.size)

    def _count(self, size: int) -> None:
        self.fetched_bytes += size

    def _check_room(self, wanted: Fetch) -> None:
        """Refuse what is too large for this device, and wait where there is no room now.

        Raises:
            PackTooLarge: it can never fit.
            OSError: there is no room now.
        """
        if wanted.size > self._max_bytes:
            raise PackTooLarge(
                f"the pack has {_mb(wanted.size)} MB, and `fleet.max_mb` allows {_mb(self._max_bytes)}",
                where=wanted.root,
            )
        needed = _TWICE * wanted.size
        free = shutil.disk_usage(self._work).free
        if free < needed + SPARE_BYTES:
            raise OSError(f"the disk has {_mb(free)} MB left, and {_mb(needed + SPARE_BYTES)} MB are needed")

    def _is_whole(self, path: Path, root: str) -> bool:
        """Return whether a bundle is there and undamaged; another one is deleted."""
        if not path.exists():
            return False
        try:
            if bundles.read(path, self._judge).id == root:
                return True
        except BundleError as error:
            structlog.get_logger().warning(
                "a fetched bundle is damaged, and fetched again", path=str(path), reason=str(error)
            )
        shutil.rmtree(path, ignore_errors=True)
        return False

    def _unpack(self, pack: Path, path: Path, root: str) -> None:
        shutil.rmtree(path, ignore_errors=True)
        found = unpack(pack, path, self._judge)
        if found.id != root:
            shutil.rmtree(path, ignore_errors=True)
            raise PackSwapped(f"it holds the bundle {found.id[:12]}, not {root[:12]}", where=str(pack))


def _mb(size: int) -> int:
    return -(-size // (1 << 20))
