"""A store of a fleet in memory, with the API of the real one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import msgspec

from edge_config.bundle import files as bundles
from edge_config.bundle import pack
from edge_config.fleet_errors import FleetConflict, PackMissing, PackSwapped, PackTooLarge
from edge_config.wire.fleet import Assignment, DeviceReport, PullOrder, Rollout, Signed
from runtime.fleet.store.counters import slot
from runtime.fleet.store.interface import PackInfo, Refused

T = TypeVar("T")


class FakeFleetStore:
    """What a NATS cluster holds, for all devices and operators of a test; `up.clear()` is a cluster that is away.

    Attributes:
        packs: bundle id -> bytes of its pack.
        fetched: bytes that were downloaded, by bundle id.
        history: every report, in order.
    """

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.up.set()
        self.packs: dict[str, bytes] = {}
        self.fetched: dict[str, int] = {}
        self.history: list[DeviceReport] = []
        self._infos: dict[str, PackInfo] = {}
        self._desired: dict[str, Signed] = {}
        self._pulls: dict[str, Signed] = {}
        self._pulled: dict[str, tuple[str, bytes]] = {}
        self._reports: dict[str, DeviceReport] = {}
        self._rollouts: dict[str, tuple[Signed, int]] = {}
        self._counter = self._revision = 0
        self._changed = asyncio.Condition()

    def hold(self, bundle: str, data: bytes) -> PackInfo:
        """Hold these bytes as the pack of a bundle."""
        self.packs[bundle] = data
        self._infos[bundle] = PackInfo(bundle, hashlib.sha256(data).hexdigest(), len(data))
        return self._infos[bundle]

    async def put_pack(self, path: Path, *, replace: bool = False) -> PackInfo:
        await self.up.wait()
        bundle, data = _packed(path)
        if not replace and self.packs.get(bundle, data) != data:
            raise FleetConflict("another pack of this bundle is in the store", where=str(path))
        return self.hold(bundle, data)

    async def pack(self, bundle: str) -> PackInfo:
        await self.up.wait()
        if bundle not in self._infos:
            raise PackMissing("is not in the store", where=f"pack {bundle[:12]}")
        return self._infos[bundle]

    async def fetch_pack(
        self, wanted: PackInfo, target: Path, max_bytes: int, progress: Callable[[int], None] | None = None
    ) -> int:
        held = await self.pack(wanted.bundle)
        return self._write(self.packs[held.bundle], wanted, target, max_bytes, progress)

    def _write(
        self, data: bytes, wanted: PackInfo, target: Path, max_bytes: int, progress: Callable[[int], None] | None
    ) -> int:
        if len(data) > min(wanted.size, max_bytes):
            raise PackTooLarge(f"has {len(data)} bytes", where=f"pack {wanted.bundle[:12]}")
        self.fetched[wanted.bundle] = self.fetched.get(wanted.bundle, 0) + len(data)
        if hashlib.sha256(data).hexdigest() != wanted.sha256:
            raise PackSwapped("has other bytes", where=f"pack {wanted.bundle[:12]}")
        target.write_bytes(data)
        if progress is not None:
            progress(len(data))
        return len(data)

    def watch_desired(
        self,
        device: str,
        groups: Collection[str],
        refused: Refused | None = None,  # noqa: ARG002 - nothing is refused here
    ) -> AsyncIterator[Signed]:
        targets = {f"device:{device}", *(f"group:{group}" for group in groups)}
        return self._watch(
            lambda: {name: one for name, one in self._desired.items() if name.partition("/")[0] in targets}
        )

    def watch_pulls(
        self,
        device: str,
        refused: Refused | None = None,  # noqa: ARG002 - as above
    ) -> AsyncIterator[Signed]:
        return self._watch(
            lambda: {name: one for name, one in self._pulls.items() if name.startswith(f"device:{device}/")}
        )

    async def say(self, report: DeviceReport) -> None:
        await self.up.wait()
        async with self._changed:
            self._reports[report.device] = report
            self.history.append(report)
            self._changed.notify_all()

    async def reports(self) -> dict[str, DeviceReport]:
        await self.up.wait()
        return dict(self._reports)

    def watch_reports(self) -> AsyncIterator[DeviceReport]:
        return self._watch(lambda: self._reports)

    async def next_counter(self) -> int:
        await self.up.wait()
        self._counter += 1
        return self._counter

    async def assign(self, signed: Signed) -> None:
        await self.up.wait()
        record = msgspec.json.decode(signed.payload, type=Assignment)
        before = self._desired.get(slot(record))
        if before is not None and msgspec.json.decode(before.payload, type=Assignment).counter >= record.counter:
            raise FleetConflict("a newer assignment is there", where=f"assignment {record.counter}")
        await self.place(signed)

    async def place(self, signed: Signed, at: str | None = None) -> None:
        """Put something into a slot without a look at it, as one does who can write to the servers."""
        async with self._changed:
            self._desired[at or slot(msgspec.json.decode(signed.payload, type=Assignment))] = signed
            self._changed.notify_all()

    async def assigned(self) -> list[Assignment]:
        await self.up.wait()
        found = (msgspec.json.decode(one.payload, type=Assignment) for one in self._desired.values())
        return sorted(found, key=lambda one: one.counter)

    async def signed_assignments(self) -> list[Signed]:
        await self.up.wait()
        return list(self._desired.values())

    async def order_pull(self, signed: Signed) -> None:
        await self.up.wait()
        async with self._changed:
            self._pulls[slot(msgspec.json.decode(signed.payload, type=PullOrder))] = signed
            self._changed.notify_all()

    async def put_pulled(self, order: PullOrder, path: Path) -> PackInfo:
        await self.up.wait()
        bundle, data = _packed(path)
        self._pulled[f"{slot(order)}/{order.counter}"] = bundle, data
        return PackInfo(bundle, hashlib.sha256(data).hexdigest(), len(data))

    async def fetch_pulled(self, order: PullOrder, target: Path, max_bytes: int) -> PackInfo | None:
        await self.up.wait()
        found = self._pulled.get(f"{slot(order)}/{order.counter}")
        if found is None:
            return None
        bundle, data = found
        info = PackInfo(bundle, hashlib.sha256(data).hexdigest(), len(data))
        self._write(data, info, target, max_bytes, None)
        return info

    async def rollout(self, rollout: str) -> tuple[Signed, int] | None:
        await self.up.wait()
        return self._rollouts.get(rollout)

    async def put_rollout(self, rollout: str, signed: Signed, revision: int = 0) -> int:
        await self.up.wait()
        if self._rollouts.get(rollout, (signed, 0))[1] != revision:
            raise FleetConflict("was changed by somebody else", where=f"roll-out {rollout}")
        self._revision += 1
        self._rollouts[rollout] = (signed, self._revision)
        return self._revision

    async def rollouts(self) -> dict[str, Rollout]:
        await self.up.wait()
        return {name: msgspec.json.decode(one.payload, type=Rollout) for name, (one, _) in self._rollouts.items()}

    async def _watch(self, entries: Callable[[], dict[str, T]]) -> AsyncIterator[T]:
        seen: dict[str, T] = {}
        while True:
            await self.up.wait()
            async with self._changed:
                await self._changed.wait_for(lambda: any(seen.get(name) is not one for name, one in entries().items()))
                fresh = {name: one for name, one in entries().items() if seen.get(name) is not one}
            for name, one in fresh.items():
                seen[name] = one
                yield one


def _packed(path: Path) -> tuple[str, bytes]:
    """Return the id of a bundle, and its pack."""
    with TemporaryDirectory() as folder:
        if path.is_dir():
            pack.pack(bundles.read(path), Path(folder) / "pack")
            return bundles.read(path).id, (Path(folder) / "pack").read_bytes()
        return pack.unpack(path, Path(folder) / "bundle").id, path.read_bytes()
