"""What the soak judges by: a checker that finds nothing wrong proves nothing."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import pytest

from edge_config.wire.messages import ScoreMessage, StateMessage
from runtime.frame import Image
from tests.programs.soak import judge, processes, views
from tests.programs.soak.cameras import HttpCamera
from tests.programs.soak.processes import Usage
from tests.programs.soak.usb import Driver, UsbCamera
from tests.programs.soak.watch import Seen

HEADER = {"device": "edge", "camera": "gate", "epoch": "", "seq": 1, "t_publish_ns": 0, "bundle": ""}


def scored(at_s: float, label: str = "normal", state: str = "live") -> Seen:
    frame = {"frame_id": 1, "t_capture_ns": 0, "t_mono_ns": int(at_s * 1e9), "age_ms": 1.0, "peak_xy": None}
    judged = {"score": None, "threshold": 1.0, "label": label, "state": state}
    return Seen(at_s, ScoreMessage(schema="patchedge.score.v1", **HEADER, **frame, **judged))


def changed(at_s: float, state: str) -> Seen:
    return Seen(at_s, StateMessage(schema="patchedge.state.v1", **HEADER, state=state, reason="because"))


def used(minute: int, memory_mb: float = 100.0, descriptors: int = 50, processes_: int = 5) -> Usage:
    return Usage(60.0 * minute, memory_mb, descriptors, threads=20, processes=processes_, shared=0)


def first_picture(camera: HttpCamera) -> Image | None:
    capture = cv2.VideoCapture(camera.url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 1000])
    try:
        return capture.read()[1]
    finally:
        capture.release()


def test_frames_called_normal_during_a_fault_are_found() -> None:
    """A frame that was grabbed between detection and end must not be normal; before, after, and unknown it may be."""
    seen = [scored(1.0), scored(2.0, "unknown"), scored(3.0, "anomalous"), scored(5.0)]
    assert judge.labelled_normal(seen, "gate", 2.0, 5.0) == []
    assert judge.labelled_normal([*seen, scored(4.0)], "gate", 2.0, 5.0) == ["1 frames of gate labelled normal"]


def test_camera_that_slows_down_is_found() -> None:
    """Nine of ten frames judged are enough, eight are not, and unknown ones do not count."""
    seen = [scored(at / 10) for at in range(100)]
    assert judge.slowed(seen, 105, "gate", 0.0, 10.0) == []
    assert judge.slowed(seen, 125, "gate", 0.0, 10.0)
    assert judge.slowed([scored(at / 10, "unknown") for at in range(100)], 100, "gate", 0.0, 10.0)


def test_camera_that_leaves_live_is_found() -> None:
    """A state message other than live is a complaint with its reason, for the cameras asked about only."""
    seen = [changed(1.0, "live"), changed(2.0, "moved")]
    assert judge.left_live(seen, ["gate"]) == ["gate became moved (because)"]
    assert judge.left_live(seen, ["yard"]) == []


def test_state_is_seen_where_it_is_published() -> None:
    """A state counts once it is told on its own topic, of a camera that is asked about, and is one that is expected."""
    seen = [scored(1.0, "unknown", "dark"), changed(2.0, "moved"), changed(3.0, "dark")]
    found = judge.first(seen, ["gate"], ["dark", "blurred"])
    assert found is not None
    assert found.at_s == 3.0
    assert judge.first(seen[:2], ["gate"], ["dark", "blurred"]) is None
    assert judge.first(seen, ["yard"], ["dark", "blurred"]) is None


@pytest.mark.parametrize(
    ("grown", "said"),
    [
        ([used(minute) for minute in range(20)], []),
        ([used(minute, memory_mb=100 + minute) for minute in range(20)], ["memory_mb"]),
        ([used(minute, descriptors=50 + minute) for minute in range(20)], ["descriptors"]),
        ([used(minute, processes_=5 + minute // 15) for minute in range(20)], ["processes"]),
        ([used(minute, memory_mb=min(130, 100 + 10 * minute)) for minute in range(20)], []),
    ],
)
def test_growth_is_found(grown: list[Usage], said: list[str]) -> None:
    """Memory, descriptors and processes that grow are named; what is flat, or flat after its warm-up, is not."""
    assert [complaint.split()[0] for complaint in processes.growth(grown)] == said


def test_network_camera_shows_what_it_is_told() -> None:
    """FFmpeg sees the scene, the fault that is switched on, and nothing once the camera has vanished."""
    camera = HttpCamera(seed=1)
    try:
        assert first_picture(camera).mean() > 50
        camera.view = views.black
        assert first_picture(camera).mean() < 10
        camera.size = (64, 48)
        assert first_picture(camera).shape == (48, 64, 3)
        assert camera.sent(0.0, time.monotonic()) >= 3
    finally:
        camera.vanish()
    assert first_picture(camera) is None


def test_camera_at_a_device_node_comes_back_under_another_name(tmp_path: Path) -> None:
    """Unplugged it gives no picture and its stable path is gone; plugged in elsewhere the path leads to it again."""
    camera = UsbCamera(tmp_path)
    link = Path(camera.source.removeprefix("v4l2://"))
    first = Driver(str(link.resolve()))
    assert first.grab()
    camera.unplug()
    assert not first.grab()
    assert not link.exists()
    camera.plug(elsewhere=True)
    assert not first.grab()
    assert Driver(str(link.resolve())).grab()
