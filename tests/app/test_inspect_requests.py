"""Requests to judge a picture: it comes in parts into one bounded buffer, one picture at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_config.wire.inspect import MAX_PICTURE_PART_BYTES, InspectPicture, PictureReceived
from edge_config.wire.messages import Part
from edge_config.wire.requests import Status
from runtime.app.inspect_requests import UPLOAD_S, InspectRequests
from runtime.events import Asked, Scored
from runtime.frame import PICTURE, BundleInfo, Result, SharedFrame, Wanted
from tests.support.fakes.parts import Control

THRESHOLD, HW = 5.0, (200, 300)
SIZE = HW[0] * HW[1] * 3
PIXELS = np.random.default_rng(1).integers(0, 256, SIZE, dtype=np.uint8).tobytes()
HEAT = Part(name="heat_map", media_type="application/octet-stream", dtype="uint8", shape=(2, 2))


class Engine:
    """Reads each picture when it is submitted; a test answers.

    Attributes:
        attached: memories.
        seen: camera, frame, what is wanted, and pixels.
    """

    def __init__(self) -> None:
        self.attached: dict[int, tuple[int, int]] = {}
        self.seen: list[tuple[str, SharedFrame, Wanted, bytes]] = []

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        self.attached[memory] = descriptor, size

    def detach(self, memory: int) -> None:
        del self.attached[memory]

    def submit(self, camera: str, frame: SharedFrame, wanted: Wanted) -> None:
        descriptor, size = self.attached[frame.memory]
        self.seen.append((camera, frame, wanted, os.pread(descriptor, size, 0)))


class Rig:
    """What answers, and all around it; the clock is the test's."""

    def __init__(self) -> None:
        self.engine, self.control, self.now_s = Engine(), Control(), 50.0
        bundle = BundleInfo("b" * 64, "/b", THRESHOLD, 0.01, median=1.0)
        self.channel: Any = SimpleNamespace(camera=SimpleNamespace(bundle=bundle, threshold=THRESHOLD))
        channels = {"top": self.channel}
        self.requests = InspectRequests(channels, self.control, self.engine, lambda: self.now_s)  # type: ignore[arg-type]
        self._number = 0

    def ask(self, offset: int, part: bytes | None = None, key: str = "", **fields: Any) -> tuple[bool, Any] | None:
        """Send a part; return whether it was taken and what was said, or None where the answer is still to come."""
        self._number += 1
        request = InspectPicture(**{"camera": "top", "height": HW[0], "width": HW[1], "offset": offset, **fields})
        part = PIXELS[offset : offset + MAX_PICTURE_PART_BYTES] if part is None else part
        assert self.requests.answer(Asked(self._number, request, key, part))
        return next((answer[1:] for answer in self.control.answers if answer[0] == self._number), None)

    def send(self, **fields: Any) -> None:
        """Send a whole picture; its last part has no answer yet."""
        answers = [self.ask(offset, **fields) for offset in range(0, SIZE, MAX_PICTURE_PART_BYTES)]
        assert answers == [(True, PictureReceived(received=MAX_PICTURE_PART_BYTES)), None]

    def score(self, value: float | None = 9.0, reason: str = "") -> tuple[bool, Any]:
        """Answer for the worker; return what the client is told."""
        camera, frame, *_ = self.engine.seen[-1]
        boxes, result = ((1, 2, 3, 4),), None
        if value is not None:
            result = Result(value=value, peak_xy=(3, 4), p_value=0.1, boxes=boxes, parts=(HEAT,))
        assert self.requests.handle(Scored(camera, frame, result, reason, (b"heat",)))
        return self.control.answers[-1][1:]


