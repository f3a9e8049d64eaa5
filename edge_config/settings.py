"""What a user may set on a device: a strict YAML or TOML file, overlaid by the command line."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta

from edge_config import csi, profiles, signature
from edge_config.errors import SettingsError
from edge_config.sections import (
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
    Provider,
    Providers,
    SearchKind,
    Section,
    Security,
    Trust,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_PORT = 65535


MAX_BYTES = 128 << 10
"""Of a settings file: the parser of YAML is slow, and 64 cameras need a tenth of that."""

_MOST_MERGED = 256
_DEEPEST = 32  # brackets in brackets
_MOST_PROVIDER_BYTES = 8 << 10  # with keys and cores, all fit in one message to the worker


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


def read_file(path: str) -> dict[str, Any]:
    """Parse a settings file, by its ending: .yaml, .yml or .toml.

    Raises:
        SettingsError: the file is absent, of another kind, or not valid YAML or TOML.
    """
    ending = Path(path).suffix.lower()
    if ending not in {".yaml", ".yml", ".toml"}:
        raise SettingsError("not a settings file", where=path, remedy="name it .yaml, .yml or .toml")
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(MAX_BYTES + 1).decode("utf-8")
        if len(text) > MAX_BYTES:
            raise SettingsError(f"longer than {MAX_BYTES} bytes", where=path)
        tree = tomllib.loads(text) if ending == ".toml" else yaml.load(text, _Loader)  # noqa: S506 - is a SafeLoader
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", where=path) from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:  # TOML's and Unicode's are ValueErrors
        raise SettingsError(f"cannot be parsed ({_in_short(error)})", where=path) from error
    if not isinstance(tree, dict):
        raise SettingsError("holds no settings", where=path, remedy="write `key: value` lines")
    return tree


def _in_short(error: Exception) -> str:
    """Return what is wrong and where; not the line itself, as YAML's errors do: it may hold a password."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    mark = error.problem_mark or error.context_mark
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{error.context}: {error.problem}{place}" if error.context else f"{error.problem}{place}"


class _Loader(yaml.SafeLoader):
    """Reads YAML in reasonable time and memory.

    What `<<` merges may merge in turn, and grow tenfold each time; and each open bracket makes the next one slower. The
    loader in C is no help: deeply nested brackets crash it.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MOST_MERGED:
            raise yaml.constructor.ConstructorError(problem="too many keys", problem_mark=node.start_mark)

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= _DEEPEST:
            raise yaml.scanner.ScannerError(problem="too many brackets", problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token)


def parse(tree: dict[str, Any], where: str = "settings") -> Settings:
    """Check a tree of plain values against `Settings`.

    Args:
        tree: what a file or a command line gave.
        where: named in the errors: the file, or "command line".

    Raises:
        SettingsError: an unknown key, a value out of bounds, or an open socket that was not asked for.
    """
    tree = profiles.apply(tree, where)
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain_device(str(error), tree), where=where) from error
    except UnicodeError as error:  # half a character, as "\ud800" in YAML
        raise SettingsError("holds text that is no text", where=where) from error
    _check_security(settings.security, where)
    keys = settings.security.secret_key is not None
    _check_bind("events", settings.events.bind, where, insecure=settings.events.insecure, keys=keys)
    _check_bind("control", settings.control.bind, where, insecure=settings.control.insecure, keys=keys)
    _check_bind("metrics", settings.metrics.bind, where, insecure=settings.metrics.insecure)
    for name, camera in settings.cameras.items():
        _check_camera(name, camera, where)
    _check_trust(settings.trust, where)
    _check_providers(settings.providers, where)
    if settings.degrade.cool_c >= settings.degrade.hot_c:
        raise SettingsError("key `degrade.cool_c` is not below `degrade.hot_c`", where=where)
    return _with_pipelines(settings, where)


def _with_pipelines(settings: Settings, where: str) -> Settings:
    """Put the pipelines of the device in place of csi:// sources."""
    cameras = {
        name: msgspec.structs.replace(camera, source=csi.pipeline(camera.source, settings.capture, where))
        for name, camera in settings.cameras.items()
    }
    return msgspec.structs.replace(settings, cameras=cameras)


