"""Settings of a fleet: the section `fleet` of a device, and the file of an operator, for `patchedge fleet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge_config.bundle import signature
from edge_config.settings.problems import KeyPath, Problem, dotted, look, refusal
from edge_config.settings.reading import Tree, lines_of
from edge_config.settings.sections import KeyText, Name, Section

NatsUrl = Annotated[
    str,
    Meta(
        pattern=r"^(nats|tls)://[^\s@/]+\Z",
        max_length=256,
        description="an address such as nats://broker:4222 or tls://broker:4222, without a user",
    ),
]
FilePath = Annotated[str, Meta(min_length=1, max_length=4096)]


Servers = Annotated[tuple[NatsUrl, ...], Meta(min_length=1, max_length=16)]


class FleetOfDevice(Section, frozen=True):
    """A fleet that this device is in: bundles and settings are assigned to it over NATS. By default it is in none.

    Attributes:
        servers: nats://HOST:PORT of each server of the cluster, or tls:// for encryption; without user and password.
        operators: public keys of the operators that may assign, made by `patchedge-export signing-key`.
        credentials_file: the seed of an NKey, made by `patchedge fleet keys`, or credentials (JWT and seed) made by
            `nsc`; not readable by others.
        ca_file: certificates (PEM) of authorities that may sign the servers'; by default those of the system.
        name: name of this device in the fleet, unique there; by default `device`.
        groups: groups that it belongs to: what is assigned to one of them is for this device, too.
        folder: where downloaded bundles are stored; empty: `fleet/NAME` in $STATE_DIRECTORY, $XDG_STATE_HOME/patchedge
            or ~/.local/state/patchedge, the first of them that is set.
        max_mb: maximum size of a packed bundle, MiB; larger ones are refused before they are downloaded.
        prefix: first word of the names of all that is in the store; the same for a whole fleet.
    """

    servers: Servers
    operators: Annotated[tuple[KeyText, ...], Meta(min_length=1, max_length=16)]
    credentials_file: FilePath | None = None
    ca_file: FilePath | None = None
    name: Name | None = None
    groups: Annotated[tuple[Name, ...], Meta(max_length=32)] = ()
    folder: Annotated[str, Meta(max_length=4096)] = ""
    max_mb: Annotated[int, Meta(ge=1, le=1_048_576)] = 2000
    prefix: Name = "patchedge"


class FleetSettings(Section, frozen=True):
    """All settings of `patchedge fleet`; paths are relative to the working directory.

    Attributes:
        servers: nats://HOST:PORT of each server of the cluster, or tls:// for encryption; without user and password.
        credentials_file: the seed of an NKey, made by `patchedge fleet keys`, or credentials (JWT and seed) made by
            `nsc`; not readable by others.
        ca_file: certificates (PEM) of authorities that may sign the servers'; by default those of the system.
        signing_key: file with the secret key of the operator, made by `patchedge-export signing-key`; not readable by
            others. Needed to assign, to roll back and to pull.
        operators: public keys of other operators, whose roll-outs this one goes on with and takes back.
        name: what the operator is called in assignments; by default the user of this machine.
        prefix: first word of the names of all that is in the store; the same for a whole fleet.
    """

    servers: Servers
    credentials_file: FilePath | None = None
    ca_file: FilePath | None = None
    signing_key: FilePath | None = None
    operators: Annotated[tuple[KeyText, ...], Meta(max_length=16)] = ()
    name: Annotated[str, Meta(max_length=64)] = ""
    prefix: Name = "patchedge"


class FleetOfPage(Section, frozen=True):
    """A fleet that the page shows. By default it shows none.

    Attributes:
        servers: nats://HOST:PORT of each server of the cluster, or tls:// for encryption; without user and password.
        credentials_file: the seed of an NKey, or credentials (JWT and seed) made by `nsc`; not readable by others. They
            need to read only.
        ca_file: certificates (PEM) of authorities that may sign the servers'; by default those of the system.
        prefix: first word of the names of all that is in the store; the same for a whole fleet.
    """

    servers: Servers
    credentials_file: FilePath | None = None
    ca_file: FilePath | None = None
    prefix: Name = "patchedge"


FleetServers = FleetOfDevice | FleetSettings | FleetOfPage
"""Each has the servers, the credentials, and the prefix."""


def parse(tree: dict[str, Any], where: str = "settings") -> FleetSettings:
    """Check a tree of plain values against `FleetSettings`.

    Args:
        tree: what `read_file` gave.
        where: named in the errors: the file.

    Raises:
        SettingsError: an unknown key, a value out of bounds, or keys that do not go together.
    """
    wrong, mended = look(tree, FleetSettings)
    problems = [*(tree.twice if isinstance(tree, Tree) else ()), *wrong]
    fleet = msgspec.convert({"servers": ("nats://-",), **mended} if problems else dict(tree), FleetSettings)
    problems += check_servers(fleet, ())
    problems += check_keys(fleet.operators, ("operators",))
    if problems:
        raise refusal(problems, where, lines_of(tree))
    return fleet


def check_device(fleet: FleetOfDevice | None) -> Iterator[Problem]:
    """Return the problems of the section of a device."""
    if fleet is None:
        return
    yield from check_servers(fleet, ("fleet",))
    yield from check_keys(fleet.operators, ("fleet", "operators"))
    for at, group in enumerate(fleet.groups):
        if group in fleet.groups[:at]:
            yield Problem(("fleet", "groups", at), f"key `fleet.groups`: {group} is listed twice")


def check_keys(keys: Iterable[str], path: KeyPath) -> Iterator[Problem]:
    """Return the problems of a list of public keys."""
    for at, text in enumerate(keys):
        if not signature.is_key_or_path(text):
            said = f"key `{dotted(path)}`: `{text}` is not a key"
            yield Problem((*path, at), said, "ed25519: and 64 hex digits, or a file")


def check_servers(fleet: FleetServers, path: KeyPath) -> Iterator[Problem]:
    """Return the problems of the keys that devices and operators share."""
    encrypted = [server.startswith("tls://") for server in fleet.servers]
    if fleet.ca_file is not None and not any(encrypted):
        key = dotted((*path, "ca_file"))
        yield Problem((*path, "ca_file"), f"key `{key}` has no effect without a server that is tls://")
    if any(encrypted) and not all(encrypted):
        key = dotted((*path, "servers"))
        yield Problem((*path, "servers"), f"key `{key}`: some are tls:// and some are not", "encrypt all of them")
