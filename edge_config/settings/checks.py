"""Checks of settings whose values are valid one by one: sockets open to the network, and values that conflict."""

from __future__ import annotations

import ipaddress
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from edge_config.bundle import signature
from edge_config.duration import seconds
from edge_config.settings import csi
from edge_config.settings.device import Settings
from edge_config.settings.fleet import check_device
from edge_config.settings.problems import KeyPath, Problem, dotted
from edge_config.settings.sections import MAX_PORT, Security, Trust
from edge_config.wire.burn_in import MAX_BURN_IN_S, MIN_BURN_IN_S

EVERYWHERE = {"*", "0.0.0.0", "::"}  # noqa: S104 - they are looked for
_GLOB = re.compile(r"[*?\[]")
_VIDEO = "/dev/video"
_V4L2 = "v4l2://"
_MAX_IPC_BYTES = 107  # of the path of a Unix socket on Linux, which ends with a zero
_MAX_PROVIDER_BYTES = 8 << 10  # with keys and cores, all fit in one message to the worker


def check(settings: Settings, tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Return all problems.

    Args:
        settings: each value of which is valid.
        tree: the given values: a default address in use is no conflict, as another one is taken then.
    """
    yield from _of_security(settings.security)
    keys = settings.security.secret_key is not None
    yield from _of_bind("events", settings.events.bind, insecure=settings.events.insecure, keys=keys)
    yield from _of_bind("control", settings.control.bind, insecure=settings.control.insecure, keys=keys)
    yield from _of_bind("metrics", settings.metrics.bind, insecure=settings.metrics.insecure)
    yield from _of_paths(settings)
    for name, camera in settings.cameras.items():
        if camera.reconnect_min_s > camera.reconnect_max_s:
            said = f"key `cameras.{name}.reconnect_min_s` is above its `reconnect_max_s`"
            yield Problem(("cameras", name, "reconnect_min_s"), said)
        if camera.burn_in is not None and not MIN_BURN_IN_S <= seconds(camera.burn_in) <= MAX_BURN_IN_S:
            said = f"key `cameras.{name}.burn_in`: {camera.burn_in} is not from 10min to 30d"
            yield Problem(("cameras", name, "burn_in"), said)
        if camera.burn_in is not None and camera.alerts.threshold is not None:
            said = f"key `cameras.{name}.burn_in`: its threshold would have no effect beside `alerts.threshold`"
            yield Problem(("cameras", name, "burn_in"), said, "set one of them")
    yield from _of_trust(settings.trust)
    yield from check_device(settings.fleet)
    if len(msgspec.json.encode(settings.providers)) > _MAX_PROVIDER_BYTES:
        yield Problem(("providers",), f"key `providers` is longer than {_MAX_PROVIDER_BYTES} bytes")
    if settings.degrade.cool_c >= settings.degrade.hot_c:
        yield Problem(("degrade", "cool_c"), "key `degrade.cool_c` is not below `degrade.hot_c`")
    yield from _addresses(settings, tree)
    yield from _devices(settings)


def _of_paths(settings: Settings) -> Iterator[Problem]:
    """Find paths that a shell would have changed: a folder would get the name `~`."""
    paths: dict[KeyPath, str | int | None] = {
        ("bundle",): settings.bundle,
        ("journal", "path"): settings.journal.path,
        ("clips", "folder"): settings.clips.folder,
        ("learning", "folder"): settings.learning.folder,
        ("security", "secret_key"): settings.security.secret_key,
        ("security", "clients"): settings.security.clients,
        ("trust", "device_key"): settings.trust.device_key,
        **{("trust", "keys", at): key for at, key in enumerate(settings.trust.keys)},
    }
    if settings.fleet is not None:
        fleet = {key: getattr(settings.fleet, key) for key in ("credentials_file", "ca_file", "folder")}
        paths |= {("fleet", key): path for key, path in fleet.items()}
        paths |= {("fleet", "operators", at): key for at, key in enumerate(settings.fleet.operators)}
    for name, camera in settings.cameras.items():
        paths |= {("cameras", name, "source"): camera.source, ("cameras", name, "bundle"): camera.bundle}
    for key, path in paths.items():
        if isinstance(path, str) and (path == "~" or path.startswith("~/")):
            said = f"key `{dotted(key)}`: ~ is not replaced by a home folder"
            yield Problem(key, said, "write the whole path")


def _of_security(security: Security) -> Iterator[Problem]:
    pair = {"secret_key": security.secret_key, "clients": security.clients}
    missing = [name for name, value in pair.items() if value is None]
    if len(missing) == 1:
        remedy = "set both, or none; `patchedge keygen` makes keys"
        yield Problem(("security", missing[0]), f"key `security.{missing[0]}` is missing", remedy)


def _of_bind(section: str, bind: str, *, insecure: bool, keys: bool = False) -> Iterator[Problem]:
    """Find sockets that are open to the network by mistake; `keys`: the socket has encryption and access control."""
    port = bind.rpartition(":")[2]
    if not bind.startswith("ipc://") and port.isdecimal() and int(port) > MAX_PORT:
        yield Problem((section, "bind"), f"key `{section}.bind`: there is no port {port}")
    if bind.startswith("ipc://") and (size := len(os.fsencode(bind.removeprefix("ipc://")))) > _MAX_IPC_BYTES:
        said = f"key `{section}.bind`: its path has {size} bytes, {_MAX_IPC_BYTES} are allowed"
        yield Problem((section, "bind"), said, "name a shorter one, such as ipc:///run/patchedge/events")
    if not (insecure or keys or is_local(bind)):
        flag = " (--insecure)" if section == "events" else ""
        encrypt = "" if section == "metrics" else ", make keys with `patchedge keygen` and set security.secret_key"
        yield Problem(
            (section, "bind"),
            f"{section}.bind {bind} is open to the network without encryption",
            f"bind 127.0.0.1{encrypt}, or set {section}.insecure: true{flag} on a network that you trust",
        )


def _of_trust(trust: Trust) -> Iterator[Problem]:
    if trust.unsigned == "refuse" and not trust.keys:
        said = "key `trust.unsigned` refuses every bundle without `trust.keys`"
        yield Problem(("trust", "unsigned"), said, "name a public key")
    for at, text in enumerate(trust.keys):
        if not signature.is_key_or_path(text):
            said = f"key `trust.keys`: `{text}` is not a key"
            yield Problem(("trust", "keys", at), said, "ed25519: and 64 hex digits, or a file")


def is_local(endpoint: str) -> bool:
    """Return whether a ZeroMQ endpoint or ADDRESS:PORT can be reached from this machine only."""
    if endpoint.startswith("ipc://"):
        return True
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _addresses(settings: Settings, tree: Mapping[str, Any]) -> Iterator[Problem]:
    binds = {"events": settings.events.bind, "control": settings.control.bind}
    if settings.metrics.enabled:
        binds["metrics"] = settings.metrics.bind
    for (first, one), (second, other) in itertools.combinations(binds.items(), 2):
        if _was_given(tree, second) and overlap(one, other):
            said = f"key `{second}.bind`: {other} is the address of `{first}.bind`, {one}"
            yield Problem((second, "bind"), said, "give each a port of its own")


def _was_given(tree: Mapping[str, Any], section: str) -> bool:
    found = tree.get(section)
    return isinstance(found, dict) and "bind" in found


def overlap(one: str, other: str) -> bool:
    """Return whether two sockets cannot be bound at once: ZeroMQ's endpoints, or ADDRESS:PORT."""
    if one.startswith("ipc://") or other.startswith("ipc://"):
        return os.path.normpath(one) == os.path.normpath(other)
    (host, port), (other_host, other_port) = _split(one), _split(other)
    if port != other_port or port in {"*", "0"}:
        return False
    return host == other_host or bool({host, other_host} & EVERYWHERE)


def _split(endpoint: str) -> tuple[str, str]:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    host = host.strip("[]").lower().replace("localhost", "127.0.0.1")
    try:
        return str(ipaddress.ip_address(host)), port.lstrip("0") or "0"
    except ValueError:
        return host, port.lstrip("0") or "0"


def _devices(settings: Settings) -> Iterator[Problem]:
    """Find cameras that are one: a device can be opened once. Streams and files can be watched by several."""
    seen: dict[str, str] = {}
    for name, camera in settings.cameras.items():
        device = _device(camera.source)
        if device is not None and device in seen:
            said = f"key `cameras.{name}.source`: {camera.source} is the device of `cameras.{seen[device]}`"
            yield Problem(("cameras", name, "source"), said, "a device can be opened only once: use one camera")
        elif device is not None:
            seen[device] = name


def _device(source: int | str) -> str | None:
    """Return the one device that a source is; None for streams, files, pipelines, and patterns."""
    text = str(source).removeprefix(_V4L2)
    if text.isdecimal():
        return f"{_VIDEO}{int(text)}"
    if text.startswith(csi.SCHEME):
        return csi.SCHEME + urlsplit(text).netloc
    if text.startswith("/dev/") and not _GLOB.search(text):
        return str(Path(text).resolve())  # the device of a stable name
    return None
