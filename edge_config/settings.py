"""What a user may set on a device: a strict YAML or TOML file, overlaid by the command line."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from edge_config.control import DEFAULT_CONTROL
from edge_config.errors import SettingsError
from edge_config.message import DEFAULT_EVENTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME_PATTERN = r"^[A-Za-z0-9_-]+\Z"
"""Names of devices and cameras: they stand between slashes in a topic."""

MAX_PORT = 65535

SearchKind = Literal["lazy", "graph", "exact"]
"""How far patches are searched; the score is the same.

`lazy`: as far as the decision needs, with what was near in the camera's last frames. `graph`: every patch through the
graph, and those that decide exactly. `exact`: every patch against the whole bank, the reference.
"""

Name = Annotated[str, Meta(pattern=NAME_PATTERN, max_length=64)]
Endpoint = Annotated[str, Meta(pattern=r"^(ipc://.+|tcp://.+:([0-9]{1,5}|\*))\Z")]
"""Of ZeroMQ, to bind."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the settings; a key that it does not know is an error."""


class Camera(Section, frozen=True):
    """One camera.

    Attributes:
        source: camera index, /dev/videoN, a stable name such as /dev/v4l/by-id/NAME, a pattern such as /dev/video* (the
            first that opens), v4l2://PATH, rtsp or http URL, video file or folder.
        pace: for files and folders: `fps` plays at their own rate, `max` as fast as possible.
        fps: frames a second of a file or folder; by default the file's own, 25 for a folder.
        bundle: path of the camera's own bundle; by default that of all.
        max_age_ms: a frame that is older when its turn comes is not scored.
        stall_ms: a camera that delivers nothing for so long is stalled, and opened anew.
        reconnect_min_s: first wait before a camera is opened anew; it doubles from try to try.
        reconnect_max_s: longest wait.
    """

    source: Annotated[int, Meta(ge=0)] | Annotated[str, Meta(min_length=1)]
    pace: Literal["fps", "max"] = "fps"
    fps: Annotated[float, Meta(gt=0, le=1000)] | None = None
    bundle: Annotated[str, Meta(min_length=1)] | None = None
    max_age_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 2000
    stall_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 5000
    reconnect_min_s: Annotated[float, Meta(ge=0.01, le=3600)] = 0.5
    reconnect_max_s: Annotated[float, Meta(ge=0.01, le=3600)] = 30.0


class Events(Section, frozen=True):
    """The PUB socket that scores and alerts leave by.

    Attributes:
        bind: a ZeroMQ endpoint, tcp://ADDRESS:PORT or ipc://PATH.
        high_water_mark: messages kept for each slow subscriber before new ones are dropped.
        wait_subscribers: the first frame waits until so many have subscribed.
        insecure: allow a bind beyond this machine without encryption.
    """

    bind: Endpoint = DEFAULT_EVENTS
    high_water_mark: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    wait_subscribers: Annotated[int, Meta(ge=0, le=10_000)] = 0
    insecure: bool = False


class Control(Section, frozen=True):
    """The socket that answers requests, such as for a reload.

    Attributes:
        bind: a ZeroMQ endpoint, tcp://ADDRESS:PORT or ipc://PATH.
        insecure: allow a bind beyond this machine: whoever reaches it may give orders.
    """

    bind: Endpoint = DEFAULT_CONTROL
    insecure: bool = False


class Metrics(Section, frozen=True):
    """Figures and health over HTTP.

    Attributes:
        enabled: serve them at all.
        bind: ADDRESS:PORT; port 0 takes a free one.
        insecure: allow a bind beyond this machine: there is no encryption.
    """

    enabled: bool = True
    bind: Annotated[str, Meta(pattern=r"^[^\s/]+:[0-9]{1,5}\Z")] = "127.0.0.1:9456"
    insecure: bool = False


class Degrade(Section, frozen=True):
    """When to do less, and when to do all again.

    Attributes:
        hot_c: from this temperature of the hottest thermal zone on the device does less, degrees Celsius.
        cool_c: below this one it may do more again.
        least_memory_mb: with less memory than this left (MiB) the device does less; 0 turns this off.
        thermal_root: folder of the thermal zones.
    """

    hot_c: Annotated[float, Meta(ge=0, le=150)] = 85.0
    cool_c: Annotated[float, Meta(ge=0, le=150)] = 75.0
    least_memory_mb: Annotated[int, Meta(ge=0, le=1_048_576)] = 64
    thermal_root: Annotated[str, Meta(min_length=1)] = "/sys/class/thermal"


class Settings(Section, frozen=True):
    """All settings of `patchedge run`.

    Attributes:
        bundle: path of the bundle directory, relative to the working directory.
        cameras: name of the camera -> its section, 1 to 64 of them.
        device: name of this device in every topic.
        threads: bound on the threads of ONNX Runtime, OpenCV, BLAS and hnswlib together; 0 means all cores.
        search: how far patches are searched: the score is the same, the time is not.
        events: the PUB socket.
        control: the socket that answers requests.
        metrics: figures and health over HTTP.
        degrade: when to do less.
    """

    bundle: Annotated[str, Meta(min_length=1)]
    cameras: Annotated[dict[Name, Camera], Meta(min_length=1, max_length=64)]
    device: Name = "edge"
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    search: SearchKind = "lazy"
    events: Events = msgspec.field(default_factory=Events)
    control: Control = msgspec.field(default_factory=Control)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    degrade: Degrade = msgspec.field(default_factory=Degrade)


