"""Requests for pictures: one answer for each request, at a bounded rate, with a reason where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import cv2
import numpy as np
import pytest

from edge_config.wire.replies import PictureTaken
from edge_config.wire.requests import Picture
from runtime.app import answer_requests, picture_requests
from runtime.app.picture_requests import OF_CAMERA, WAIT_S
from runtime.camera.picture import MAX_BYTES, snapshot
from runtime.events import Asked, PictureReady
from tests.support.fakes.parts import OLD, Clock, Feed, Parts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the time that requests for pictures see."""
    clock = Clock()
    for module in (picture_requests, answer_requests):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def parts(tmp_path: Path, clock: Clock) -> Iterator[Parts]:
    """Yield two live cameras."""
    parts = Parts(tmp_path, SimpleQueue().put, {"top": Feed(live=True), "side": Feed(live=True)})
    for camera in parts.cameras.values():
        camera.serve(OLD)
        camera.status.connect("live", "delivers pictures")
    clock.now_s += 100  # whoever asked before has been forgotten
    yield parts
    parts.monitor.close()


def ask(parts: Parts, number: int = 1, **fields: Any) -> None:
    parts.requests.handle(Asked(number, Picture(camera="top", **fields)))


def test_picture_is_answered_with_the_next_frame(parts: Parts) -> None:
    """The order goes to the camera with width and quality, and what comes of it is the answer, once."""
    ask(parts, width=320, quality=50)
    assert parts.control.answers == []
    ((number, *order),) = parts.feeds["top"].shows
    assert order == [320, 50]
    for _ in range(2):
        parts.requests.handle(PictureReady("top", number, (240, 320), 9, 77, b"a jpeg", ""))
    told = PictureTaken(camera="top", frame_id=9, t_capture_ns=77, width=320, height=240)
    assert parts.control.answers == [(1, True, told)]
    assert parts.control.parts == [b"a jpeg"]


def test_each_gets_its_own_picture(parts: Parts) -> None:
    """Two who ask for different sizes are not mixed up, whatever the order of the answers."""
    ask(parts, 1, width=100)
    ask(parts, 2, width=200)
    for number, width, _ in reversed(parts.feeds["top"].shows):
        parts.requests.handle(PictureReady("top", number, (1, width), 9, 77, b"a jpeg", ""))
    assert [(number, said.width) for number, _, said in parts.control.answers] == [(2, 200), (1, 100)]


def test_no_picture_in_time_is_refused_with_the_state(parts: Parts, clock: Clock) -> None:
    """A camera that gives no frame in time is a refusal that says how the camera is; what comes later is dropped."""
    ask(parts)
    parts.cameras["top"].status.connect("stalled", "no frame for 5 s")
    clock.now_s += WAIT_S
    parts.requests.turn()
    ((_, done, said),) = parts.control.answers
    assert (done, said) == (False, "no picture within 5 s: camera `top` is stalled (no frame for 5 s)")
    parts.requests.handle(PictureReady("top", parts.feeds["top"].shows[0][0], (1, 1), 9, 77, b"late", ""))
    assert len(parts.control.answers) == 1


def test_camera_that_is_not_open_is_refused_at_once(parts: Parts) -> None:
    """Where nothing is open, or the camera is paused, nobody waits for a picture."""
    parts.feeds["top"].open = False
    parts.cameras["top"].status.connect("disconnected", "no such device")
    ask(parts)
    parts.cameras["top"].pause()
    ask(parts)
    assert [said for _, _, said in parts.control.answers] == [
        "no picture: camera `top` is disconnected (no such device)",
        "camera `top` is paused; resume it first",
    ]


def test_picture_that_cannot_be_made_is_refused(parts: Parts) -> None:
    """What OpenCV makes no JPEG of is said."""
    ask(parts)
    parts.requests.handle(PictureReady("top", parts.feeds["top"].shows[0][0], (0, 0), 9, 77, b"", "cannot be made (x)"))
    assert parts.control.answers == [(1, False, "no picture of camera `top`: cannot be made (x)")]


def test_pictures_are_bounded_in_rate(parts: Parts, clock: Clock) -> None:
    """So many pictures of a camera at once, and then so many a second; another camera has its own rate."""
    for number in range(20):
        ask(parts, number)
    assert len(parts.feeds["top"].shows) == OF_CAMERA.burst
    assert "too many requests for pictures, retry in" in parts.control.answers[-1][2]
    parts.requests.handle(Asked(99, Picture(camera="side")))
    assert len(parts.feeds["side"].shows) == 1
    clock.now_s += 10
    for number in range(20):
        ask(parts, number)
    assert len(parts.feeds["top"].shows) == 2 * OF_CAMERA.burst


@pytest.mark.parametrize("hw", [(1, 1), (48, 64), (480, 1), (2000, 3000)])
@pytest.mark.parametrize("width", [16, 640, 8192])
def test_jpeg_is_of_bounded_size(hw: tuple[int, int], width: int) -> None:
    """A picture is never wider than asked for or than the frame, keeps its shape, and fits into a reply: also noise."""
    image = np.random.default_rng(7).integers(0, 256, (*hw, 3), dtype=np.uint8)
    data, small = snapshot(image, width, 100)
    assert len(data) <= MAX_BYTES
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape[:2] == small
    assert small[1] <= min(width, hw[1])
    assert abs(small[0] - hw[0] * small[1] / hw[1]) <= 1
