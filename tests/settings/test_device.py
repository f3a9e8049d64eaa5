"""Settings files and their mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_config.errors import SettingsError
from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file

FLEET: dict[str, Any] = {"servers": ["nats://a:1"], "operators": ["operator.pub"]}
MINIMAL: dict[str, Any] = {"bundle": "line.bundle", "cameras": {"top": {"source": 0}}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "bundle: line.bundle\ncameras:\n  top: {source: 0}\nevents: {high_water_mark: 5}\n"),
        ("s.toml", 'bundle = "line.bundle"\n[cameras.top]\nsource = 0\n[events]\nhigh_water_mark = 5\n'),
    ],
)
def test_yaml_and_toml_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    """The same settings can be written in YAML and in TOML."""
    (tmp_path / name).write_text(text)
    read = parse(read_file(str(tmp_path / name)))
    assert read.cameras["top"].source == 0
    assert read.events.high_water_mark == 5
    assert read.events.bind == "tcp://127.0.0.1:5556"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": 1}, "unknown key `colour`"),
        ({"fleet": {"servers": ["nats://a:1"]}}, "key `fleet.operators` is missing"),
        ({"fleet": {"servers": ["nats://u:p@a:1"], "operators": ["a"]}}, "fleet.servers"),
        ({"fleet": {**FLEET, "operators": ["ed25519:0"]}}, "key `fleet.operators`: `ed25519:0` is not a key"),
        ({"fleet": {**FLEET, "groups": ["a", "a"]}}, "key `fleet.groups`: a is listed twice"),
        ({"fleet": {**FLEET, "ca_file": "ca.pem"}}, "key `fleet.ca_file` has no effect without a server"),
        ({"fleet": {**FLEET, "servers": ["nats://a:1", "tls://b:1"]}}, "key `fleet.servers`: some are tls://"),
        ({"fleet": {**FLEET, "folder": "~/fleet"}}, "key `fleet.folder`: ~ is not replaced"),
        ({"search": "lazy"}, "leave it out: no score depends on it"),
        ({"events": {"port": 1}}, "unknown key `events.port`"),
        ({"cameras": {"top": {"source": 0, "rate": 3}}}, "unknown key `cameras.top.rate`"),
        ({"cameras": {"top": {"source": -1}}}, "cameras.top.source"),
        ({"cameras": {"top": {"source": ""}}}, "cameras.top.source"),
        ({"bundle": ""}, "bundle"),
        ({"device": "x\n"}, "device"),
        ({"events": {"bind": "tcp://127.0.0.1"}}, "events.bind"),
        ({"events": {"bind": "tcp://127.0.0.1:99999"}}, "no port 99999"),
        ({"events": {"bind": "tcp://127.0.0.1:abc"}}, "events.bind"),
        ({"cameras": {}}, "cameras"),
        ({"cameras": {f"c{number}": {"source": number} for number in range(65)}}, "cameras"),
        ({"cameras": {"a b": {"source": 0}}}, "name `a b` in `cameras`"),
        ({"cameras": {"a": {"source": 0}, "b c": {"source": 0}}}, "name `b c` in `cameras`"),
        ({"cameras": {"a": {"source": 0}, 1: {"source": 0}}}, "name `1` in `cameras`"),
        ({"cameras": {"a": {"source": 0}, "b": {"source": -1}}}, "cameras.b.source"),
        ({"cameras": {"a": {"source": 0}, "b": {"rate": 1, "source": 1}}}, "unknown key `cameras.b.rate`"),
        ({"cameras": {"a": {"source": 0}, "b": None}}, "cameras.b"),
        ({"cameras": {"top": {"source": 0, "reconnect_min_s": 40}}}, "cameras.top.reconnect_min_s"),
        ({"cameras": {"top": {"source": 0, "pace": "slow"}}}, "pace"),
        ({"cameras": {"top": {"source": 0, "fps": 0}}}, "fps"),
        ({"cameras": [1]}, "cameras"),
        ({"threads": -1}, "threads"),
        ({"threads": "many"}, "threads"),
        ({"device": "a/b"}, "device"),
        ({"events": {"bind": "udp://127.0.0.1:1"}}, "events.bind"),
        ({"events": {"bind": "ipc:///tmp/" + "x" * 103}}, "key `events.bind`: its path has 108 bytes, 107 are allowed"),
        ({"control": {"bind": "ipc:///" + "ü" * 60}}, "key `control.bind`: its path has 121 bytes"),
        ({"bundle": "~/line.bundle"}, "key `bundle`: ~ is not replaced by a home folder; write the whole path"),
        ({"clips": {"folder": "~/clips"}}, "key `clips.folder`: ~ is not"),
        ({"journal": {"path": "~"}}, "key `journal.path`: ~ is not"),
        ({"trust": {"keys": ["~/factory.pub"]}}, "key `trust.keys[0]`: ~ is not"),
        ({"cameras": {"top": {"source": "~/a.mp4"}}}, "key `cameras.top.source`: ~ is not"),
        ({"cameras": {"top": {"source": 0, "bundle": "~/b"}}}, "key `cameras.top.bundle`: ~ is not"),
        ({"security": {"secret_key": "~/k", "clients": "c"}}, "key `security.secret_key`: ~ is not"),
        ({"events": {"high_water_mark": 0}}, "events.high_water_mark"),
        ({"events": None}, "events"),
        ({"control": {"port": 1}}, "unknown key `control.port`; known here: bind, insecure"),
        ({"control": {"bind": "tcp://127.0.0.1:70000"}}, "key `control.bind`: there is no port 70000"),
        ({"metrics": {"port": 1}}, "unknown key `metrics.port`"),
        ({"metrics": {"bind": "9456"}}, "metrics.bind"),
        ({"metrics": {"bind": "127.0.0.1:70000"}}, "key `metrics.bind`: there is no port 70000"),
        ({"metrics": {"enabled": "yes"}}, "metrics.enabled"),
        ({"degrade": {"hot": 1}}, "unknown key `degrade.hot`"),
        ({"degrade": {"hot_c": 151}}, "degrade.hot_c"),
        ({"degrade": {"cool_c": 85}}, "degrade.cool_c"),
        ({"degrade": {"least_memory_mb": -1}}, "degrade.least_memory_mb"),
        ({"degrade": {"thermal_root": ""}}, "degrade.thermal_root"),
    ],
)
def test_mistake_is_named_by_its_key(change: dict[str, Any], said: str) -> None:
    """A wrong key or value is refused in one line that names file and key."""
    with pytest.raises(SettingsError) as caught:
        parse({**MINIMAL, **change}, where="/etc/patchedge.yaml")
    assert str(caught.value).startswith("/etc/patchedge.yaml: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_key_is_named() -> None:
    """A required key that is absent is named."""
    with pytest.raises(SettingsError, match="key `bundle` is missing"):
        parse({"cameras": {"top": {"source": 0}}})
    with pytest.raises(SettingsError, match="source"):
        parse({**MINIMAL, "cameras": {"top": {}}})


@pytest.mark.parametrize("section", ["events", "control"])
@pytest.mark.parametrize("bind", ["tcp://0.0.0.0:5558", "tcp://*:5558", "tcp://192.168.1.4:5558", "tcp://eth0:5558"])
def test_open_bind_must_be_asked_for(section: str, bind: str) -> None:
    """A bind beyond this machine is refused unless `insecure` is set."""
    with pytest.raises(SettingsError, match=rf"{section}\.bind .*set {section}\.insecure"):
        parse({**MINIMAL, section: {"bind": bind}})
    assert getattr(parse({**MINIMAL, section: {"bind": bind, "insecure": True}}), section).bind == bind


KEYS = {"secret_key": "device.key_secret", "clients": "clients"}


@pytest.mark.parametrize("section", ["events", "control"])
def test_open_bind_is_allowed_with_keys(section: str) -> None:
    """With keys a bind beyond this machine needs no permission; without, the refusal says how to make them."""
    opened = {section: {"bind": "tcp://0.0.0.0:5558"}}
    with pytest.raises(SettingsError, match=r"make keys with `patchedge keygen` and set security\.secret_key"):
        parse({**MINIMAL, **opened})
    read = parse({**MINIMAL, **opened, "security": KEYS})
    assert getattr(read, section).bind == "tcp://0.0.0.0:5558"
    assert not getattr(read, section).insecure
    by_path = parse({**MINIMAL, "events": {"bind": "ipc:///run/x"}, "security": KEYS})
    assert by_path.security.clients == "clients"


def test_keys_do_not_open_the_metrics() -> None:
    """Figures go over plain HTTP: keys change nothing for them."""
    with pytest.raises(SettingsError, match=r"metrics\.bind") as caught:
        parse({**MINIMAL, "metrics": {"bind": "0.0.0.0:9456"}, "security": KEYS})
    assert "keygen" not in str(caught.value)


@pytest.mark.parametrize("missing", ["secret_key", "clients"])
def test_keys_come_together(missing: str) -> None:
    """Half of the keys is a mistake that is named."""
    half = {name: path for name, path in KEYS.items() if name != missing}
    with pytest.raises(SettingsError, match=rf"key `security\.{missing}` is missing; set both"):
        parse({**MINIMAL, "security": half})


@pytest.mark.parametrize("bind", ["0.0.0.0:9456", "192.168.1.4:9456", "eth0:9456", "[::]:9456"])
def test_open_metrics_must_be_asked_for(bind: str) -> None:
    """Figures beyond this machine are refused unless `insecure` is set."""
    with pytest.raises(SettingsError, match=r"set metrics\.insecure"):
        parse({**MINIMAL, "metrics": {"bind": bind}})
    assert parse({**MINIMAL, "metrics": {"bind": bind, "insecure": True}}).metrics.bind == bind


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "localhost:9456", "[::1]:9456"])
def test_local_metrics_need_no_permission(bind: str) -> None:
    """Figures on a loopback address are not open to the network."""
    assert parse({**MINIMAL, "metrics": {"bind": bind}}).metrics.bind == bind


@pytest.mark.parametrize(
    "bind", ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "ipc:///tmp/x", "ipc:///tmp/x:99999"]
)
def test_local_bind_needs_no_permission(bind: str) -> None:
    """Loopback addresses and ipc are not open to the network."""
    assert parse({**MINIMAL, "events": {"bind": bind}}).events.bind == bind


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
@pytest.mark.parametrize("name", ["s.yaml", "s.toml"])
def test_another_encoding_is_named(tmp_path: Path, name: str, encoding: str) -> None:
    """A file that an editor has saved in another encoding than UTF-8 says so, in place of a codec's words."""
    (tmp_path / name).write_bytes("# für\n".encode(encoding))
    with pytest.raises(SettingsError, match=r"is not UTF-8 text; save it as UTF-8"):
        read_file(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "bundle: [unclosed"),
        ("s.yaml", "just a word"),
        ("s.yaml", ""),
        ("s.toml", "bundle = "),
        ("s.yaml", "a: 2020-13-45"),
        ("s.yaml", "[" * 3000),
        ("s.ini", "bundle = 1"),
        ("s.yaml", b"\xff\xfe\x00bad"),
        ("absent.yaml", None),
    ],
)
def test_unreadable_file_is_a_settings_error(tmp_path: Path, name: str, text: str | bytes | None) -> None:
    """A file that is absent, of another kind or not parseable is refused in one line that names it."""
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError, match=name) as caught:
        read_file(str(tmp_path / name))
    assert "\n" not in str(caught.value)