@pytest.fixture
def rig() -> Any:
    """Yield a rig; afterwards no descriptor is left."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    rig = Rig()
    yield rig
    rig.requests.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(("value", "label", "excess"), [(9.0, "anomalous", 1.0), (3.0, "normal", -0.5)])
def test_picture_in_parts_is_judged_as_a_whole(rig: Rig, value: float, label: str, excess: float) -> None:
    """The worker sees the very pixels, as no frame of the camera; the client gets the verdict with its heat map."""
    rig.send()
    ((camera, frame, wanted, pixels),) = rig.engine.seen
    assert (camera, frame.hw, frame.frame_id, pixels) == ("top", HW, PICTURE, PIXELS)
    assert wanted.threshold == THRESHOLD
    done, said = rig.score(value)
    assert (done, said.received, rig.control.parts) == (True, SIZE, [b"heat"])
    verdict = said.verdict
    assert (verdict.score, verdict.threshold, verdict.label, verdict.bundle) == (value, THRESHOLD, label, "b" * 64)
    assert verdict.excess == pytest.approx(excess)
    assert (verdict.p_value, verdict.peak_xy, verdict.boxes) == (0.1, (3, 4), ((1, 2, 3, 4),))
    assert (verdict.frame_hw, verdict.parts) == (HW, (HEAT,))
    assert rig.engine.attached == {}


def test_one_picture_at_a_time(rig: Rig) -> None:
    """While a picture is sent or judged, that of another client is refused as busy; afterwards it is taken."""
    rig.ask(0, upload="mine")
    for other in ({"upload": "another"}, {"upload": "mine", "key": "K"}):
        done, said = rig.ask(0, **other)  # type: ignore[misc]
        assert (done, said.partition(":")[0]) == (False, "busy")
    assert rig.ask(MAX_PICTURE_PART_BYTES, upload="mine") is None
    done, said = rig.ask(0, upload="another")  # type: ignore[misc]
    assert (done, said.partition(":")[0]) == (False, "busy")
    assert rig.score()[0]
    assert rig.ask(0, upload="another") == (True, PictureReceived(received=MAX_PICTURE_PART_BYTES))


def test_picture_that_stops_coming_makes_room(rig: Rig) -> None:
    """After its time-out a picture is dropped: another may come, and its own next part is refused."""
    rig.ask(0, upload="gone")
    rig.now_s += UPLOAD_S / 2
    rig.requests.turn()
    assert rig.ask(0, upload="another")[0] is False  # type: ignore[index]
    rig.now_s += UPLOAD_S
    assert rig.ask(0, upload="another")[0] is True  # type: ignore[index]
    done, said = rig.ask(MAX_PICTURE_PART_BYTES, upload="gone")  # type: ignore[misc]
    assert (done, "begin again" in said) == (False, True)


def test_worker_that_dies_is_a_refusal(rig: Rig) -> None:
    """A picture that could not be scored is refused with the reason, and the next one is taken."""
    rig.send()
    done, said = rig.score(None, "inference worker crashed")
    assert (done, "inference worker crashed" in said) == (False, True)
    assert rig.engine.attached == {}
    rig.send(upload="next")
    assert rig.score()[0]


@pytest.mark.parametrize(
    ("offset", "fields", "part", "word"),
    [
        (0, {"height": 4000, "width": 3001}, b"x", "36012000 bytes"),
        (0, {}, b"", "0 bytes"),
        (0, {}, b"x" * (MAX_PICTURE_PART_BYTES + 1), "at most 131072"),
        (0, {"height": 1, "width": 1}, b"four", "beyond the picture"),
        (7, {}, b"x", "begin again"),
    ],
)
def test_part_that_makes_no_sense_is_refused(
    rig: Rig, offset: int, fields: dict[str, Any], part: bytes, word: str
) -> None:
    """A picture that is too large, an empty part, one that is too long, and one without a beginning take no memory."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    done, said = rig.ask(offset, part, **fields)  # type: ignore[misc]
    assert (done, word in said) == (False, True), said
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_parts_come_in_order(rig: Rig) -> None:
    """A part that was sent twice, or left out, is refused, and says where to go on; the picture is still complete."""
    rig.ask(0, PIXELS[:100])
    for offset in (50, 101):
        done, said = rig.ask(offset, b"x")  # type: ignore[misc]
        assert (done, said) == (False, "the next part of this picture begins at 100")
    rig.ask(100, PIXELS[100:MAX_PICTURE_PART_BYTES])
    assert rig.ask(MAX_PICTURE_PART_BYTES) is None
    assert rig.engine.seen[0][3] == PIXELS


def test_picture_may_begin_again(rig: Rig) -> None:
    """A client whose connection broke sends its picture from the beginning."""
    rig.ask(0, b"wrong")
    rig.send()
    assert rig.engine.seen[0][3] == PIXELS


def test_pictures_are_limited_to_some_a_second(rig: Rig) -> None:
    """Too many pictures in a row are refused, with the time to wait."""
    said = ""
    for number in range(10):
        answer = rig.ask(0, upload=str(number))
        if answer is not None and not answer[0]:
            said = answer[1]
            break
        rig.requests.close()
    assert said.startswith("too many requests")
    rig.now_s += 1.0
    assert rig.ask(0, upload="later")[0] is True  # type: ignore[index]


def test_camera_without_a_bundle_judges_nothing(rig: Rig) -> None:
    """Before a bundle is in service no picture is taken."""
    rig.channel.camera.bundle = BundleInfo("", "", 0.0, 1.0)
    done, said = rig.ask(0)  # type: ignore[misc]
    assert (done, "no bundle" in said) == (False, True)


@pytest.mark.parametrize("make", [lambda: Scored("top", SharedFrame(1, 0, HW, 7, 0, 0), None), lambda: "other"])
def test_other_events_and_requests_are_not_its_own(rig: Rig, make: Callable[[], Any]) -> None:
    """Scores of frames, and other requests, are left to others."""
    assert not rig.requests.handle(make())
    assert not rig.requests.answer(Asked(1, Status()))