def read_file(path: str) -> dict[str, Any]:
    """Parse a settings file, by its ending: .yaml, .yml or .toml.

    Raises:
        SettingsError: the file is absent, of another kind, or not valid YAML or TOML.
    """
    ending = Path(path).suffix.lower()
    if ending not in {".yaml", ".yml", ".toml"}:
        raise SettingsError("not a settings file", where=path, remedy="name it .yaml, .yml or .toml")
    try:
        text = Path(path).read_text(encoding="utf-8")
        tree = tomllib.loads(text) if ending == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", where=path) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # TOML and Unicode errors are ValueErrors
        raise SettingsError(f"cannot be parsed ({error})", where=path) from error
    if not isinstance(tree, dict):
        raise SettingsError("holds no settings", where=path, remedy="write `key: value` lines")
    return tree


def parse(tree: dict[str, Any], where: str = "settings") -> Settings:
    """Check a tree of plain values against `Settings`.

    Args:
        tree: what a file or a command line gave.
        where: named in the errors: the file, or "command line".

    Raises:
        SettingsError: an unknown key, a value out of bounds, or an open socket that was not asked for.
    """
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain_device(str(error), tree), where=where) from error
    for name, section in (("events", settings.events), ("control", settings.control), ("metrics", settings.metrics)):
        _check_bind(name, section.bind, where, insecure=section.insecure)
    for name, camera in settings.cameras.items():
        _check_camera(name, camera, where)
    if settings.degrade.cool_c >= settings.degrade.hot_c:
        raise SettingsError("key `degrade.cool_c` is not below `degrade.hot_c`", where=where)
    return settings


def _check_bind(section: str, bind: str, where: str, *, insecure: bool) -> None:
    port = bind.rpartition(":")[2]
    if not bind.startswith("ipc://") and port.isdecimal() and int(port) > MAX_PORT:
        raise SettingsError(f"key `{section}.bind`: there is no port {port}", where=where)
    if not insecure and not is_local(bind):
        flag = " (--insecure)" if section == "events" else ""
        raise SettingsError(
            f"{section}.bind {bind} is open to the network without encryption",
            where=where,
            remedy=f"bind 127.0.0.1, or set {section}.insecure: true{flag} on a network that you trust",
        )


def _check_camera(name: str, camera: Camera, where: str) -> None:
    if camera.pace == "max" and camera.fps is not None:
        raise SettingsError(f"key `cameras.{name}.fps` has no effect with pace max", where=where, remedy="drop one")
    if camera.reconnect_min_s > camera.reconnect_max_s:
        raise SettingsError(f"key `cameras.{name}.reconnect_min_s` is above its `reconnect_max_s`", where=where)


def is_local(endpoint: str) -> bool:
    """Tell whether a ZeroMQ endpoint or ADDRESS:PORT can be reached from this machine only."""
    if endpoint.startswith("ipc://"):
        return True
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def explain(problem: str, known: Sequence[str]) -> str:
    """Turn msgspec's words into `key PATH: problem`.

    Args:
        problem: what a ValidationError says.
        known: the keys of the section that it is about.
    """
    what, _, place = problem.partition(" - at ")
    path = place.replace("`", "").removeprefix("$").removeprefix(".")
    parent = f"{path}." if path else ""
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what, flags=re.DOTALL)
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if unknown:
        return f"unknown key `{parent}{unknown.group(1)}`; known here: {', '.join(known)}"
    if missing:
        return f"key `{parent}{missing.group(1)}` is missing"
    return f"key `{path}`: {what}" if path else what


def _explain_device(problem: str, tree: dict[str, Any]) -> str:
    """Explain a problem of the device's settings, in which keys of `cameras` are names."""
    place = problem.partition(" - at ")[2]
    if place.startswith("`key` in") or "[...]" in place:
        return _explain_camera(problem, tree["cameras"])
    sections: dict[str, type[Section]] = {
        "": Settings,
        ".events": Events,
        ".control": Control,
        ".metrics": Metrics,
        ".degrade": Degrade,
    }
    section = sections.get(place.strip("`").removeprefix("$"), Section)
    return explain(problem, section.__struct_fields__)


def _explain_camera(problem: str, cameras: dict[Any, Any]) -> str:
    """Explain a problem of one of the cameras: msgspec does not say of which."""
    problems = ((name, _problem_of({name: section})) for name, section in cameras.items())
    name, problem = next(((name, found) for name, found in problems if found), ("", problem))
    if "`key` in" in problem:
        return f"name `{name}` in `cameras`: use letters, digits, _ and - only"
    return explain(problem.replace("$[...]", f"$.cameras.{name}"), Camera.__struct_fields__)


def _problem_of(cameras: dict[Any, Any]) -> str:
    """Say what msgspec finds wrong with a camera; empty if nothing."""
    try:
        msgspec.convert(cameras, dict[Name, Camera])
    except msgspec.ValidationError as error:
        return str(error)
    return ""