def _check_security(security: Security, where: str) -> None:
    pair = {"secret_key": security.secret_key, "clients": security.clients}
    missing = [name for name, value in pair.items() if value is None]
    if len(missing) == 1:
        remedy = "set both, or none; `patchedge keygen` makes keys"
        raise SettingsError(f"key `security.{missing[0]}` is missing", where=where, remedy=remedy)


def _check_bind(section: str, bind: str, where: str, *, insecure: bool, keys: bool = False) -> None:
    """Refuse what is open to the network by mistake; `keys`: the socket encrypts, and lets in whom it knows."""
    port = bind.rpartition(":")[2]
    if not bind.startswith("ipc://") and port.isdecimal() and int(port) > MAX_PORT:
        raise SettingsError(f"key `{section}.bind`: there is no port {port}", where=where)
    if not (insecure or keys or is_local(bind)):
        flag = " (--insecure)" if section == "events" else ""
        encrypt = "" if section == "metrics" else ", make keys with `patchedge keygen` and set security.secret_key"
        raise SettingsError(
            f"{section}.bind {bind} is open to the network without encryption",
            where=where,
            remedy=f"bind 127.0.0.1{encrypt}, or set {section}.insecure: true{flag} on a network that you trust",
        )


def _check_trust(trust: Trust, where: str) -> None:
    if trust.unsigned == "refuse" and not trust.keys:
        raise SettingsError(
            "key `trust.unsigned` refuses every bundle without `trust.keys`", where=where, remedy="name a public key"
        )
    for text in trust.keys:
        if not signature.is_key_or_path(text):
            raise SettingsError(
                f"key `trust.keys`: `{text}` is no key", where=where, remedy="ed25519: and 64 hex digits, or a file"
            )


def _check_providers(providers: Sequence[Provider], where: str) -> None:
    if len(msgspec.json.encode(providers)) > _MOST_PROVIDER_BYTES:
        raise SettingsError(f"key `providers` is longer than {_MOST_PROVIDER_BYTES} bytes", where=where)


def _check_camera(name: str, camera: Camera, where: str) -> None:
    if camera.reconnect_min_s > camera.reconnect_max_s:
        raise SettingsError(f"key `cameras.{name}.reconnect_min_s` is above its `reconnect_max_s`", where=where)


def with_changes(alerts: Alerts, changes: dict[str, Any]) -> Alerts:
    """Return alert settings with some keys changed, which are checked as those of a file are.

    Raises:
        SettingsError: an unknown key, or a value out of bounds.
    """
    try:
        return msgspec.convert({**msgspec.to_builtins(alerts), **changes}, Alerts)
    except msgspec.ValidationError as error:
        raise SettingsError(explain(str(error), Alerts.__struct_fields__)) from error
    except UnicodeError as error:
        raise SettingsError("holds text that is no text") from error


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
    if "$.cameras" in place and (place.startswith("`key` in") or "[...]" in place):
        return _explain_camera(problem, tree["cameras"])
    sections: dict[str, type[Section]] = {
        "": Settings,
        ".events": Events,
        ".control": Control,
        ".metrics": Metrics,
        ".degrade": Degrade,
        ".journal": Journal,
        ".clips": Clips,
        ".security": Security,
        ".trust": Trust,
        ".capture": Capture,
        ".providers[...]": Provider,
    }
    section = sections.get(re.sub(r"\[\d+\]", "[...]", place.strip("`").removeprefix("$")), Section)
    return explain(problem, section.__struct_fields__)


def _explain_camera(problem: str, cameras: dict[Any, Any]) -> str:
    """Explain a problem of one of the cameras: msgspec does not say of which."""
    problems = ((name, _problem_of({name: section})) for name, section in cameras.items())
    name, problem = next(((name, found) for name, found in problems if found), ("", problem))
    if "`key` in" in problem:
        return f"name `{name}` in `cameras`: use letters, digits, _ and - only"
    section = Alerts if "[...].alerts" in problem else Camera
    return explain(problem.replace("$[...]", f"$.cameras.{name}"), section.__struct_fields__)


def _problem_of(cameras: dict[Any, Any]) -> str:
    """Say what msgspec finds wrong with a camera; empty if nothing."""
    try:
        msgspec.convert(cameras, dict[Name, Camera])
    except msgspec.ValidationError as error:
        return str(error)
    return ""
