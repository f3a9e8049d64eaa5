"""Publish to an MQTT broker; `topics.py` has the topic layout."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from edge_config.settings.bridge import Mqtt
from edge_config.wire.messages import AlertMessage, HealthMessage, ScoreMessage, StateMessage
from runtime.bridge.latest import Latest
from runtime.bridge.mqtt_link import MqttLink
from runtime.bridge.order import Moment, Newest
from runtime.bridge.topics import OFF, OFFLINE, ON, ONLINE, Entity, Topics, body, discovery


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
        self._link = MqttLink(settings, bridge, self._topics.bridge_status)
        self.name = f"mqtt {self._link.address}"
        self._discovery = settings.discovery
        self._entities: tuple[Entity, ...] = ("anomaly", "state", "score") if scores else ("anomaly", "state")
        self._retained: dict[str, bytes] = {}
        self._latest: Latest[None] = Latest(lambda topic, _: self._publish_retained(topic))
        self._newest = Newest()
        self._devices: set[str] = set()
        self._discovered: set[tuple[str, str, Entity]] = set()

    async def start(self) -> None:
        """Begin to connect."""
        self._link.start(self._tell_again)
        self._retain(self._topics.bridge_status, ONLINE)

    async def alert(self, said: AlertMessage, parts: Sequence[bytes], _key: str) -> None:
        """Publish an alert message, and whether the camera shows an anomaly now; return when all is confirmed."""
        device, camera = said.device, said.camera
        self._discover(device, camera, *self._entities)
        publishing: list[Awaitable[None]] = [
            self._link.publish(self._topics.of(device, camera, "alert"), lambda: body(said), retain=False)
        ]
        if self._newest.take(device, camera, Moment.of(said)):
            topic, anomaly = self._topics.of(device, camera, "anomaly"), OFF if said.phase == "end" else ON
            self._retained[topic] = anomaly
            # One by one: between two alerts it is OFF, however slow the broker is.
            publishing.append(self._link.publish(topic, lambda: anomaly, retain=True))
            if (picture := _picture(said, parts)) is not None:
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
        return self._link.publish_now(self._topics.of(said.device, said.camera, "score"), body(said))

    def health(self, said: HealthMessage) -> None:
        """Say that the device is online, and that a camera which never had an alert shows no anomaly."""
        self._devices.add(said.device)
        self._discover(said.device, said.camera, *self._entities)
        self._say_once(self._topics.device_status(said.device), ONLINE)
        # Alerts of an earlier run that were open are ended in this one: without a message in it none is open.
        never = Moment(said.epoch, 0, said.t_publish_ns)
        if said.alert_seq == 0 and self._newest.take(said.device, said.camera, never):
            self._say_once(self._topics.of(said.device, said.camera, "anomaly"), OFF)

    def lost(self, device: str) -> None:
        """Say that a device is offline."""
        self._say_once(self._topics.device_status(device), OFFLINE)

    async def close(self, timeout_s: float) -> None:
        """Say that the devices are offline, since nobody will notice when they are, and the bridge; disconnect."""
        if self._link.online and self._devices:
            said = [self._retain(self._topics.device_status(device), OFFLINE) for device in self._devices]
            await asyncio.wait(said, timeout=timeout_s / 2)
        await self._latest.close()
        await self._link.close(self._topics.bridge_status, timeout_s / 2)

    def _discover(self, device: str, camera: str, *entities: Entity) -> None:
        """Tell Home Assistant of what it does not know yet."""
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
        await self._link.publish(topic, lambda: self._retained[topic], retain=True)

    def _tell_again(self) -> None:
        for topic in self._retained:
            self._latest.put(topic, None)


def _picture(said: AlertMessage, parts: Sequence[bytes]) -> bytes | None:
    return next((part for about, part in zip(said.parts, parts, strict=False) if about.name == "jpeg"), None)
