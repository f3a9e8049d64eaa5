"""Objects of a NATS object store: upload, and download that goes on where it ended, bounded and verified.

Chunks are read one by one by their place in the stream ("direct get"), a few at a time: that needs no state at the
server, so that a server that dies costs one request, and every replica can answer. What the store says about an
object is a hint only; size and hash come from elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

import msgspec
import nats.errors
from nats.js.api import Header
from nats.nuid import NUID

from edge_config.fleet_errors import PackMissing, PackSwapped, PackTooLarge
from edge_config.saving import writing
from runtime.brokers.nats_session import NatsSession
from runtime.fleet.store.connection import FleetConnection
from runtime.fleet.store.interface import PackInfo
from runtime.fleet.store.layout import ObjectBucket
from runtime.fleet.store.newest import newest_of
from runtime.fleet.store.records import UNREADABLE

CHUNK_BYTES = 128 << 10
MAX_WINDOW = 8
"""Chunks that are asked for at a time."""

_FAST_S = 1.0
_ANSWER_S = (4.0, 30.0)
"""First and longest time-out of a chunk: a replica that died costs the first, and on a slow line it grows."""

_CONFIRM_S = 30.0
_BEHIND_S = 0.2
_TRIES = 10  # with the wait between them: a replica may be behind
_NUID = re.compile(r"[0-9A-Za-z]{1,64}")
_SHA256 = "SHA-256="


class ObjectRecord(msgspec.Struct, frozen=True):
    """What the store says about an object; other clients write more of it."""

    name: str
    nuid: str
    size: int = 0
    digest: str = ""
    deleted: bool = False
    description: str = ""

    @property
    def sha256(self) -> str:
        """Its sha256 in hex digits; empty if it is none."""
        try:
            return base64.urlsafe_b64decode(self.digest.removeprefix(_SHA256)).hex()
        except ValueError:
            return ""


class _Place(msgspec.Struct, frozen=True):
    """How far a partial file goes, in a small file beside it."""

    nuid: str
    seq: int
    size: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk, and its number in the stream."""

    seq: int
    data: bytes


_LATE = _Chunk(0, b"")
"""Stands for an answer that did not come in time."""


async def find(connection: FleetConnection, bucket: ObjectBucket, name: str) -> ObjectRecord:
    """Return the record of an object.

    Raises:
        PackMissing: there is none, or it is not understood.
    """
    try:
        found = await connection.call(lambda session: newest_of(session, bucket.stream, bucket.record(name)))
        data = b'{"name": "", "nuid": ""}' if found is None else found.data
        record = msgspec.json.decode(data, type=ObjectRecord)
    except UNREADABLE as error:
        raise PackMissing(f"its record is not understood ({error})", where=_where(name), remedy="push it") from error
    if record.deleted or _NUID.fullmatch(record.nuid) is None:
        raise PackMissing("is not in the store", where=_where(name), remedy="push it")
    return record


