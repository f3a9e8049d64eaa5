"""Burn-in through the running app: silent over a recording, counted after a restart, and the threshold in service."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from edge_config.errors import RequestError, SettingsError
from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file
from edge_config.wire.burn_in import BurnIn, BurnInStatus
from edge_config.wire.replies import KeptMessages
from edge_config.wire.requests import After, Status
from runtime.cli.main import main
from runtime.client.control_client import ControlClient
from tests.support.processes import DEVICE, ENOUGH_S, call, started
from tests.support.tiny import THRESHOLD, write_pictures

COUNT, STRANGE = 320, {40, 41, 42}
"""Pictures four seconds apart: more than 20 minutes, with something in view for twelve seconds."""


def settings(folder: Path, bundle: Path, source: Path, pace: str, burn_in: str) -> Path:
    """Write settings of one camera."""
    path = folder / "settings.yaml"
    path.write_text(
        f"bundle: {bundle}\n"
        f"events: {{bind: 'ipc://{folder}/events'}}\n"
        f"control: {{bind: 'ipc://{folder}/control'}}\n"
        f"metrics: {{enabled: false}}\n"
        f"journal: {{path: {folder}/journal.sqlite}}\n"
        f"learning: {{folder: {folder}/learning}}\n"
        "cameras:\n"
        "  top:\n"
        f"    source: {source}\n"
        f"    pace: {pace}\n"
        "    fps: 0.25\n"
        f"    {burn_in}\n"
        "    alerts_per_day: 300\n"
    )
    return path


def said(process: subprocess.Popen[str], event: str, words: str) -> str:
    """Read the log until it says this."""
    for line in process.stderr or ():
        entry = json.loads(line)
        if entry["event"] == event and words in entry.get("said", ""):
            return str(entry.get("said", ""))
    raise AssertionError(f"no {event!r} in the log")


def published(folder: Path, topic: str) -> list[dict]:
    """Return the messages of the journal."""
    with ControlClient(f"ipc://{folder}/control", timeout_s=ENOUGH_S) as device:
        kept = device.request(After(topics=(topic,), limit=1000), KeptMessages)
    return [json.loads(bytes(one.message)) for one in kept.messages]


def burn_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return call(*DEVICE, "burn-in", *words, "--control", f"ipc://{folder}/control")


@pytest.mark.slow
def test_from_silence_to_alerts(tiny_bundle: Path, tmp_path: Path) -> None:
    """No alert while it is watched, the threshold is set after a restart, and it is dropped by a request."""
    source = write_pictures(tmp_path / "pictures", STRANGE, COUNT)
    first = settings(tmp_path, tiny_bundle, source, "max", "burn_in: 20min")
    done = call(*DEVICE, "run", "--config", first)
    assert done.returncode == 0, done.stderr
    with started(
        *DEVICE, "run", "--config", settings(tmp_path, tiny_bundle, source, "fps", "burn_in: 20min")
    ) as process:
        over = said(process, "burn-in", "burn-in over")
        assert "1 set aside as real" in over
        reasons = [message["reason"] for message in published(tmp_path, "v1/state/")]
        assert any("no alert is raised until then" in reason for reason in reasons)
        assert over in reasons
        assert published(tmp_path, "v1/alert/") == []
        shown = burn_in(tmp_path)
        assert shown.returncode == 0, shown.stderr
        assert "in service" in shown.stdout
        started_again = burn_in(tmp_path, "top", "--start", "1h", "--alerts-per-day", "2", "--json")
        status = json.loads(started_again.stdout)["top"]
        assert (status["phase"], status["silent"], status["in_service"]) == ("running", False, True)
        applied = status["applied"]
        assert 0 < applied["threshold"] < THRESHOLD
        assert (applied["proposal"]["asides"], applied["proposal"]["basis"]) == (1, "counted")
        with ControlClient(f"ipc://{tmp_path}/control", timeout_s=ENOUGH_S) as device:
            told = device.request(Status(), dict)["cameras"]["top"]
            assert told["threshold"] == applied["threshold"]
            with pytest.raises(RequestError, match="is running"):
                device.request(BurnIn(camera="top"), BurnInStatus)
            device.request(BurnIn(camera="top", do="stop"), BurnInStatus)
            said(process, "burn-in", "burn-in over, the threshold stays")
            assert device.request(BurnIn(camera="top", do="drop"), BurnInStatus).applied is None
            assert device.request(Status(), dict)["cameras"]["top"]["threshold"] == THRESHOLD


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--start", "24h"), "needs the name of a camera"),
        (("top", "--start", "soon"), "not a burn-in"),
        (("top", "--all"), "--all: goes with"),
        (("top", "--stop", "--force"), "--force: goes with"),
        (("top", "--alerts-per-day", "2", "--apply"), "--alerts-per-day: goes with"),
        (("top", "--stop", "--apply"), "does not go with --stop"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str], expected: str
) -> None:
    """Arguments that do not go together end it with 2 and one line, before a device is asked."""
    assert main(["burn-in", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line


@pytest.mark.parametrize("burn_in_", ["5min", "31d", "'24'", "1 day", "-3h", "24h\n    alerts: {threshold: 3}"])
def test_durations_that_make_no_sense_are_refused(tmp_path: Path, tiny_bundle: Path, burn_in_: str) -> None:
    """A burn-in that is too short, too long or no time is named with its key."""
    path = settings(tmp_path, tiny_bundle, tmp_path, "max", f"burn_in: {burn_in_}")
    with pytest.raises(SettingsError, match=r"cameras\.top\.burn_in"):
        parse(dict(read_file(str(path))))
