"""The settings file, read again: what counts at once, what needs a restart, and a file that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from structlog.testing import capture_logs

from edge_config.settings.device import Settings
from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file
from edge_config.settings.sections import Alerts
from runtime.app.settings_reload import SettingsReload, needing_restart
from runtime.events import SettingsRead
from tests.support.fakes.parts import OLD, Feed, Parts

ENOUGH_S = 20.0


def parsed(**changes: Any) -> Settings:
    tree: dict[str, Any] = {"bundle": "a.bundle", "cameras": {"top": {"source": 0}, "side": {"source": 1}}}
    return parse(tree | changes)


def cameras(**of_top: Any) -> dict[str, Any]:
    return {"top": {"source": 0, **of_top}, "side": {"source": 1}}


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, []),
        ({"cameras": cameras(alerts={"threshold": 3, "attach": ["jpeg"]})}, []),
        ({"cameras": cameras(source="rtsp://u:secret@cam/1", stall_ms=900)}, ["top.source", "top.stall_ms"]),
        ({"cameras": {"top": {"source": 0}, "new": {"source": 2}}}, ["side", "new"]),
        ({"bundle": "b.bundle", "events": {"heartbeat_s": 9}}, ["bundle", "events.heartbeat_s"]),
        ({"trust": {"keys": ["k.pub"]}}, ["trust.keys"]),
    ],
)
def test_what_needs_a_restart_is_named_without_its_value(changes: dict[str, Any], keys: list[str]) -> None:
    """Every key that differs is named, but for alerts, which count at once; no value, which may be a secret."""
    found = [key.removeprefix("cameras.") for key in needing_restart(parsed(), parsed(**changes))]
    assert sorted(found) == sorted(keys)


def read(path: Path) -> SettingsRead:
    told: SimpleQueue[SettingsRead] = SimpleQueue()
    SettingsReload(parsed(), lambda: parse(read_file(str(path)), str(path)), told.put).begin()
    return told.get(timeout=ENOUGH_S)


@pytest.mark.parametrize("text", ["{", "bundle: x", json.dumps({"bundle": "x", "cameras": cameras(alerts={"x": 1})})])
def test_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str) -> None:
    """A file that is broken, half written or gone is told by one line with its name, and nothing else."""
    (tmp_path / "device.yaml").write_text(text)
    for path in (tmp_path / "device.yaml", tmp_path / "none.yaml"):
        found = read(path)
        assert (found.alerts, found.restart) == ({}, ())
        assert found.problem.startswith(str(path))
        assert "\n" not in found.problem


def test_cameras_that_are_new_have_no_alerts_to_change(tmp_path: Path) -> None:
    """Of cameras that the runtime was not started with only the name is told."""
    tree = {"bundle": "a.bundle", "cameras": {"top": {"source": 0, "alerts": {"min_frames": 7}}, "new": {"source": 1}}}
    (tmp_path / "device.yaml").write_text(json.dumps(tree))
    found = read(tmp_path / "device.yaml")
    assert (found.alerts, found.restart) == ({"top": Alerts(min_frames=7)}, ("cameras.side", "cameras.new"))


def test_alerts_of_the_file_count_at_once(tmp_path: Path) -> None:
    """The main loop goes on with the file's alerts, says of which cameras they are new, and what needs a restart."""
    parts = Parts(tmp_path, SimpleQueue().put, {"top": Feed(live=True), "side": Feed(live=True)})
    parts.cameras["top"].serve(OLD)
    parts.cameras["top"].configure(Alerts(threshold=99))  # by a request
    news = {"top": Alerts(threshold=3), "side": parts.cameras["side"].settings}
    with capture_logs() as told:
        parts.requests.handle(SettingsRead(news, ("events.bind",)))
        parts.requests.handle(SettingsRead({}, (), "device.yaml: cannot be parsed"))
    assert (parts.cameras["top"].threshold, parts.cameras["top"].settings) == (3, Alerts(threshold=3))
    assert [line["event"] for line in told] == [
        "settings reloaded",
        "changed settings that need a restart",
        "reloading the settings failed; the old ones remain",
    ]
    assert (told[0]["alerts_of"], told[1]["keys"]) == (["top"], ["events.bind"])
    parts.monitor.close()
