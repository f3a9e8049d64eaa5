"""`patchedge fleet init`, `push`, `devices` and `keys`, as an operator types them."""

from __future__ import annotations

import asyncio
import json
import shlex
import stat
from pathlib import Path

import pytest

from edge_config.bundle import files as bundles
from edge_config.fleet_errors import FleetUnavailable
from edge_config.settings.fleet import FleetSettings
from edge_config.wire.fleet import CameraReport, DeviceReport
from runtime.cli import fleet
from runtime.cli.main import main
from runtime.fleet.store.device_table import age
from runtime.fleet.store.store import FleetStore
from tests.support.brokers import NatsServer, needs_nats
from tests.support.ports import free_port

MINUTE_MS = 60_000


def typed(line: str) -> int:
    return main(["fleet", *shlex.split(line)])


@pytest.fixture
def config(server: NatsServer, tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(f"servers: ['nats://127.0.0.1:{server.port}']\n")
    return path


@needs_nats
def test_a_store_is_made_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second `init` leaves everything as it is, and says so."""
    assert typed(f"init --packs-mb 64 --config {config}") == 0
    names = ["patchedge-packs", "patchedge-desired", "patchedge-rollouts", "patchedge-said"]
    assert capsys.readouterr().out.splitlines() == [f"{name}: made" for name in names]
    assert typed(f"init --config {config} --counter 5000") == 0
    told = [f"{name}: is there already, and stays as it is" for name in names]
    assert capsys.readouterr().out.splitlines() == [*told, "the next assignment is above 5000"]


@needs_nats
def test_push_verifies_and_says_the_id(
    config: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle is in the store under its id; what is none is refused with its own error, and exit code 65."""
    assert typed(f"init --packs-mb 64 --config {config}") == 0
    assert typed(f"push {tiny_bundle} --config {config}") == 0
    assert f"bundle {bundles.read(tiny_bundle).id}, " in capsys.readouterr().out
    (tmp_path / "no.pack").write_bytes(b"no pack")
    assert typed(f"push {tmp_path / 'no.pack'} --config {config}") == 65
    assert "no.pack: " in capsys.readouterr().err


@needs_nats
def test_devices_are_a_table_and_json(config: Path, server: NatsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each device, with what is not well; the same as JSON, by name. Ages are by the servers' clock."""
    cameras = (
        CameraReport(camera="top", state="live", active="ab" * 32, root="cd" * 32, round=2, drift="darker"),
        CameraReport(camera="side", state="stalled", active="cd" * 32),
    )
    one = DeviceReport(device="press-3", groups=("press",), at_ms=MINUTE_MS, phase="in place", cameras=cameras)
    two = DeviceReport(device="oven-1", at_ms=3 * MINUTE_MS, phase="refused", reason="its golden frames differ")

    async def say() -> None:
        async with FleetStore.connect(FleetSettings(servers=(f"nats://127.0.0.1:{server.port}",))) as store:
            await store.say(one)
            await store.say(two)

    assert typed(f"init --packs-mb 64 --config {config}") == 0
    capsys.readouterr()
    assert typed(f"devices --config {config}") == 0
    assert capsys.readouterr().out.startswith("no device has said anything yet")
    asyncio.run(say())
    assert typed(f"devices --config {config}") == 0
    head, oven, reason, press = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [word.strip() for word in head if word] == ["DEVICE", "GROUPS", "PHASE", "BUNDLE", "HEALTH", "DRIFT", "SAID"]
    *words, said = [word.strip() for word in oven if word]
    assert words == ["oven-1", "-", "refused", "-", "-", "-"]
    assert said.endswith(" s ago")
    assert reason == ["", "its golden frames differ"]
    assert [word.strip() for word in press if word][:-1] == [
        "press-3",
        "press",
        "in place",
        "abababababab+2, cdcdcdcdcdcd",
        "1/2 live, side stalled",
        "top: darker",
    ]
    assert typed(f"devices --json --config {config}") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["oven-1", "press-3"]
    assert found["press-3"]["cameras"][1]["state"] == "stalled"


@pytest.mark.parametrize(
    ("ms", "text"), [(-5, "0 s ago"), (59_999, "59 s ago"), (120_000, "2 min ago"), (90_000_000, "1 d ago")]
)
def test_ages_are_in_their_largest_unit(ms: int, text: str) -> None:
    """So that a device that was off for a month is told from one that was off for a minute."""
    assert age(ms) == text


def test_servers_that_are_away_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator is not left waiting."""
    path = tmp_path / "fleet.yaml"
    path.write_text(f"servers: ['nats://127.0.0.1:{free_port()}']\n")
    monkeypatch.setattr(fleet, "PATIENCE_S", 0.3)
    assert typed(f"devices --config {path}") == FleetUnavailable.exit_code
    assert "no answer in 0.3 s" in capsys.readouterr().err


def test_keys_are_secret_and_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The seed is readable by its owner alone, and a second call does not destroy it."""
    path = tmp_path / "press-3.nk"
    assert typed(f"keys press-3 --group press --out {path}") == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    seed, said = path.read_text(), capsys.readouterr().out
    assert "nkey: U" in said
    assert '"patchedge.fleet.said.press-3"' in said
    assert seed.strip() not in said
    assert typed(f"keys press-3 --out {path}") == 2
    assert path.read_text() == seed
    assert typed(f"keys 'a b' --out {tmp_path / 'other'}") == 2
