"""Real devices in the fleet: `patchedge run` with its own agent; what serves is read off the scores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np

from edge_config.wire.messages import ScoreMessage
from runtime.client.subscriber import Subscriber
from runtime.frame import Image
from tests.programs.fleet.devices import CAMERA, GROUP, ServedLine, log_of
from tests.support.tiny import normal_picture, strange_picture

FPS = 20
WEAK = 0.2
"""Share of the colour of an object that only the bundle `alerting` calls anomalous: it scores about 35."""

EVERY, LASTS, PASSES = 10, 4, 4
"""Pictures from object to object, pictures with one, and objects of which one is strong: four times the alerts."""

REPEATED = 900
"""Half an hour of pictures."""


def recording(folder: Path) -> Path:
    """Write the pictures of a camera before which objects pass."""
    first = folder / "first"
    first.mkdir()
    for number in range(EVERY * PASSES):
        shows = number % EVERY >= EVERY - LASTS
        share = 0.0 if not shows else 1.0 if number // EVERY == 0 else WEAK
        cv2.imwrite(str(first / f"{number:03d}.png"), _mixed(number, share))
    camera = folder / "camera"
    camera.mkdir()
    for number, picture in enumerate([*sorted(first.iterdir())] * REPEATED):
        (camera / f"{number:05d}.png").hardlink_to(picture)
    return camera


def _mixed(seed: int, share: float) -> Image:
    normal, strange = normal_picture(seed).astype(np.float32), strange_picture(seed).astype(np.float32)
    return np.asarray((1 - share) * normal + share * strange, np.uint8)


class RealDevice:
    """A device that is started, killed and started again.

    Attributes:
        name: its name.
    """

    def __init__(
        self, folder: Path, name: str, bundle: Path, camera: Path, servers: Sequence[str], keys: tuple[str, str]
    ) -> None:
        """Write its settings; `keys` are the public ones of operator and workshop."""
        self.name, self._folder = name, folder / name
        self._folder.mkdir(parents=True)
        self._log = log_of(folder, name)
        self._events = f"ipc://{self._folder}/events"
        alerts = {"min_frames": 2, "min_ms": 0, "merge_ms": 0}
        settings = {
            "device": name,
            "bundle": str(bundle),
            "cameras": {CAMERA: {"source": str(camera), "fps": FPS, "alerts": alerts}},
            "events": {"bind": self._events},
            "control": {"bind": f"ipc://{self._folder}/control"},
            "metrics": {"enabled": False},
            "trust": {"keys": [keys[1]]},
            "threads": 1,
            "fleet": {"servers": list(servers), "groups": [GROUP], "operators": [keys[0]]},
        }
        (self._folder / "device.yaml").write_text(json.dumps(settings))  # JSON is YAML
        self._process: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, name=name)

    def start(self) -> None:
        """Start it, once more where it was killed."""
        words = [sys.executable, "-m", "runtime.cli.main", "run", "--config", str(self._folder / "device.yaml")]
        env = {**os.environ, "XDG_STATE_HOME": str(self._folder / "state"), "OMP_NUM_THREADS": "1"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, env=env)
        if not self._reader.is_alive():
            self._reader.start()

    def kill(self) -> None:
        """Kill it with SIGKILL; its children end with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._over.set()
        if self._reader.is_alive():
            self._reader.join()

    def _read(self) -> None:
        """Write down each change of the bundle that scores."""
        serves = ""
        with Subscriber(self._events) as subscriber:
            while not self._over.is_set():
                received = subscriber.receive(0.5)
                if received is None or not isinstance(received.message, ScoreMessage):
                    continue
                if serves and received.message.bundle != serves:
                    at_ms = time.time_ns() // 10**6
                    line = ServedLine(at_ms=at_ms, serves=received.message.bundle, assigned="", before=None)
                    with self._log.open("ab") as stream:
                        stream.write(msgspec.json.encode(line) + b"\n")
                serves = received.message.bundle
