"""Make the store of a fleet at the servers, with bounds; what is there already stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, ObjectStoreConfig, StreamConfig
from nats.js.errors import NotFoundError

from edge_config.wire.fleet import MAX_ROLLOUT_BYTES, MAX_SIGNED_BYTES
from runtime.brokers.nats_session import NatsSession
from runtime.fleet.store.connection import FleetConnection
from runtime.fleet.store.layout import FleetLayout, ObjectBucket

SAID_EACH = 256
"""Reports that are kept of each device."""

SAID_S = 30 * 24 * 3600.0
PULLED_BYTES = 2 << 30
"""Maximum size of all that one device has uploaded."""

ROLLOUTS_S = 366 * 24 * 3600.0
"""Time after which a roll-out that nobody goes on with is forgotten: a large one takes half a megabyte, seconds."""

_SAID_BYTES = 1 << 30
_SAID_EACH_BYTES = 256 << 10
_DESIRED_BYTES = 256 << 20
_ROLLOUTS_BYTES = 256 << 20
_HISTORY = 5


@dataclass(frozen=True)
class StoreLimits:
    """Bounds of a new store.

    Attributes:
        replicas: servers of the cluster that hold each stream: 1, 3 or 5.
        packs_bytes: maximum size of all packs together.
    """

    replicas: int = 1
    packs_bytes: int = 20 << 30


async def make(connection: FleetConnection, layout: FleetLayout, limits: StoreLimits) -> dict[str, bool]:
    """Make all streams; return name of each -> whether it was made now.

    Raises:
        FleetAccessDenied: the credentials do not allow it.
        FleetUnavailable: the servers are away, have no JetStream, or not enough room.
    """
    return await connection.call(lambda session: _make(session, layout, limits))


async def make_pulled(session: NatsSession, layout: FleetLayout, device: str) -> bool:
    """Make the object store for uploads of one device, like that of packs; return whether it was made now."""
    packs = (await session.stream.stream_info(layout.packs.stream)).config
    config = ObjectStoreConfig(max_bytes=PULLED_BYTES, replicas=packs.num_replicas or 1)
    return await _object_store(session.stream, layout.pulled(device), config)


async def _make(session: NatsSession, layout: FleetLayout, limits: StoreLimits) -> dict[str, bool]:
    js, replicas = session.stream, limits.replicas
    said = StreamConfig(
        name=layout.said_stream,
        subjects=[layout.said("*")],
        max_msgs_per_subject=SAID_EACH,
        max_age=SAID_S,
        max_bytes=_SAID_BYTES,
        max_msg_size=_SAID_EACH_BYTES,
        num_replicas=replicas,
        allow_direct=True,
    )
    packs = ObjectStoreConfig(layout.packs.name, max_bytes=limits.packs_bytes, replicas=replicas)
    made = {layout.packs.name: await _object_store(js, layout.packs, packs)}
    desired = KeyValueConfig(
        layout.desired.name,
        history=_HISTORY,
        max_bytes=_DESIRED_BYTES,
        max_value_size=MAX_SIGNED_BYTES,
        replicas=replicas,
    )
    rollouts = KeyValueConfig(
        layout.rollouts.name,
        ttl=ROLLOUTS_S,
        max_bytes=_ROLLOUTS_BYTES,
        max_value_size=MAX_ROLLOUT_BYTES,
        replicas=replicas,
    )
    for bucket, config in ((layout.desired, desired), (layout.rollouts, rollouts)):
        if not (there := await _is_there(js, bucket.stream)):
            await js.create_key_value(config)
        made[bucket.name] = not there
    if not (there := await _is_there(js, layout.said_stream)):
        await js.add_stream(said)
    made[layout.said_stream] = not there
    return made


async def _object_store(js: JetStreamContext, bucket: ObjectBucket, config: ObjectStoreConfig) -> bool:
    if await _is_there(js, bucket.stream):
        return False
    await js.create_object_store(bucket.name, config)
    return True


async def _is_there(js: JetStreamContext, stream: str) -> bool:
    try:
        await js.stream_info(stream)
    except NotFoundError:
        return False
    return True
