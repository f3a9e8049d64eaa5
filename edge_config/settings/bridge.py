"""Settings of `patchedge bridge`: a strict YAML or TOML file, like that of a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge_config.settings.fleet import NatsUrl
from edge_config.settings.problems import Problem, look, refusal
from edge_config.settings.reading import Tree, lines_of
from edge_config.settings.sections import MAX_PORT, Name, Section

Address = Annotated[
    str,
    Meta(
        pattern=r"^(ipc://.+|tcp://.+:[0-9]{1,5})\Z",
        description="an address such as tcp://press-3:5556, or ipc:// and a path",
    ),
]
"""A ZeroMQ endpoint to connect to."""

File = Annotated[str, Meta(min_length=1, max_length=4096)]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,253}\Z", description="a name or an address of a machine")]
Topic = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\Z",
        max_length=256,
        description="words of letters, digits, _ and -, with / between them",
    ),
]
TopicOrNone = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?\Z",
        max_length=256,
        description="words of letters, digits, _ and -, with / between them, or empty",
    ),
]
Subject = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z",
        max_length=256,
        description="words of letters, digits, _ and -, with . between them",
    ),
]


class Device(Section, frozen=True):
    """A device whose messages are forwarded.

    Attributes:
        events: address of its PUB socket.
        control: address of its control socket.
        server_key: file with its public key, for encryption; the bridge then needs a `secret_key`.
    """

    events: Address
    control: Address
    server_key: File | None = None


class Mqtt(Section, frozen=True):
    """An MQTT broker.

    Attributes:
        host: name or address of the broker.
        port: TCP port; usually 1883 without and 8883 with TLS.
        username: user name at the broker; by default none is sent.
        password_file: file whose first line is the password; not readable by others.
        tls: encrypt the connection, and verify the broker's certificate.
        ca_file: certificates (PEM) of authorities that may sign the broker's; by default those of the system.
        prefix: first levels of every topic.
        discovery: prefix of Home Assistant's discovery topics; empty: no discovery.
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
        stream: JetStream stream of alerts and states; created if it does not exist, never changed.
        prefix: first tokens of every subject.
        credentials_file: credentials (JWT and seed) made by `nsc`; not readable by others.
    """

    servers: Annotated[tuple[NatsUrl, ...], Meta(min_length=1, max_length=16)]
    stream: Name = "PATCHEDGE"
    prefix: Subject = "patchedge"
    credentials_file: File | None = None


class Bridge(Section, frozen=True):
    """All settings of `patchedge bridge`; paths are relative to the working directory.

    Attributes:
        devices: devices whose messages are forwarded, 1 to 256.
        name: subscriber name of this bridge at its devices, and its client id at brokers; unique for each bridge.
        secret_key: file with the secret key of this bridge, for devices with a `server_key`.
        scores: forward scores too; unlike alerts and states they may be lost.
        mqtt: MQTT broker to forward to.
        nats: NATS server to forward to; an alert is acknowledged when all brokers have confirmed it.
    """

    devices: Annotated[tuple[Device, ...], Meta(min_length=1, max_length=256)]
    name: Name = "bridge"
    secret_key: File | None = None
    scores: bool = False
    mqtt: Mqtt | None = None
    nats: Nats | None = None


def parse(tree: dict[str, Any], where: str = "settings") -> Bridge:
    """Check a tree of plain values against `Bridge`.

    Args:
        tree: what `read_file` gave.
        where: named in the errors: the file.

    Raises:
        SettingsError: an unknown key, a value out of bounds, or keys that do not go together.
    """
    wrong, mended = look(tree, Bridge)
    problems = [*(tree.twice if isinstance(tree, Tree) else ()), *wrong]
    bridge = msgspec.convert({**_STAND_INS, **mended} if problems else dict(tree), Bridge)
    if tree.get("mqtt") is None and tree.get("nats") is None:
        problems.append(Problem((), "no broker to forward to", "set `mqtt`, `nats` or both"))
    problems += [*_of_devices(bridge, keyed="server_key" in str(tree.get("devices"))), *_of_mqtt(bridge.mqtt)]
    if problems:
        raise refusal(problems, where, lines_of(tree))
    return bridge


_NOWHERE = "ipc://-"
_STAND_INS: Mapping[str, Any] = {"devices": ({"events": _NOWHERE, "control": _NOWHERE},)}
"""Values for missing keys, so that the rest can be checked."""


def _of_devices(bridge: Bridge, *, keyed: bool) -> Iterator[Problem]:
    seen: dict[str, set[str]] = {"events": set(), "control": set()}
    for number, device in enumerate(bridge.devices):
        if device.events == device.control != _NOWHERE:
            path = f"devices[{number}].control"
            yield Problem(("devices", number, "control"), f"key `{path}`: {device.control} is the address of `events`")
        for key, address in (("events", device.events), ("control", device.control)):
            path = f"devices[{number}].{key}"
            if address in seen[key]:
                yield Problem(("devices", number, key), f"key `{path}`: {address} is listed twice")
                break
            if address.startswith("tcp://") and not 0 < int(address.rpartition(":")[2]) <= MAX_PORT:
                yield Problem(("devices", number, key), f"key `{path}`: there is no such port")
            seen[key].add(address)
    if keyed and bridge.secret_key is None:
        yield Problem((), "a device has a `server_key`, but `secret_key` is missing")
    if bridge.secret_key is not None and not keyed:
        yield Problem(("secret_key",), "`secret_key` is set, but no device has a `server_key`", "set both")


def _of_mqtt(mqtt: Mqtt | None) -> Iterator[Problem]:
    if mqtt is not None and mqtt.password_file is not None and mqtt.username is None:
        yield Problem(("mqtt", "password_file"), "key `mqtt.password_file` needs `mqtt.username`")
    if mqtt is not None and mqtt.ca_file is not None and not mqtt.tls:
        yield Problem(("mqtt", "ca_file"), "key `mqtt.ca_file` has no effect without `mqtt.tls: true`")
