"""The store of a fleet at NATS servers: see `interface.py` for what each method promises."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from pathlib import Path

import msgspec
import structlog

from edge_config.errors import PatchedgeError
from edge_config.fleet_errors import AssignmentInvalid, FleetConflict, PackMissing
from edge_config.settings.fleet import FleetOfDevice, FleetServers
from edge_config.wire.fleet import Assignment, DeviceReport, PullOrder, Rollout, Signed
from runtime.brokers.nats_session import NatsSession, access_options
from runtime.client.within import ended
from runtime.fleet.store import objects
from runtime.fleet.store.connection import FleetConnection
from runtime.fleet.store.flood import NewestOfEach
from runtime.fleet.store.interface import PackInfo, Refused
from runtime.fleet.store.layout import FleetLayout, KeyBucket, desired_key, device_of, pulled_name
from runtime.fleet.store.make import make_pulled
from runtime.fleet.store.newest import StreamEntry, follow, newest_of, put_after, read
from runtime.fleet.store.packing import packed
from runtime.fleet.store.permissions import inbox_of
from runtime.fleet.store.records import MAX_JUMP, counter_of, decoded, last_counter, report_of
from runtime.fleet.store.signatures import decode, decode_rollout

_COUNTER = "counter"
_log = structlog.get_logger()


class FleetStore:
    """Use `FleetStore.connect`.

    Attributes:
        connection: to the servers.
        layout: names in the store.
    """

    def __init__(self, connection: FleetConnection, layout: FleetLayout) -> None:
        """Use `connect`."""
        self.connection, self.layout = connection, layout

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, settings: FleetServers, name: str = "", patience_s: float | None = None
    ) -> AsyncIterator[FleetStore]:
        """Connect, and reconnect indefinitely; nothing waits for the servers here.

        Args:
            settings: of a device or of an operator.
            name: name of the device where `settings` have none, or of the operator.
            patience_s: time after which a method gives up while the servers are away; None: never.

        Raises:
            SettingsError: credentials or certificates cannot be used.
            MissingExtra: credentials need a package that is not installed.
        """
        options = access_options(settings.servers, settings.credentials_file, settings.ca_file)
        options |= {"name": f"patchedge-fleet-{name or 'operator'}"}
        if isinstance(settings, FleetOfDevice):
            options["inbox_prefix"] = inbox_of(settings.name or name)
        connection = FleetConnection(settings.servers, options, patience_s)
        connection.start()
        try:
            yield cls(connection, FleetLayout(settings.prefix))
        finally:
            await connection.close()

    async def ready(self) -> None:
        """Wait for a connection, at most for the patience."""

        async def nothing(_session: NatsSession) -> None:
            """Need a connection, and no more."""

        await self.connection.call(nothing)

    async def put_pack(self, path: Path, *, replace: bool = False) -> PackInfo:
        """Store a packed bundle, or a bundle, which is packed first."""
        async with packed(path) as (info, file):
            with contextlib.suppress(PackMissing):
                if not replace and await self.pack(info.bundle) != info:
                    raise FleetConflict(
                        "another pack of this bundle is in the store, with another signature perhaps",
                        where=str(path),
                        remedy="`patchedge fleet push --replace`, then assign again: devices refuse what was replaced",
                    )
            await objects.upload(self.connection, self.layout.packs, info.bundle, info, file)
        return info

    async def pack(self, bundle: str) -> PackInfo:
        """Return what the store knows about the pack of a bundle."""
        record = await objects.find(self.connection, self.layout.packs, bundle)
        return PackInfo(bundle, record.sha256, record.size)

    async def fetch_pack(
        self, wanted: PackInfo, target: Path, max_bytes: int, progress: Callable[[int], None] | None = None
    ) -> int:
        """Download a pack into a file, going on where an earlier try has ended."""
        bucket, name = self.layout.packs, wanted.bundle
        return await objects.Download(self.connection, bucket, name, wanted, target, max_bytes, progress).run()

    async def watch_desired(
        self, device: str, groups: Collection[str], refused: Refused | None = None
    ) -> AsyncIterator[Signed]:
        """Yield what is assigned to a device and to its groups."""
        keys = [f"device.{device}.>", *(f"group.{group}.>" for group in groups)]
        async with contextlib.aclosing(self._signed(keys, refused)) as signed:
            async for one in signed:
                yield one

    async def watch_pulls(self, device: str, refused: Refused | None = None) -> AsyncIterator[Signed]:
        """Yield orders to this device to upload a bundle."""
        async with contextlib.aclosing(self._signed([f"pull.device.{device}.>"], refused)) as signed:
            async for one in signed:
                yield one

    async def say(self, report: DeviceReport) -> None:
        """Publish the report of a device."""
        subject, data = self.layout.said(report.device), msgspec.json.encode(report)
        stream = self.layout.said_stream
        await self.connection.call(lambda session: session.stream.publish(subject, data, stream=stream))

    async def reports(self) -> dict[str, DeviceReport]:
        """Return the newest report of each device."""
        entries = await self._read(self.layout.said_stream, self.layout.said("*"))
        found = filter(None, map(report_of, entries))
        return {one.device: one for one in sorted(found, key=lambda one: one.device)}

    async def watch_reports(self) -> AsyncIterator[DeviceReport]:
        """Yield the newest report of each device, then all that follow."""
        waiting: dict[str, StreamEntry] = {}
        some = asyncio.Event()

        def take(entry: StreamEntry) -> None:
            waiting[entry.subject] = entry
            some.set()

        async with self._following(self.layout.said_stream, [self.layout.said("*")], take, _tell):
            while True:
                await some.wait()
                entries = list(waiting.values())
                waiting.clear()
                some.clear()
                for entry in entries:
                    if (report := report_of(entry)) is not None:
                        yield report

    async def next_counter(self) -> int:
        """Return a number that nobody else gets, above all before."""
        return await self.raise_counter(0)

    async def raise_counter(self, least: int) -> int:
        """Return a number that nobody else gets, above all before and at least this one.

        Where somebody has raised the counter out of all measure, this one replaces it.
        """
        bucket = self.layout.desired
        while True:
            entry = await self._newest(bucket, _COUNTER)
            last = last_counter(entry)
            if last is None and not least:
                remedy = "`patchedge fleet init --counter N`, N above all that `fleet devices --json` shows"
                raise AssignmentInvalid("the counter of the store is damaged", where=bucket.name, remedy=remedy)
            above = 0 if last is None else last + 1
            counter = least if least and above > least + MAX_JUMP else max(least, above)
            if await self._put(bucket, _COUNTER, str(counter).encode(), entry):
                return counter

    async def assign(self, signed: Signed) -> None:
        """Publish a signed assignment in its slot."""
        await self._assign(signed, msgspec.json.decode(signed.payload, type=Assignment))

    async def order_pull(self, signed: Signed) -> None:
        """Publish a signed order to upload a bundle."""
        order = msgspec.json.decode(signed.payload, type=PullOrder)
        await self.connection.call(lambda session: make_pulled(session, self.layout, device_of(order)))
        await self._assign(signed, order)

    async def assigned(self) -> list[Assignment]:
        """Return all assignments that there are, by counter; signatures are not checked."""
        found = (decoded(signed.payload, Assignment) for signed in await self.signed_assignments())
        return sorted(filter(None, found), key=lambda one: one.counter)

    async def signed_assignments(self) -> list[Signed]:
        """Return all assignments that there are, as they were signed."""
        bucket, found = self.layout.desired, []
        for kind in ("device", "group"):
            entries = await self._read(bucket.stream, bucket.subject(f"{kind}.>"))
            found += [decoded(entry.data, Signed) for entry in entries]
        return [one for one in found if one is not None]

    async def put_pulled(self, order: PullOrder, path: Path) -> PackInfo:
        """Upload a bundle of this device, packed, as it was ordered."""
        async with packed(path) as (info, file):
            await objects.upload(self.connection, self.layout.pulled(device_of(order)), pulled_name(order), info, file)
        return info

    async def fetch_pulled(self, order: PullOrder, target: Path, max_bytes: int) -> PackInfo | None:
        """Download what a device has uploaded for an order; None: it has not yet."""
        bucket, name = self.layout.pulled(device_of(order)), pulled_name(order)
        try:
            record = await objects.find(self.connection, bucket, name)
        except PackMissing:
            return None
        info = PackInfo(record.description, record.sha256, record.size)
        await objects.Download(self.connection, bucket, name, info, target, max_bytes).run()
        return info

    async def rollout(self, rollout: str) -> tuple[Signed, int] | None:
        """Return a roll-out as it was signed, and its revision; None: there is none. Raises `RolloutForged`."""
        entry = await self._newest(self.layout.rollouts, rollout)
        if entry is None or not entry.data:
            return None
        return decode_rollout(entry.data, rollout), entry.seq

    async def put_rollout(self, rollout: str, signed: Signed, revision: int = 0) -> int:
        """Write a signed roll-out in place of this revision, 0: it is new; return the new one."""
        bucket, data = self.layout.rollouts, msgspec.json.encode(signed)
        before = StreamEntry(rollout, revision, b"") if revision else None
        if put := await self._put(bucket, rollout, data, before):
            return put
        entry = await self._newest(bucket, rollout)
        if entry is not None and entry.data == data:  # it was written, but the confirmation was lost
            return entry.seq
        raise FleetConflict("was changed by somebody else", where=f"roll-out {rollout}", remedy="read it again")

    async def rollouts(self) -> dict[str, Rollout]:
        """Return all roll-outs, by id."""
        bucket = self.layout.rollouts
        entries = await self._read(bucket.stream, bucket.subject(">"))
        signed = {bucket.key(entry.subject): decoded(entry.data, Signed) for entry in entries}
        found = {name: decoded(one.payload, Rollout) for name, one in signed.items() if one is not None}
        return {name: one for name, one in found.items() if one is not None}

    async def _assign(self, signed: Signed, record: Assignment | PullOrder) -> None:
        bucket, key, data = self.layout.desired, desired_key(record), msgspec.json.encode(signed)
        while True:
            entry = await self._newest(bucket, key)
            if entry is not None and entry.data == data:
                return
            if (there := counter_of(entry)) >= record.counter:
                said = f"a newer assignment ({there}) is there"
                raise FleetConflict(said, where=f"assignment {record.counter}", remedy="assign again")
            if await self._put(bucket, key, data, entry):
                return

    async def _read(self, stream: str, subject: str) -> list[StreamEntry]:
        return await self.connection.call(lambda session: read(session, stream, subject))

    async def _newest(self, bucket: KeyBucket, key: str) -> StreamEntry | None:
        return await self.connection.call(lambda session: newest_of(session, bucket.stream, bucket.subject(key)))

    async def _put(self, bucket: KeyBucket, key: str, data: bytes, before: StreamEntry | None) -> int | None:
        """Write a key whose newest entry is still `before`; return the new revision, None: it is not."""
        subject = bucket.subject(key)
        return await self.connection.call(lambda session: put_after(session, subject, data, before))

    async def _signed(self, keys: Sequence[str], refused: Refused | None) -> AsyncGenerator[Signed, None]:
        bucket, tell = self.layout.desired, _tell if refused is None else refused
        newest = NewestOfEach(tell)
        async with self._following(bucket.stream, [bucket.subject(key) for key in keys], newest.put, tell):
            while True:
                entry = await newest.get()
                if entry.data:  # else somebody has deleted the key: what was accepted stays
                    try:
                        yield decode(entry.data, bucket.key(entry.subject))
                    except AssignmentInvalid as error:
                        tell(error)

    @contextlib.asynccontextmanager
    async def _following(
        self,
        stream: str,
        subjects: Sequence[str],
        take: Callable[[StreamEntry], None],
        tell: Callable[[PatchedgeError], None],
    ) -> AsyncIterator[None]:
        """Follow subjects of a stream while the block runs."""

        async def one(subject: str) -> None:
            await self.connection.forever(lambda session: follow(session, stream, subject, take), tell)

        tasks = [asyncio.create_task(one(subject)) for subject in subjects]
        try:
            yield
        finally:
            await ended(*tasks)


def _tell(error: PatchedgeError) -> None:
    _log.warning("the store has something that is refused", reason=str(error))
