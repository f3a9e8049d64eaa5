"""The log of a camera: states and alerts, and of a storm a count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from runtime.alerts.camera_log import MAX_LINES, WINDOW_S, CameraLog
from runtime.alerts.camera_state import StateChange
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.frame import Alert
from tests.support.fakes.parts import OLD, Publisher
from tests.support.processes import DEVICE, call
from tests.support.tiny import write_pictures

ALERT = Alert("id-1", "start", 1_000_000_000, 12.3456, 7, (3, 4), ())


@pytest.fixture
def log() -> Any:
    """Return the log lines."""
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_state_is_said_with_its_reason_and_remedy(log: list[dict[str, Any]]) -> None:
    """A fault is a warning with what to do about it; live, and an end that was to be, are informations."""
    camera = MonitoredCamera("top", Publisher(), log=CameraLog("top"))
    camera.serve(OLD)
    camera.status.connect("live", "delivers pictures")
    camera.status.connect("disconnected", "wrong user", "correct it")
    camera.status.connect("disconnected", "wrong user", "correct it")
    camera.status.connect("disconnected", "wrong path")
    camera.status.connect("live", "delivers pictures")
    camera.end("stopped")
    said = [(line["log_level"], line["state"], line["reason"], line.get("remedy")) for line in log]
    assert said == [
        ("info", "live", "delivers pictures", None),
        ("warning", "disconnected", "wrong user", "correct it"),
        ("warning", "disconnected", "wrong path", None),
        ("info", "live", "delivers pictures", None),
        ("info", "disconnected", "stopped", None),
    ]
    assert {line["camera"] for line in log} == {"top"}


def test_alert_is_said_at_its_start_and_its_end(log: list[dict[str, Any]]) -> None:
    """Its id, score, clip and length are there; its updates are not said."""
    camera_log = CameraLog("top")
    camera_log.alert(ALERT, 1_000_000_000, "top.avi")
    camera_log.alert(replace(ALERT, phase="update"), 2_000_000_000, "top.avi")
    camera_log.alert(replace(ALERT, phase="end", reason="normal again"), 3_500_000_000, "top.avi")
    said = {"camera": "top", "alert": "id-1", "peak_score": 12.346, "clip": "top.avi"}
    assert log == [
        {"event": "alert begins", "log_level": "warning", **said, "frame_id": 7},
        {"event": "alert ends", "log_level": "info", **said, "seconds": 2.5, "reason": "normal again"},
    ]


@pytest.mark.slow
def test_run_logs_states_and_alerts(tiny_bundle: Path, tmp_path: Path) -> None:
    """The log of `run` has the camera's states and its alert, with the id and the clip that subscribers are told."""
    source = write_pictures(tmp_path / "pictures", {3, 4}, 8)
    section = {"source": str(source), "fps": 20, "alerts": {"min_frames": 1, "min_ms": 0, "merge_ms": 0}}
    tree = {"bundle": str(tiny_bundle), "cameras": {"top": section}, "metrics": {"enabled": False}}
    tree |= {name: {"bind": f"ipc://{tmp_path}/{name}"} for name in ("events", "control")}
    tree["clips"] = {"folder": str(tmp_path / "clips")}
    (tmp_path / "device.yaml").write_text(json.dumps(tree))
    done = call(*DEVICE, "run", "--config", tmp_path / "device.yaml")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    said = [line for line in lines if line["event"] in {"state", "alert begins", "alert ends"}]
    assert [line.get("state", line["event"]) for line in said] == ["live", "alert begins", "alert ends", "disconnected"]
    assert [line["level"] for line in said] == ["info", "warning", "info", "info"]
    assert said[1]["alert"] == said[2]["alert"]
    assert said[1]["clip"] == said[2]["clip"] != ""
    assert said[2]["seconds"] > 0


def test_storm_is_counted_and_said_once(log: list[dict[str, Any]]) -> None:
    """A hundred states and alerts in a minute are a bounded number of lines, and one with the counts of the others."""
    now = [0.0]
    camera_log = CameraLog("top", clock=lambda: now[0])
    for number in range(100):
        camera_log.state(StateChange("dark", f"grey {number}"))
        camera_log.alert(ALERT, 0, "")
    assert len(log) == MAX_LINES
    now[0] = WINDOW_S
    camera_log.turn()
    camera_log.turn()
    left_out = {"states": 100 - MAX_LINES // 2, "alert_starts": 100 - MAX_LINES // 2}
    assert log[MAX_LINES:] == [
        {"event": "log lines left out", "log_level": "warning", "camera": "top", "seconds": 60, **left_out}
    ]
    camera_log.state(StateChange("live", "delivers pictures"))
    assert log[-1]["state"] == "live"
