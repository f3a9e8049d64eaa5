"""Checks across settings: values that are valid alone, but not together."""

from __future__ import annotations

import ipaddress
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_config.settings import csi
from edge_config.settings.device import Settings
from edge_config.settings.problems import Problem

EVERYWHERE = {"*", "0.0.0.0", "::"}  # noqa: S104 - they are looked for
_GLOB = re.compile(r"[*?\[]")
_VIDEO = "/dev/video"
_V4L2 = "v4l2://"


def conflicts(settings: Settings, tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Return what does not go together.

    Args:
        settings: each value of which is right.
        tree: what was given: a default address that is taken is no conflict, as another one is taken then.
    """
    yield from _addresses(settings, tree)
    yield from _devices(settings)


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
            yield Problem(("cameras", name, "source"), said, "it can be opened once: use one camera")
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
        return str(Path(text).resolve())  # what a stable name stands for now
    return None
