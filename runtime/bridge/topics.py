"""MQTT topic layout, and discovery by Home Assistant.

    PREFIX/DEVICE/CAMERA/alert      each alert message, JSON as the device published it; not retained
    PREFIX/DEVICE/CAMERA/anomaly    ON while an alert is open, OFF otherwise; retained
    PREFIX/DEVICE/CAMERA/picture    JPEG of the peak frame of the last alert that brought one; retained
    PREFIX/DEVICE/CAMERA/state      the last state message, JSON; retained
    PREFIX/DEVICE/CAMERA/score      score messages, JSON, QoS 0; not retained
    PREFIX/DEVICE/status            online, or offline after 3 heartbeats without a message of the device; retained
    PREFIX/bridge/NAME/status       online, or offline when the bridge is gone (its last will); retained

All but scores have QoS 1: what is published again after a lost connection may arrive twice. An alert message is known
by `alert_id`, `epoch` and `seq`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import msgspec

from edge_config.installed import version
from edge_config.wire.messages import AnyMessage, State

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
ON: Final = b"ON"
OFF: Final = b"OFF"

Leaf = Literal["alert", "anomaly", "picture", "state", "score"]
Entity = Literal["anomaly", "state", "score", "picture"]
"""Entities of a camera in Home Assistant."""

_COMPONENTS: dict[Entity, str] = {"anomaly": "binary_sensor", "state": "sensor", "score": "sensor", "picture": "image"}


def body(message: AnyMessage) -> bytes:
    """Return the JSON of a message, as the device made it."""
    return msgspec.json.encode(message)


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics.

    Attributes:
        prefix: first levels of all.
        bridge: name of the bridge.
    """

    prefix: str
    bridge: str

    @property
    def bridge_status(self) -> str:
        """Topic of the status of the bridge."""
        return f"{self.prefix}/bridge/{self.bridge}/status"

    def device_status(self, device: str) -> str:
        """Return the topic of the status of a device."""
        return f"{self.prefix}/{device}/status"

    def of(self, device: str, camera: str, leaf: Leaf) -> str:
        """Return a topic of a camera."""
        return f"{self.prefix}/{device}/{camera}/{leaf}"


def discovery(topics: Topics, root: str, device: str, camera: str, entity: Entity) -> tuple[str, bytes]:
    """Return topic and payload that announce an entity of a camera to Home Assistant.

    The ids are made of the prefix and the two names, with a colon between, which is in none of them: they stay the same
    over restarts, and no two are equal.

    Args:
        topics: of the bridge.
        root: Home Assistant's discovery prefix.
        device: name of the device.
        camera: name of the camera.
        entity: which of its entities.
    """
    node = f"{topics.prefix.replace('/', '-')}-{device}"
    config: dict[str, Any] = {
        "unique_id": f"{topics.prefix}:{device}:{camera}:{entity}",
        "name": entity.capitalize(),
        "device": {
            "identifiers": [f"{topics.prefix}:{device}:{camera}"],
            "name": f"{device} {camera}",
            "manufacturer": "patchedge",
            "model": "camera",
        },
        "origin": {"name": "patchedge bridge", "sw_version": version() or ""},
        "availability": [
            {"topic": topics.bridge_status, "payload_available": "online", "payload_not_available": "offline"},
            {"topic": topics.device_status(device), "payload_available": "online", "payload_not_available": "offline"},
        ],
        "availability_mode": "all",
        **_of_entity(topics, device, camera, entity),
    }
    return f"{root}/{_COMPONENTS[entity]}/{node}/{camera}_{entity}/config", msgspec.json.encode(config)


def _of_entity(topics: Topics, device: str, camera: str, entity: Entity) -> dict[str, Any]:
    topic = topics.of(device, camera, entity)
    if entity == "anomaly":
        return {
            "state_topic": topic,
            "payload_on": "ON",
            "payload_off": "OFF",
            "device_class": "problem",
            "json_attributes_topic": topics.of(device, camera, "alert"),
        }
    if entity == "picture":
        return {"image_topic": topic, "content_type": "image/jpeg"}
    if entity == "state":
        return {
            "state_topic": topic,
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": topic,
            "device_class": "enum",
            "options": list(get_args(State)),
            "entity_category": "diagnostic",
        }
    return {"state_topic": topic, "value_template": "{{ value_json.score }}", "state_class": "measurement"}
