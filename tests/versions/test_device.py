"""A device that is taught and learns on, with the commands that users have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_config.wire.messages import HealthMessage, ScoreMessage
from runtime.client.subscriber import Subscriber
from tests.support import growing
from tests.support.fakes.network import NetworkCamera, network_camera
from tests.support.processes import DEVICE, ENOUGH_S, call, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FRAMES, MOST = 10, 6
"""So many of these frames are normal: the threshold comes from four held-out pictures of noise."""


class Device:
    """A device with one camera, and its user.

    Attributes:
        camera: what it sees.
        root: its bundle.
    """

    def __init__(self, folder: Path, camera: NetworkCamera, subscriber: Subscriber) -> None:
        self.camera = camera
        self._control = f"ipc://{folder}/control"
        self._subscriber = subscriber

    def call(self, *words: str, code: int = 0) -> str:
        """Call a verb; return what it prints."""
        done = call(*DEVICE, *words, "--control", self._control)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.call(*words, "--json"))

    def until_bundle(self, bundle: str) -> None:
        """Wait until messages name a bundle, the first of which is a heartbeat."""
        while True:
            received = self._subscriber.receive(ENOUGH_S)
            assert received is not None
            if received.message.bundle == bundle:
                assert isinstance(received.message, HealthMessage)
                return

    def labels(self, count: int) -> list[str]:
        """Return the labels of the next frames."""
        found: list[str] = []
        while len(found) < count:
            received = self._subscriber.receive(ENOUGH_S)
            assert received is not None
            if isinstance(received.message, ScoreMessage):
                found.append(received.message.label)
        return found


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Yield a device that looks at a normal scene."""
    root = growing.make_parent(tmp_path / "line.bundle", mode="max")
    with network_camera() as camera:
        settings = {
            "bundle": str(root),
            "cameras": {"top": {"source": camera.url, "alerts": {"threshold": None}}},
            "events": {"bind": f"ipc://{tmp_path}/events", "wait_subscribers": 1},
            "control": {"bind": f"ipc://{tmp_path}/control"},
            "metrics": {"enabled": False},
            "degrade": {"thermal_root": str(tmp_path / "none"), "least_memory_mb": 0},
        }
        (tmp_path / "device.yaml").write_text(json.dumps(settings))  # JSON is YAML
        with (
            Subscriber(settings["events"]["bind"], kinds=("score", "health", "state")) as subscriber,
            started(*DEVICE, "run", "--config", tmp_path / "device.yaml") as process,
        ):
            device = Device(tmp_path, camera, subscriber)
            device.labels(1)
            yield device
            process.terminate()
            assert process.wait(ENOUGH_S) == 0


def test_device_learns_on_and_goes_back(device: Device) -> None:
    """What a person accepts is normal after `learn-on`, subscribers hear of the new bundle, `rollback` undoes it."""
    root = device.json("versions", "top")["versions"][0]["id"]
    device.camera.strange.set()
    while device.labels(1) != ["anomalous"]:
        pass
    assert "no accepted pictures" in device.call("learn-on", "top", code=1)
    device.call("teach", "start", "top", "--count", "16", "--every-ms", "0")
    device.call("teach", "accept", "top", "--all")
    learnt = device.json("learn-on", "top", "--force")
    assert learnt["state"] == "done", learnt
    device.until_bundle(learnt["version"])
    assert device.labels(FRAMES).count("normal") >= MOST
    shown = device.call("versions", "top")
    assert f"* {learnt['version'][:12]}  from {root[:12]}" in shown
    back = device.json("rollback", "top")
    assert back == {"camera": "top", "bundle": root, "before": learnt["version"]}
    device.until_bundle(root)
    assert device.labels(FRAMES) == ["anomalous"] * FRAMES
    assert "nothing to go back to" in device.call("rollback", "top", code=1)
    assert "no accepted pictures" in device.call("learn-on", "top", code=1)
