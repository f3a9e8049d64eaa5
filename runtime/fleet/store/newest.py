"""Read the newest message of each subject of a stream, and follow what comes after: a pull consumer for each reader."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header
from nats.js.errors import APIError, NotFoundError

from runtime.brokers.nats_session import NatsSession
from runtime.client.within import within

READER = "fleet-"
"""Begins the names of consumers; 32 hex digits follow."""

HEARTBEAT_S = 4.0
"""Interval of the server's heartbeats; a consumer that misses one is made again."""

_MADE_S = (2.0, 5.0)
"""Time-out of a new consumer, drawn by chance: nats-server 2.9 may choose a server that is dead to hold it."""

_EXPIRES_S = 60.0
_UNUSED_S = 300.0  # the server deletes a consumer that nobody has asked for so long
_BATCH = 256
_NO_MESSAGE = 10037  # code of JetStream
_WRONG_NUMBER = frozenset({10071, 10164})  # codes of JetStream for a message that is not the newest of its subject


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """A message of a stream.

    Attributes:
        subject: its subject.
        seq: its number in the stream.
        data: its content; empty if the key was deleted.
        at_ms: when the server took it, milliseconds since 1970 UTC; 0 where that is not known.
    """

    subject: str
    seq: int
    data: bytes
    at_ms: int = 0


async def newest_of(session: NatsSession, stream: str, subject: str) -> StreamEntry | None:
    """Return the newest message of one subject, as the leader of the stream has it; None: there is none."""
    try:
        found = await session.stream.get_msg(stream, subject=subject)
    except NotFoundError as error:
        if error.err_code != _NO_MESSAGE:
            raise
        return None
    deleted = "KV-Operation" in (found.headers or {})
    return StreamEntry(subject, found.seq or 0, b"" if deleted else found.data or b"")


async def put_after(session: NatsSession, subject: str, data: bytes, before: StreamEntry | None) -> int | None:
    """Publish to a subject whose newest message is still `before`; return the new number, None: it is not."""
    headers: dict[str, Any] = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(before.seq if before else 0)}
    try:
        return (await session.stream.publish(subject, data, headers=headers)).seq
    except APIError as error:
        if error.err_code not in _WRONG_NUMBER:
            raise
        return None


async def read(session: NatsSession, stream: str, subject: str) -> list[StreamEntry]:
    """Return the newest message of each subject that matches."""
    found: list[StreamEntry] = []
    await _pull(session, stream, subject, found.append, follow=False)
    return found


async def follow(session: NatsSession, stream: str, subject: str, take: Callable[[StreamEntry], None]) -> None:
    """Take the newest message of each subject that matches, and then all that come; ends only by an error."""
    await _pull(session, stream, subject, take, follow=True)


async def _pull(
    session: NatsSession, stream: str, subject: str, take: Callable[[StreamEntry], None], *, follow: bool
) -> None:
    config = ConsumerConfig(
        name=f"{READER}{uuid4().hex}",
        filter_subject=subject,
        deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=_UNUSED_S,
        num_replicas=1,
        mem_storage=True,
    )
    info = await session.stream.add_consumer(stream, config, timeout=random.uniform(*_MADE_S))  # noqa: S311 - no secret
    if not follow and not info.num_pending:
        return
    inbox = session.client.new_inbox()
    answers = await session.client.subscribe(inbox)
    order = {"batch": _BATCH, "expires": _ns(_EXPIRES_S), "idle_heartbeat": _ns(HEARTBEAT_S)}
    try:
        while True:
            await session.client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{info.name}", json.dumps(order).encode(), reply=inbox
            )
            left = _BATCH
            while left:
                message = await _next(answers)
                status = (message.headers or {}).get("Status")
                if status is None:
                    left -= 1
                    take(_entry(message))
                    if not follow and not message.metadata.num_pending:
                        return
                elif status == "408":  # expired: ask again
                    break
                elif status != "100":  # no heartbeat: the consumer is gone
                    raise nats.errors.Error(f"reading {stream} has ended ({status})")
    finally:
        if not session.client.is_closed:
            await answers.unsubscribe()


async def _next(answers: Subscription) -> Msg:
    """Return the next answer; with a time-out of its own, `next_msg` could drop a cancellation (see `within`)."""
    try:
        return await within(1.75 * HEARTBEAT_S, answers.next_msg(None))
    except asyncio.TimeoutError as error:
        raise nats.errors.TimeoutError from error


def _entry(message: Msg) -> StreamEntry:
    operation = (message.headers or {}).get("KV-Operation")
    known = message.metadata
    at_ms = round(known.timestamp.timestamp() * 1000)
    return StreamEntry(message.subject, known.sequence.stream, b"" if operation else message.data, at_ms)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
