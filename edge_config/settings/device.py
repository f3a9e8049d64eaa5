"""Settings of a device: a strict YAML or TOML file, overridden by the command line."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge_config.bundle import signature
from edge_config.errors import SettingsError
from edge_config.settings import csi, profiles, reading
from edge_config.settings.problems import KeyPath, Problem, dotted, look, refusal
from edge_config.settings.reading import Tree, lines_of
from edge_config.settings.sections import (
    CPU,
    Alerts,
    Camera,
    Capture,
    Clips,
    Control,
    Degrade,
    Events,
    Journal,
    Metrics,
    Name,
    Providers,
    SearchKind,
    Section,
    Security,
    Trust,
)

MAX_PORT = 65535

read_file = reading.read_file
"""Beside `parse`, for those who need both."""


_MAX_IPC_BYTES = 107  # of the path of a Unix socket on Linux, which ends with a zero

_MAX_PROVIDER_BYTES = 8 << 10  # with keys and cores, all fit in one message to the worker


class Settings(Section, frozen=True):
    """All settings of `patchedge run`.

    Attributes:
        bundle: path of the bundle directory, relative to the working directory.
        cameras: name of the camera -> its section, 1 to 64 of them.
        device: name of this device in every topic.
        threads: bound on the threads of ONNX Runtime, OpenCV, BLAS and hnswlib together; 0 means all cores.
        search: how far patches are searched: the score is the same, the time is not.
        profile: values for a kind of device, which the settings go over: `auto` takes that of the device it runs on,
            `none` takes none. What is read names the one that was taken.
        providers: of ONNX Runtime, in the order in which they are tried.
        affinity: numbers of the cores that scoring keeps to; empty: all.
        budget_ms: what a frame should take; `doctor` and `warm` say where it takes longer.
        capture: how cameras at a CSI port are opened.
        events: the PUB socket.
        control: the socket that answers requests.
        metrics: figures and health over HTTP.
        degrade: when to do less.
        journal: the file that alerts and states are written to.
        clips: films of alerts.
        security: encryption, and who may connect.
        trust: whose bundles are served.
    """

    bundle: Annotated[str, Meta(min_length=1)]
    cameras: Annotated[dict[Name, Camera], Meta(min_length=1, max_length=64)]
    device: Name = "edge"
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    search: SearchKind = "lazy"
    profile: Annotated[str, Meta(min_length=1, max_length=64)] = profiles.AUTO
    providers: Providers = (CPU,)
    affinity: Annotated[tuple[Annotated[int, Meta(ge=0, le=4095)], ...], Meta(max_length=1024)] = ()
    budget_ms: Annotated[float, Meta(gt=0, le=60_000)] | None = None
    capture: Capture = msgspec.field(default_factory=Capture)
    events: Events = msgspec.field(default_factory=Events)
    control: Control = msgspec.field(default_factory=Control)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    degrade: Degrade = msgspec.field(default_factory=Degrade)
    journal: Journal = msgspec.field(default_factory=Journal)
    clips: Clips = msgspec.field(default_factory=Clips)
    security: Security = msgspec.field(default_factory=Security)
    trust: Trust = msgspec.field(default_factory=Trust)


def parse(tree: dict[str, Any], where: str = "settings") -> Settings:
    """Check a tree of plain values against `Settings`.

    Args:
        tree: what a file or a command line gave; a `Tree` knows which lines its keys stand in.
        where: named in the errors: the file, or "command line".

    Raises:
        SettingsError: all that is wrong: unknown keys and those that are there twice, values out of bounds, an open
            socket that was not asked for, settings that do not go together.
    """
    from edge_config.settings.conflicts import conflicts  # looks at settings

    problems = list(tree.twice) if isinstance(tree, Tree) else []
    try:
        laid = profiles.apply(tree, where)
    except SettingsError as error:
        problems.append(Problem(("profile",), error.what, error.remedy))
        laid = profiles.apply({**tree, "profile": profiles.NONE}, where)
    wrong, mended = look(laid, Settings)
    problems += wrong
    try:
        settings = msgspec.convert({**_STAND_INS, **mended} if problems else laid, Settings)
    except (msgspec.ValidationError, UnicodeError) as error:  # it knows better
        problems = problems or [Problem((), explain(str(error), Settings.__struct_fields__))]
        raise refusal(problems, where, lines_of(tree)) from error
    cameras, wrong = _with_pipelines(settings)
    problems += [*wrong, *_problems(settings), *conflicts(settings, tree)]
    if problems:
        raise refusal(problems, where, lines_of(tree))
    return msgspec.structs.replace(settings, cameras=cameras)


_STAND_INS: Mapping[str, Any] = {"bundle": "-", "cameras": {"-": {"source": "-"}}}
"""For what is missing: so the rest can be looked at all the same."""


def _with_pipelines(settings: Settings) -> tuple[dict[str, Camera], list[Problem]]:
    """Put the pipelines of the device in place of csi:// sources."""
    found = {name: _pipeline(name, camera, settings.capture) for name, camera in settings.cameras.items()}
    cameras = {name: camera for name, camera in found.items() if isinstance(camera, Camera)}
    return cameras, [problem for problem in found.values() if isinstance(problem, Problem)]


def _pipeline(name: str, camera: Camera, capture: Capture) -> Camera | Problem:
    try:
        return msgspec.structs.replace(camera, source=csi.pipeline(camera.source, capture))
    except SettingsError as error:
        return Problem(("cameras", name, "source"), error.what, error.remedy)


def _problems(settings: Settings) -> Iterator[Problem]:
    """Find what is wrong within each section."""
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
    yield from _of_trust(settings.trust)
    if len(msgspec.json.encode(settings.providers)) > _MAX_PROVIDER_BYTES:
        yield Problem(("providers",), f"key `providers` is longer than {_MAX_PROVIDER_BYTES} bytes")
    if settings.degrade.cool_c >= settings.degrade.hot_c:
        yield Problem(("degrade", "cool_c"), "key `degrade.cool_c` is not below `degrade.hot_c`")


def _of_paths(settings: Settings) -> Iterator[Problem]:
    """Find paths that a shell would have changed: a folder would get the name `~`."""
    paths: dict[KeyPath, str | int | None] = {
        ("bundle",): settings.bundle,
        ("journal", "path"): settings.journal.path,
        ("clips", "folder"): settings.clips.folder,
        ("security", "secret_key"): settings.security.secret_key,
        ("security", "clients"): settings.security.clients,
        **{("trust", "keys", at): key for at, key in enumerate(settings.trust.keys)},
    }
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
    """Find what is open to the network by mistake; `keys`: the socket encrypts, and lets in whom it knows."""
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
            said = f"key `trust.keys`: `{text}` is no key"
            yield Problem(("trust", "keys", at), said, "ed25519: and 64 hex digits, or a file")


def with_changes(alerts: Alerts, changes: dict[str, Any]) -> Alerts:
    """Return alert settings with some keys changed, which are checked as those of a file are.

    Raises:
        SettingsError: an unknown key, or a value out of bounds.
    """
    tree = {**msgspec.to_builtins(alerts), **changes}
    problems, _ = look(tree, Alerts)
    if problems:
        raise SettingsError("; ".join(one.what for one in problems))
    return msgspec.convert(tree, Alerts)


def is_local(endpoint: str) -> bool:
    """Return whether a ZeroMQ endpoint or ADDRESS:PORT can be reached from this machine only."""
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
