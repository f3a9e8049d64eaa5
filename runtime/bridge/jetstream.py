"""Publish to a NATS server with JetStream.

    PREFIX.alert.DEVICE.CAMERA    each alert message, JSON as the device published it
    PREFIX.state.DEVICE.CAMERA    states, JSON; of those in quick succession the newest
    PREFIX.score.DEVICE.CAMERA    scores, JSON: plain NATS, stored by no stream of ours

Alerts and states have a `Nats-Msg-Id`, so that the stream leaves out what is published again within its window (two
minutes by default). Alert messages of a camera are stored in their order. Pictures and heat maps are left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import structlog
from nats.js.errors import NotFoundError

from edge_config.settings.bridge import Nats
from edge_config.wire.messages import AlertMessage, AnyMessage, HealthMessage, Kind, ScoreMessage, StateMessage
from runtime.bridge.latest import Latest
from runtime.bridge.topics import body
from runtime.brokers.connection import BrokerConnection
from runtime.brokers.nats_session import NatsSession, access_options, nats_session

KEEP_S = 30 * 24 * 3600
"""Retention of a stream that we make, seconds."""

MAX_PENDING = 64 * 1024
"""Scores are dropped while more bytes than this wait to be written to the network."""


class NatsSink:
    """A NATS server or cluster."""

    def __init__(self, settings: Nats, bridge: str) -> None:
        """Set it up; nothing connects before `start`.

        Args:
            settings: of the servers.
            bridge: name of the bridge, which the servers show.

        Raises:
            SettingsError: the credentials cannot be used.
            MissingExtra: credentials need a package that is not installed.
        """
        self.name = f"nats {', '.join(settings.servers)}"
        self._settings = settings
        self._options: dict[str, Any] = {
            "name": f"patchedge-{bridge}",
            **access_options(settings.servers, settings.credentials_file),
        }
        self._latest: Latest[tuple[bytes, str]] = Latest(lambda subject, said: self._publish(subject, *said))
        self._connection = BrokerConnection(self.name, self._connect)

    async def start(self) -> None:
        """Begin to connect."""
        self._connection.start()

    async def alert(self, said: AlertMessage, _parts: Sequence[bytes], key: str) -> None:
        """Publish an alert message, after those of the camera before it; return when the stream has it."""
        await self._publish(self._subject("alert", said), body(said), key)

    def state(self, said: StateMessage, key: str) -> None:
        """Publish the state of a camera in time."""
        self._latest.put(self._subject("state", said), (body(said), key))

    async def score(self, said: ScoreMessage) -> bool:
        """Publish a score if the server takes it now."""
        session = self._connection.session
        if session is None or session.client.pending_data_size > MAX_PENDING:
            return False
        try:
            await session.client.publish(self._subject("score", said), body(said))
        except Exception:  # noqa: BLE001 - whatever nats-py makes of a server that dies
            return False
        return True

    def health(self, said: HealthMessage) -> None:
        """Do nothing: the messages of a stream show that a device is alive."""

    def lost(self, device: str) -> None:
        """Do nothing."""

    async def close(self, timeout_s: float) -> None:
        """Disconnect."""
        await self._latest.close()
        await self._connection.close(timeout_s)

    def _subject(self, kind: Kind, said: AnyMessage) -> str:
        return f"{self._settings.prefix}.{kind}.{said.device}.{said.camera}"

    async def _publish(self, subject: str, payload: bytes, key: str) -> None:
        stream = self._settings.stream
        await self._connection.until_confirmed(subject, lambda session: session.publish(subject, payload, key, stream))

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[NatsSession]:
        """Connect once, and make the stream if there is none."""
        async with nats_session(self._settings.servers, self._options, self._connection.trouble) as session:
            await self._make_stream(session)
            yield session

    async def _make_stream(self, session: NatsSession) -> None:
        """Make the stream if there is none; one that is there is left as it is."""
        name, prefix = self._settings.stream, self._settings.prefix
        try:
            await session.stream.stream_info(name)
        except NotFoundError:
            subjects = [f"{prefix}.alert.>", f"{prefix}.state.>"]
            await session.stream.add_stream(name=name, subjects=subjects, max_age=KEEP_S)
            structlog.get_logger().info("stream made", broker=self.name, stream=name, subjects=subjects)
