"""Publish to an MQTT broker; `topics.py` has the topic layout."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiomqtt

from edge_config.errors import SettingsError
from edge_config.settings.bridge import Mqtt
from edge_config.wire.messages import AlertMessage, HealthMessage, ScoreMessage, StateMessage
from runtime.bridge.latest import Latest
from runtime.bridge.newer import Moment, Newest
from runtime.bridge.topics import OFF, OFFLINE, ON, ONLINE, Entity, Topics, body, discovery
from runtime.brokers.connection import BrokerConnection
from runtime.brokers.secret import read_secret

KEEPALIVE_S = 15
"""Time-out of a broker that does not answer, seconds."""

MAX_SCORES = 100
"""Scores that may wait to be written to the network; more are dropped."""

_IN_FLIGHT = 1000  # the relays have limits of their own
_CONNECT_S = 3.0
_SEND_AT_ONCE = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a packet may wait 40 ms for the one before it

_log = logging.getLogger(__name__)  # what aiomqtt would print beside our log
_log.addHandler(logging.NullHandler())
_log.propagate = False


class MqttSession:
    """One connection, from its beginning to its end."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def until_lost(self) -> None:
        """Wait for the end: nothing is subscribed to, so there are no messages before it."""
        async for _ in self._client.messages:
            pass

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish, and wait for the confirmation; with QoS 0 until it is written to the network."""
        await self._client.publish(topic, payload, qos, retain, timeout=math.inf)


class MqttSink:
    """An MQTT broker. What is retained there is published again when it was away: it may have forgotten it."""

    def __init__(self, settings: Mqtt, bridge: str, *, scores: bool) -> None:
        """Set it up; nothing connects before `start`.

        Args:
            settings: of the broker.
            bridge: name of the bridge.
            scores: scores are forwarded.

        Raises:
            SettingsError: a password or certificate file cannot be used.
        """
        self._topics = Topics(settings.prefix, bridge)
        self.name = f"mqtt {settings.host}:{settings.port}"
        self._options: dict[str, Any] = {
            "hostname": settings.host,
            "port": settings.port,
            "identifier": bridge,  # another client with the same one replaces this one
            "will": aiomqtt.Will(self._topics.bridge_status, OFFLINE, qos=1, retain=True),
            **_access(settings),
        }
        self._connection = BrokerConnection(self.name, self._connect, self._publish_again)
        self._scores: set[asyncio.Task[None]] = set()
        self._discovery = settings.discovery
        self._entities: tuple[Entity, ...] = ("anomaly", "state", "score") if scores else ("anomaly", "state")
        self._retained: dict[str, bytes] = {}
        self._latest: Latest[None] = Latest(lambda topic, _: self._publish_retained(topic))
        self._newest = Newest()
        self._devices: set[str] = set()
        self._discovered: set[tuple[str, str, Entity]] = set()

    async def start(self) -> None:
        """Begin to connect."""
        self._connection.start()
        self._retain(self._topics.bridge_status, ONLINE)

    async def alert(self, said: AlertMessage, parts: Sequence[bytes], _key: str) -> None:
        """Publish an alert message, and whether the camera shows an anomaly now; return when all is confirmed."""
        device, camera = said.device, said.camera
        self._discover(device, camera, *self._entities)
        publishing: list[Awaitable[None]] = [
            self._publish(self._topics.of(device, camera, "alert"), body(said), retain=False)
        ]
        if self._newest.take(device, camera, Moment.of(said)):
            topic, anomaly = self._topics.of(device, camera, "anomaly"), OFF if said.phase == "end" else ON
            self._retained[topic] = anomaly
            # One by one: between two alerts it is OFF, however slow the broker is.
            publishing.append(self._publish(topic, anomaly, retain=True))
            pictures = (part for about, part in zip(said.parts, parts, strict=False) if about.name == "jpeg")
            if (picture := next(pictures, None)) is not None:
                self._discover(device, camera, "picture")
                arrival = self._retain(self._topics.of(device, camera, "picture"), picture)
                publishing.append(asyncio.shield(arrival))
        await asyncio.gather(*publishing)

    def state(self, said: StateMessage, _key: str) -> None:
        """Retain the state of a camera."""
        self._discover(said.device, said.camera, *self._entities)
        self._retain(self._topics.of(said.device, said.camera, "state"), body(said))

    async def score(self, said: ScoreMessage) -> bool:
        """Publish a score if the broker takes it now."""
        session = self._connection.session
        if session is None or len(self._scores) >= MAX_SCORES:
            return False
        task = asyncio.create_task(_try(session, self._topics.of(said.device, said.camera, "score"), body(said)))
        self._scores.add(task)
        task.add_done_callback(self._scores.discard)
        return True

    def health(self, said: HealthMessage) -> None:
        """Publish that the device is online, and that a camera without any alert yet shows no anomaly."""
        self._devices.add(said.device)
        self._discover(said.device, said.camera, *self._entities)
        self._say_once(self._topics.device_status(said.device), ONLINE)
        # Alerts of an earlier run that were open are ended in this one: without a message in it none is open.
        never = Moment(said.epoch, 0, said.t_publish_ns)
        if said.alert_seq == 0 and self._newest.take(said.device, said.camera, never):
            self._say_once(self._topics.of(said.device, said.camera, "anomaly"), OFF)

    def lost(self, device: str) -> None:
        """Publish that a device is offline."""
        self._say_once(self._topics.device_status(device), OFFLINE)

    async def close(self, timeout_s: float) -> None:
        """Publish that the bridge is offline, and the devices, which it watches no more; disconnect."""
        if self._connection.session is not None:
            topics = [*map(self._topics.device_status, self._devices), self._topics.bridge_status]
            await asyncio.wait([self._retain(topic, OFFLINE) for topic in topics], timeout=timeout_s / 2)
        await self._latest.close()
        self._drop_scores()
        await self._connection.close(timeout_s / 2)

    def _discover(self, device: str, camera: str, *entities: Entity) -> None:
        """Publish discovery messages for entities that are new to Home Assistant."""
        for entity in entities if self._discovery else ():
            if (device, camera, entity) not in self._discovered:
                self._discovered.add((device, camera, entity))
                self._retain(*discovery(self._topics, self._discovery, device, camera, entity))

    def _say_once(self, topic: str, payload: bytes) -> None:
        if self._retained.get(topic) != payload:
            self._retain(topic, payload)

    def _retain(self, topic: str, payload: bytes) -> asyncio.Future[None]:
        self._retained[topic] = payload
        return self._latest.put(topic, None)

    async def _publish_retained(self, topic: str) -> None:
        def publish(session: MqttSession) -> Coroutine[Any, Any, None]:
            return session.publish(topic, self._retained[topic], retain=True)  # the newest, each time

        await self._connection.until_confirmed(topic, publish)

    async def _publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        await self._connection.until_confirmed(topic, lambda session: session.publish(topic, payload, retain=retain))

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[MqttSession]:
        client = aiomqtt.Client(
            **self._options,
            timeout=_CONNECT_S,
            keepalive=KEEPALIVE_S,
            max_inflight_messages=_IN_FLIGHT,
            socket_options=[_SEND_AT_ONCE],
            logger=_log,
        )
        async with client:
            yield MqttSession(client)

    def _drop_scores(self) -> None:
        """Drop those that wait: what was not written when a connection broke never will be."""
        for task in self._scores:
            task.cancel()

    def _publish_again(self) -> None:
        self._drop_scores()
        for topic in self._retained:
            self._latest.put(topic, None)


async def _try(session: MqttSession, topic: str, score: bytes) -> None:
    with suppress(Exception):  # whatever aiomqtt makes of a broker that dies
        await session.publish(topic, score, qos=0)


def _access(settings: Mqtt) -> dict[str, Any]:
    options: dict[str, Any] = {"username": settings.username}
    if settings.password_file is not None:
        options["password"] = read_secret(settings.password_file).partition("\n")[0].rstrip("\r")
    if settings.tls:
        try:
            options["tls_context"] = ssl.create_default_context(cafile=settings.ca_file)
        except OSError as error:  # SSLError is one
            raise SettingsError(
                f"no certificates to be read ({error.strerror or error})", where=settings.ca_file or "mqtt"
            ) from error
    return options
