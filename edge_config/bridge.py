"""What a user may set of `patchedge bridge`: a strict YAML or TOML file, as that of a device."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge_config.errors import SettingsError
from edge_config.sections import Name, Section
from edge_config.settings import MAX_PORT, explain

Address = Annotated[str, Meta(pattern=r"^(ipc://.+|tcp://.+:[0-9]{1,5})\Z")]
"""Of ZeroMQ, to connect to."""

File = Annotated[str, Meta(min_length=1, max_length=4096)]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,253}\Z")]
Topic = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\Z", max_length=256)]
TopicOrNone = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?\Z", max_length=256)]
Subject = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z", max_length=256)]
NatsServer = Annotated[str, Meta(pattern=r"^(nats|tls)://[^\s@/]+\Z", max_length=256)]


class Device(Section, frozen=True):
    """A device whose messages are forwarded.

    Attributes:
        events: where it publishes.
        control: where it takes requests.
        server_key: file with its public key; then all is encrypted, and the bridge needs a `secret_key`.
    """

    events: Address
    control: Address
    server_key: File | None = None


class Mqtt(Section, frozen=True):
    """An MQTT broker.

    Attributes:
        host: name or address.
        port: 1883 in plain, often 8883 with TLS.
        username: by default none is given.
        password_file: file whose first line is the password; not for others to read.
        tls: encrypt, and check the broker's certificate.
        ca_file: certificates (PEM) that the broker's must be signed by; by default those of the system.
        prefix: first levels of every topic.
        discovery: prefix of Home Assistant's discovery topics; empty: nothing is told to it.
    """

    host: Host
    port: Annotated[int, Meta(ge=1, le=MAX_PORT)] = 1883
    username: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    password_file: File | None = None
    tls: bool = False
    ca_file: File | None = None
    prefix: Topic = "patchedge"
    discovery: TopicOrNone = "homeassistant"


class Nats(Section, frozen=True):
    """A NATS server or cluster with JetStream.

    Attributes:
        servers: nats://HOST:PORT, or tls:// for encryption; without user and password.
        stream: that alerts and states are stored in; it is made where there is none, and never changed.
        prefix: first tokens of every subject.
        credentials_file: as `nsc` makes it (JWT and seed); not for others to read.
    """

    servers: Annotated[tuple[NatsServer, ...], Meta(min_length=1, max_length=16)]
    stream: Name = "PATCHEDGE"
    prefix: Subject = "patchedge"
    credentials_file: File | None = None


class Bridge(Section, frozen=True):
    """All settings of `patchedge bridge`; paths are relative to the working directory.

    Attributes:
        devices: whose messages are forwarded, 1 to 256.
        name: of this bridge: devices know by it what was forwarded, so two bridges need two names.
        secret_key: file with the secret key of this bridge, for devices with a `server_key`.
        scores: forward scores too; unlike alerts and states they may be lost.
        mqtt: where to.
        nats: where to; an alert counts as forwarded when both have it.
    """

    devices: Annotated[tuple[Device, ...], Meta(min_length=1, max_length=256)]
    name: Name = "bridge"
    secret_key: File | None = None
    scores: bool = False
    mqtt: Mqtt | None = None
    nats: Nats | None = None


_SECTIONS: dict[str, type[Section]] = {"": Bridge, ".mqtt": Mqtt, ".nats": Nats}


def parse(tree: dict[str, Any], where: str = "settings") -> Bridge:
    """Check a tree of plain values against `Bridge`.

    Args:
        tree: what `settings.read_file` gave.
        where: named in the errors: the file.

    Raises:
        SettingsError: an unknown key, a value out of bounds, or keys that do not go together.
    """
    try:
        bridge = msgspec.convert(tree, Bridge)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error)), where=where) from error
    if bridge.mqtt is None and bridge.nats is None:
        raise SettingsError("nowhere to forward to", where=where, remedy="set `mqtt`, `nats` or both")
    _check_devices(bridge, where)
    if bridge.mqtt is not None:
        _check_mqtt(bridge.mqtt, where)
    return bridge


def _check_devices(bridge: Bridge, where: str) -> None:
    seen: set[str] = set()
    for number, device in enumerate(bridge.devices):
        if device.events in seen:
            raise SettingsError(f"key `devices[{number}].events`: {device.events} is there twice", where=where)
        seen.add(device.events)
        for key, address in (("events", device.events), ("control", device.control)):
            if address.startswith("tcp://") and not 0 < int(address.rpartition(":")[2]) <= MAX_PORT:
                raise SettingsError(f"key `devices[{number}].{key}`: there is no such port", where=where)
    keyed = any(device.server_key for device in bridge.devices)
    if keyed and bridge.secret_key is None:
        raise SettingsError("a device has a `server_key`, but `secret_key` is missing", where=where)
    if bridge.secret_key is not None and not keyed:
        raise SettingsError("`secret_key` is set, but no device has a `server_key`", where=where, remedy="set both")


def _check_mqtt(mqtt: Mqtt, where: str) -> None:
    if mqtt.password_file is not None and mqtt.username is None:
        raise SettingsError("key `mqtt.password_file` needs `mqtt.username`", where=where)
    if mqtt.ca_file is not None and not mqtt.tls:
        raise SettingsError("key `mqtt.ca_file` has no effect without `mqtt.tls: true`", where=where)


def _explain(problem: str) -> str:
    place = problem.partition(" - at ")[2].strip("`").removeprefix("$")
    section = Device if place.startswith(".devices[") else _SECTIONS.get(place, Section)
    return explain(problem, section.__struct_fields__)
