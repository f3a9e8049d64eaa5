"""Settings of the bridge, their mistakes, and its secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_config.errors import MissingExtra, SettingsError
from edge_config.settings import bridge
from edge_config.settings.reading import read_file
from runtime.bridge.serve import make_sinks
from runtime.brokers import nats_session
from runtime.brokers.secret import read_secret
from runtime.cli.main import main
from tests.support.ports import free_port

DEVICE = {"events": "tcp://press-3:5556", "control": "tcp://press-3:5557"}
MQTT = {"host": "broker.local"}
MINIMAL: dict[str, Any] = {"devices": [DEVICE], "mqtt": MQTT}
CREDENTIALS = "-----BEGIN NATS USER JWT-----\nx\n------END------\n-----BEGIN USER NKEY SEED-----\ny\n------END------\n"


def test_defaults_are_those_that_are_documented(tmp_path: Path) -> None:
    """A device and a broker are enough; the rest has its default."""
    (tmp_path / "bridge.yaml").write_text(
        "devices:\n  - {events: 'tcp://press-3:5556', control: 'tcp://press-3:5557'}\nmqtt: {host: broker.local}\n"
        "nats: {servers: ['nats://broker.local:4222']}\n"
    )
    read = bridge.parse(read_file(str(tmp_path / "bridge.yaml")))
    assert (read.name, read.scores, read.secret_key) == ("bridge", False, None)
    assert read.mqtt is not None
    assert (read.mqtt.port, read.mqtt.prefix, read.mqtt.discovery, read.mqtt.tls) == (
        1883,
        "patchedge",
        "homeassistant",
        False,
    )
    assert read.nats is not None
    assert (read.nats.stream, read.nats.prefix) == ("PATCHEDGE", "patchedge")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mqtt": None}, "no broker to forward to"),
        ({"colour": 1}, "unknown key `colour`; known here: devices, name, secret_key, scores, mqtt, nats"),
        ({"devices": []}, "devices"),
        ({"devices": [DEVICE, {"events": "tcp://a:1"}]}, "key `devices[1].control` is missing"),
        ({"devices": [{**DEVICE, "name": "x"}]}, "unknown key `devices[0].name`; known here: events"),
        ({"devices": [DEVICE, DEVICE]}, "tcp://press-3:5556 is listed twice"),
        ({"devices": [{**DEVICE, "events": "tcp://press-3"}]}, "devices[0].events"),
        (
            {"devices": [{**DEVICE, "control": "tcp://press-3:70000"}]},
            "key `devices[0].control`: there is no such port",
        ),
        ({"devices": [{**DEVICE, "server_key": "press-3.key"}]}, "`secret_key` is missing"),
        ({"secret_key": "bridge.key_secret"}, "no device has a `server_key`"),
        ({"name": "a/b"}, "name"),
        ({"scores": "yes"}, "scores"),
        ({"mqtt": {}}, "key `mqtt.host` is missing"),
        ({"mqtt": {**MQTT, "password": "x"}}, "unknown key `mqtt.password`; known here: host, port"),
        ({"mqtt": {**MQTT, "password_file": "x"}}, "needs `mqtt.username`"),
        ({"mqtt": {**MQTT, "ca_file": "x"}}, "no effect without `mqtt.tls: true`"),
        ({"mqtt": {**MQTT, "port": 0}}, "mqtt.port"),
        ({"mqtt": {**MQTT, "prefix": "a/#"}}, "mqtt.prefix"),
        ({"mqtt": {**MQTT, "discovery": "/x"}}, "mqtt.discovery"),
        ({"mqtt": {"host": ""}}, "mqtt.host"),
        ({"nats": {"servers": []}}, "nats.servers"),
        ({"nats": {"servers": ["nats://user:password@host:4222"]}}, "nats.servers"),
        ({"nats": {"servers": ["nats://host:4222"], "stream": "a.b"}}, "nats.stream"),
        ({"nats": {"servers": ["nats://host:4222"], "prefix": "a.>"}}, "nats.prefix"),
    ],
)
def test_mistake_is_named_by_its_key(change: dict[str, Any], said: str) -> None:
    """A wrong key or value is refused in one line that names file and key."""
    with pytest.raises(SettingsError) as caught:
        bridge.parse({**MINIMAL, **change}, where="/etc/bridge.yaml")
    assert str(caught.value).startswith("/etc/bridge.yaml: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_discovery_can_be_left_out() -> None:
    """An empty prefix means that Home Assistant is told nothing."""
    read = bridge.parse({**MINIMAL, "mqtt": {**MQTT, "discovery": ""}})
    assert read.mqtt is not None
    assert not read.mqtt.discovery


@pytest.mark.parametrize(("mode", "good"), [(0o600, True), (0o640, True), (0o644, False), (0o602, False)])
def test_secret_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int, *, good: bool) -> None:
    """A password is for its owner and group alone."""
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    path.chmod(mode)
    if good:
        assert read_secret(str(path)) == "s3cret\n"
    else:
        with pytest.raises(SettingsError, match="this secret is readable by others; chmod o= it"):
            read_secret(str(path))


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    """Password, certificates and credentials that cannot be read end the bridge before it begins."""
    absent = str(tmp_path / "absent")
    nats = {"servers": ["nats://host:4222"], "credentials_file": absent}
    for change in (
        {"mqtt": {**MQTT, "username": "x", "password_file": absent}},
        {"mqtt": {**MQTT, "tls": True, "ca_file": absent}},
        {"nats": nats},
    ):
        with pytest.raises(SettingsError, match=absent):
            make_sinks(bridge.parse({**MINIMAL, **change}))


def test_credentials_are_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without JWT and seed is refused, and where the package that reads them is missing, the remedy says so."""
    path = tmp_path / "hall.creds"
    path.touch(mode=0o600)
    settings = bridge.parse(
        {"devices": [DEVICE], "nats": {"servers": ["tls://host:4222"], "credentials_file": str(path)}}
    )
    with pytest.raises(SettingsError, match="no NATS credentials"):
        make_sinks(settings)
    path.write_text(CREDENTIALS)
    monkeypatch.setattr(nats_session, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'nats-py\[nkeys\]'"):
        make_sinks(settings)


def test_check_connects_to_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` says that the settings are good, though no device and no broker is there."""
    path = tmp_path / "bridge.yaml"
    port = free_port()
    path.write_text(
        f"devices: [{{events: 'tcp://127.0.0.1:{port}', control: 'ipc:///run/control'}}]\n"
        f"mqtt: {{host: 127.0.0.1, port: {port}}}\nnats: {{servers: ['nats://127.0.0.1:{port}']}}\n"
    )
    assert main(["bridge", "--config", str(path), "--check"]) == 0
    said = f"{path}: good: 1 device to mqtt 127.0.0.1:{port}, nats nats://127.0.0.1:{port}\n"
    assert capsys.readouterr().out == said


def test_wrong_settings_end_it_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What systemd must not start again ends with the exit code of wrong settings."""
    path = tmp_path / "bridge.yaml"
    path.write_text("devices: []\n")
    assert main(["bridge", "--config", str(path)]) == 78
    assert "devices" in capsys.readouterr().err