async def upload(connection: FleetConnection, bucket: ObjectBucket, name: str, info: PackInfo, path: Path) -> None:
    """Upload a file, unless the same is there already; a chunk that was not confirmed is sent again."""
    old: ObjectRecord | None = None
    try:
        old = await find(connection, bucket, name)
        if (old.size, old.sha256) == (info.size, info.sha256):
            return
    except PackMissing:
        pass
    nuid, count = NUID().next().decode(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            await _publish(connection, bucket.chunks(nuid), chunk, {"Nats-Msg-Id": f"{nuid}-{count}"})
            count += 1
    digest = base64.urlsafe_b64encode(bytes.fromhex(info.sha256)).decode()
    record = {
        "name": name,
        "description": info.bundle,
        "options": {"max_chunk_size": CHUNK_BYTES},
        "bucket": bucket.name,
        "nuid": nuid,
        "size": info.size,
        "chunks": count,
        "digest": f"{_SHA256}{digest}",
    }
    await _publish(connection, bucket.record(name), json.dumps(record).encode(), {Header.ROLLUP: "sub"})
    if old is not None:
        await connection.call(
            lambda session: session.stream.purge_stream(bucket.stream, subject=bucket.chunks(old.nuid))
        )


async def _publish(connection: FleetConnection, subject: str, data: bytes, headers: dict[str, str]) -> None:
    await connection.call(lambda session: session.stream.publish(subject, data, timeout=_CONFIRM_S, headers=headers))


@dataclass
class Download:
    """A download of one object into `target` + `.part`, which becomes `target` when it is whole and verified."""

    connection: FleetConnection
    bucket: ObjectBucket
    name: str
    wanted: PackInfo
    target: Path
    max_bytes: int
    progress: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        """Name the files."""
        self._part = self.target.with_name(f"{self.target.name}.part")
        self._place = self.target.with_name(f"{self.target.name}.place")
        self._where = _where(self.name)
        self._answer_s = _ANSWER_S[0]

    async def run(self) -> int:
        """Return the number of bytes that were downloaded; errors as those of `Store.fetch_pack`."""
        if self.wanted.size > self.max_bytes:
            said = f"{self.wanted.size} bytes are assigned, {self.max_bytes} are allowed"
            raise PackTooLarge(said, where=self._where, remedy="raise `fleet.max_mb` if this is right")
        record = await find(self.connection, self.bucket, self.name)
        if record.size > self.wanted.size:
            raise PackTooLarge(f"has {record.size} bytes, {self.wanted.size} are assigned", where=self._where)
        fetched, resumed = await self._fetch(record)
        if await self._is_good():
            return fetched
        if resumed:  # the partial file may be damaged, by a power cut say
            fetched += (await self._fetch(record))[0]
            if await self._is_good():
                return fetched
        said = f"its sha256 or size is not the assigned one ({self.wanted.size} bytes, {self.wanted.sha256[:12]}...)"
        raise PackSwapped(said, where=self._where, remedy="push it again; distrust who can write to the servers")

    async def _fetch(self, record: ObjectRecord) -> tuple[int, bool]:
        """Fetch what the partial file lacks; return the number of bytes, and whether there was a partial file."""
        with writing(self.target, full_only=True):
            place = self._resume(record)
            fetched, had = 0, place.size
            with self._part.open("r+b" if had else "wb") as stream:
                stream.truncate(had)
                stream.seek(had)
                size = had
                async for seq, chunk in self._chunks(record, place):
                    size, fetched = size + len(chunk), fetched + len(chunk)
                    if size > self.wanted.size:
                        self._forget()
                        said = f"goes on after the {self.wanted.size} bytes that are assigned"
                        raise PackTooLarge(said, where=self._where)
                    stream.write(chunk)
                    stream.flush()
                    self._place.write_bytes(msgspec.json.encode(_Place(record.nuid, seq, size)))
                    if self.progress is not None:
                        self.progress(len(chunk))
                await asyncio.to_thread(os.fsync, stream.fileno())
        return fetched, bool(had)

    def _resume(self, record: ObjectRecord) -> _Place:
        """Return how far the partial file goes, if it is one of this object."""
        try:
            place = msgspec.json.decode(self._place.read_bytes(), type=_Place)
            if place.nuid == record.nuid and 0 < place.size <= self._part.stat().st_size:
                return place
        except (OSError, *UNREADABLE):
            pass
        return _Place(record.nuid, 0, 0)

    async def _chunks(self, record: ObjectRecord, place: _Place) -> AsyncIterator[tuple[int, bytes]]:
        """Yield the chunks after a place, each with its number in the stream, until the object has its size."""
        seq, size, window, clock = place.seq, place.size, 1, asyncio.get_running_loop().time
        while size < record.size:
            count = min(window, -(-(record.size - size) // CHUNK_BYTES)) if seq else 1
            began_s, from_seq = clock(), seq
            messages = await self._ask(record, from_seq, count)
            window = min(2 * window, MAX_WINDOW) if clock() - began_s < _FAST_S else max(1, window // 2)
            for message in messages:
                if not message.data:
                    raise PackMissing("has an empty chunk", where=self._where, remedy="push it again")
                if message.seq > seq:
                    seq, size = message.seq, size + len(message.data)
                    yield seq, message.data

    async def _ask(self, record: ObjectRecord, after: int, count: int) -> list[_Chunk]:
        """Return the next chunk, and some that follow it: their places are guessed."""
        tries = _TRIES
        while tries:
            seqs = range(after + 1, after + 1 + count)
            answers = await self.connection.call(partial(self._together, record=record, seqs=seqs))
            # Each is the first at its place or behind it: with the ones before it, no chunk is left out.
            if found := list(takewhile(_is_chunk, answers)):
                return [one for one in found if one is not None]
            if answers[0] is None:
                tries -= 1
                await asyncio.sleep(_BEHIND_S)
            else:
                self._answer_s, count = min(2 * self._answer_s, _ANSWER_S[1]), 1
        raise PackMissing("is in the store in part only", where=self._where, remedy="push it again")

    async def _together(self, session: NatsSession, record: ObjectRecord, seqs: range) -> list[_Chunk | None]:
        subject, stream, wait_s = self.bucket.chunks(record.nuid), self.bucket.stream, self._answer_s
        return list(await asyncio.gather(*(_one(session, stream, subject, seq, wait_s) for seq in seqs)))

    async def _is_good(self) -> bool:
        """Return whether the file is the wanted one, and give it its name if it is; else it is deleted."""
        with writing(self.target, full_only=True):
            good = self._part.stat().st_size == self.wanted.size
            good = good and await asyncio.to_thread(sha256_of, self._part) == self.wanted.sha256
            if good:
                self._part.replace(self.target)
                self._place.unlink(missing_ok=True)
            else:
                self._forget()
        return good

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._place.unlink(missing_ok=True)


async def _one(session: NatsSession, stream: str, subject: str, seq: int, wait_s: float) -> _Chunk | None:
    """Return the first message of a subject at this number of the stream or after it; None: there is none."""
    order = {"seq": seq, "next_by_subj": subject}
    try:
        answer = await session.client.request(
            f"$JS.API.DIRECT.GET.{stream}", json.dumps(order).encode(), timeout=wait_s
        )
    except nats.errors.TimeoutError:
        return _LATE
    headers = answer.headers or {}
    if headers.get("Status") == "404":
        return None
    if "Nats-Sequence" not in headers:
        raise nats.errors.Error(f"no chunk ({headers.get('Description', 'no answer')})")
    return _Chunk(int(headers["Nats-Sequence"]), answer.data)


def _is_chunk(one: _Chunk | None) -> bool:
    return one is not None and one is not _LATE


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while part := stream.read(1 << 20):
            digest.update(part)
        return digest.hexdigest()


def _where(name: str) -> str:
    return f"pack {name[:12]}"
