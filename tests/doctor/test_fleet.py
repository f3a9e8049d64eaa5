"""What doctor says of a device that is in a fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_config.settings.device import Settings
from edge_config.settings.parse import parse
from runtime.doctor import fleet
from tests.support.brokers import NatsServer, needs_nats
from tests.support.ports import free_port

KEY = f"ed25519:{'ab' * 32}"


def settings(port: int, keys: tuple[str, ...] = (KEY,), **more: Any) -> Settings:
    section = {"servers": [f"nats://127.0.0.1:{port}"], "operators": [KEY], "name": "press-3", **more}
    return parse({"bundle": "b", "cameras": {"a": {"source": 0}}, "fleet": section, "trust": {"keys": keys}})


def test_a_device_in_no_fleet_has_no_finding() -> None:
    """Without the section there is nothing to say."""
    assert list(fleet.fleet(parse({"bundle": "b", "cameras": {"a": {"source": 0}}}))) == []


@needs_nats
def test_servers_that_let_it_in(tmp_path: Path) -> None:
    """Name, groups, operators; and a warning where no signature of a bundle would be checked."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    try:
        (good,) = fleet.fleet(settings(server.port, groups=["press", "hall-2"]))
        assert (good.level, good.says) == (
            "ok",
            "press-3 in press, hall-2; 1 operator may assign; the servers let it in",
        )
        _, warned = fleet.fleet(settings(server.port, ()))
        assert (warned.level, "`trust.keys` is empty" in warned.says) == ("warn", True)
    finally:
        server.end()


def test_what_keeps_it_out_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that are away, credentials that others can read, a key that is none: the device itself works."""
    monkeypatch.setattr(fleet, "PATIENCE_S", 0.3)
    (away,) = fleet.fleet(settings(free_port()))
    assert (away.level, "no answer in 0.3 s" in away.says) == ("warn", True)
    (tmp_path / "press-3.nk").write_text("secret")
    (tmp_path / "press-3.nk").chmod(0o644)
    (open_to_all,) = fleet.fleet(settings(1, credentials_file=str(tmp_path / "press-3.nk")))
    assert (open_to_all.level, "readable by others" in open_to_all.says) == ("warn", True)
    (no_key,) = fleet.fleet(settings(1, operators=[str(tmp_path / "absent.pub")]))
    assert (no_key.level, "absent.pub" in no_key.says) == ("warn", True)
