"""An alert from the camera to clients that may receive it: all of it, encrypted, with pictures, journal and clips."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from runtime.client.subscriber import Subscriber
from runtime.security import keys
from runtime.security.keys import Keys
from tests.support.fakes.network import NetworkCamera, network_camera
from tests.support.processes import DEVICE, ENOUGH_S, started
from tests.support.tiny import HEIGHT, WIDTH

pytestmark = pytest.mark.slow

SQUARE = (40, 12, 12, 12)
"""x, y, width and height of the strange square."""

PATCH_PX = 8
"""A patch of the tiny bundle covers so many columns, and 6 rows: boxes are made of whole patches."""

MUCH_MORE = 2
"""Times blue: so red is the square, and not the grey around it, whatever JPEG makes of the colours."""


class Device:
    """A runtime at fixed addresses, that can be started again, and the keys of a client."""

    def __init__(self, folder: Path, bundle: Path, camera: NetworkCamera) -> None:
        self.folder = folder
        keys.make(str(folder / "device"))
        keys.make(str(folder / "client"))
        (folder / "clients").mkdir()
        shutil.copy(folder / "client.key", folder / "clients")
        self.config = folder / "device.yaml"
        self.config.write_text(
            json.dumps(
                {
                    "bundle": str(bundle),
                    "cameras": {
                        "top": {
                            "source": camera.url,
                            "alerts": {"attach": ["jpeg", "heat_map"], "merge_ms": 100, "min_frames": 1, "min_ms": 0},
                            "ignore": [[[0, 0], [16, 0], [16, 48], [0, 48]]],
                        }
                    },
                    "events": {"bind": f"ipc://{folder}/events", "heartbeat_s": 0.2},
                    "control": {"bind": f"ipc://{folder}/control"},
                    "metrics": {"bind": "127.0.0.1:0"},
                    "journal": {"path": str(folder / "journal.sqlite")},
                    "clips": {"folder": str(folder / "clips"), "before_s": 1, "after_s": 0.5, "longest_s": 4},
                    "security": {"secret_key": str(folder / "device.key_secret"), "clients": str(folder / "clients")},
                }
            )
        )

    def running(self) -> Any:
        """Start it, until the block ends."""
        return started(*DEVICE, "run", "--config", self.config)

    def subscriber(self, **more: Any) -> Subscriber:
        """Connect to it."""
        return Subscriber(
            f"ipc://{self.folder}/events",
            control=f"ipc://{self.folder}/control",
            kinds=["alert"],
            keys=Keys(self.folder / "client.key_secret", self.folder / "device.key"),
            **more,
        )


@pytest.fixture
def camera() -> Iterator[NetworkCamera]:
    """Yield a network camera."""
    with network_camera() as camera:
        yield camera


def test_alert_arrives_with_all_that_it_promises(tiny_bundle: Path, tmp_path: Path, camera: NetworkCamera) -> None:
    """A subscriber with a key gets place, box, picture and map of what is strange, and later a film of it."""
    device = Device(tmp_path, tiny_bundle, camera)
    with device.running(), device.subscriber() as alerts:
        camera.strange.set()
        start = alerts.receive(ENOUGH_S)
        camera.strange.clear()
        end = start
        while end.message.phase != "end":
            end = alerts.receive(ENOUGH_S)
        said = start.message
        assert (said.phase, end.message.alert_id, end.message.reason) == ("start", said.alert_id, "normal again")
        left, top, width, height = SQUARE
        assert left <= said.peak_frame_xy[0] < left + width
        x, y, w, h = said.boxes[0]
        assert left - PATCH_PX <= x <= left <= left + width <= x + w <= left + width + PATCH_PX
        assert top - PATCH_PX <= y <= top <= top + height <= y + h <= top + height + PATCH_PX
        assert [part.name for part in said.parts] == ["jpeg", "heat_map"]
        picture = cv2.imdecode(np.frombuffer(start.parts[0], np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (HEIGHT, WIDTH, 3)
        blue, _, red = picture[top : top + height, left : left + width].mean(axis=(0, 1))
        assert red > MUCH_MORE * blue
        heat = cv2.imdecode(np.frombuffer(start.parts[1], np.uint8), cv2.IMREAD_UNCHANGED)
        assert heat.shape == said.parts[1].shape
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert left <= (column + 0.5) / heat.shape[1] * WIDTH < left + width
        assert top <= (row + 0.5) / heat.shape[0] * HEIGHT < top + height
        film = tmp_path / "clips" / said.clip
        while not film.exists():  # while messages come
            camera.strange.set()
            alerts.receive(0.1)
            camera.strange.clear()
            alerts.receive(0.1)
    video = cv2.VideoCapture(str(film))
    assert video.read()[0]
    video.release()


def test_alert_that_nobody_was_there_for_arrives_later(
    tiny_bundle: Path, tmp_path: Path, camera: NetworkCamera
) -> None:
    """An alert that nobody was there to hear, cut short by kill -9, is given to a subscriber that comes later, once."""
    device = Device(tmp_path, tiny_bundle, camera)
    with device.running() as process:
        with device.subscriber() as alerts:
            camera.strange.set()
            first = alerts.receive(ENOUGH_S)
        process.kill()
    camera.strange.clear()
    with device.running(), ExitStack() as stack:
        late = stack.enter_context(device.subscriber(name="late"))
        given = []
        while not {"start", "end"} <= {
            received.message.phase for received in given
        }:  # a slow device gives the end first
            given.append(late.receive(ENOUGH_S))
        for received in given:
            late.acknowledge(received)
        assert {received.message.alert_id for received in given} == {first.message.alert_id}
        (end,) = [received.message for received in given if received.message.phase == "end"]
        assert end.reason == "the runtime ended before the alert did"
        late.close()
        camera.strange.set()
        again = stack.enter_context(device.subscriber(name="late"))
        assert again.receive(ENOUGH_S).message.alert_id != first.message.alert_id
