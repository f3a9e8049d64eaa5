"""A device that learns, is killed and started again: what of it is running, what it says, and what lies on its disk."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import Manifest
from edge_config.errors import AddressUnavailable, RequestError
from edge_config.wire.messages import ScoreMessage
from edge_config.wire.request_base import Request
from edge_config.wire.requests import Status
from edge_config.wire.versions import Rollback, RolledBack
from runtime.client.control_client import ControlClient
from runtime.client.subscriber import Subscriber
from runtime.versions.shelf import Shelf
from tests.programs.kill_learning.device import TAUGHT
from tests.programs.soak.processes import command, tree
from tests.support import growing

CAMERA, OTHER = "top", "side"
WAIT_S = 60.0
MAX_SCORES = 5
ROLL_BACK_S = 10.0
KINDS = {"learner": ("learner",), "worker": ("runtime.inference.worker",), "parent": ()}
"""Process that is killed -> words of its command; the parent is the one that was started."""


class Rig:
    """A device in a folder, whose cameras are at an address."""

    def __init__(self, folder: Path, url: str, learner: str) -> None:
        """Make its bundle, its settings, and the pictures that it is taught."""
        self.folder = folder
        self._learner = learner
        self.root = growing.make_parent(folder / "line.bundle", mode="max")
        taught = folder / "learning" / CAMERA / TAUGHT
        growing.write(taught, [growing.with_square(seed, growing.BLUE) for seed in range(4)])
        if learner == "stub":
            (taught / "000.png").rename(taught / "steps.png")
        camera = {"source": url, "reconnect_min_s": 0.01, "reconnect_max_s": 0.1}
        settings = {
            "bundle": str(self.root),
            "cameras": {CAMERA: camera, OTHER: camera},
            "events": {"bind": f"ipc://{folder}/events", "heartbeat_s": 1.0},
            "control": {"bind": f"ipc://{folder}/control"},
            "metrics": {"enabled": False},
            "journal": {"path": str(folder / "journal.sqlite")},
            "learning": {"folder": str(folder / "learning"), "keep_peaks": False},
            "degrade": {"thermal_root": str(folder / "none"), "least_memory_mb": 0},
            "threads": 1,
        }
        self._config = folder / "device.yaml"
        self._config.write_text(json.dumps(settings))  # JSON is YAML
        self._process: subprocess.Popen[bytes] | None = None
        self._log = (folder / "log").open("ab")
        self.shelf = Shelf(folder / "learning", CAMERA)
        self.manifests: dict[str, Manifest] = {}
        self.root_id = self.know(self.root)
        self._client: ControlClient | None = None

    def know(self, path: Path) -> str:
        """Read a whole bundle, and remember what it says; return its id."""
        found = bundles.read(path)
        self.manifests[found.id] = found.manifest
        return found.id

    def start(self) -> None:
        """Start the device, and wait until it scores."""
        words = [sys.executable, "-m", "tests.programs.kill_learning.device", str(self._config), self._learner]
        self._process = subprocess.Popen(words, stderr=self._log, stdout=subprocess.DEVNULL)
        self._client = ControlClient(f"ipc://{self.folder}/control", timeout_s=WAIT_S)
        while not all(one["bundle"] and one["state"] == "live" for one in self.status()["cameras"].values()):
            self.scores(0.2)

    def close(self) -> None:
        """End everything."""
        if self._process is not None:
            self.kill("parent")
        self._log.close()

    @property
    def runs(self) -> bool:
        """Whether the device runs."""
        return self._process is not None

    def ask(self, request: Request) -> Any:
        """Send a request; return the reply, or the reason why it was refused."""
        assert self._client is not None
        try:
            return self._client.ask(request)[0]
        except RequestError as error:
            return str(error)

    def roll_back(self) -> str:
        """Ask for a rollback in any thread; return the id of the bundle that serves then, empty if none was told."""
        with ControlClient(f"ipc://{self.folder}/control", timeout_s=ROLL_BACK_S) as client:
            try:
                return client.request(Rollback(camera=CAMERA), RolledBack).bundle
            except (AddressUnavailable, RequestError):  # it was killed
                return ""

    def status(self) -> dict[str, Any]:
        """Return the reply to `status`."""
        found: dict[str, Any] = self.ask(Status())
        return found

    def pids(self, who: str) -> list[int]:
        """Return the processes of a kind."""
        assert self._process is not None
        if who == "parent":
            return [self._process.pid]
        found = tree(self._process.pid)[1:]
        return [pid for pid in found if any(word in command(pid) for word in KINDS[who])]

    def kill(self, who: str) -> bool:
        """Kill one with SIGKILL, and wait for its end, of the parent for that of all; return whether it was there."""
        assert self._process is not None
        doomed = tree(self._process.pid) if who == "parent" else self.pids(who)[:1]
        ends = {pid: opened for pid in doomed if (opened := _open(pid)) is not None}
        for pid in doomed[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if who == "parent":
            self._process.wait(WAIT_S)
            self._process = None
            assert self._client is not None
            self._client.close()
        for pid, opened in ends.items():
            gone = select.select([opened], [], [], WAIT_S)[0]
            os.close(opened)
            assert gone, f"process {pid} outlives it"
        return bool(doomed)

    def scores(self, seconds: float) -> list[ScoreMessage]:
        """Return some score messages of the camera; fewer if none comes for some time."""
        # A subscriber that nobody reads aborts when its device is killed: libzmq 4.3.5, stream_engine_base.cpp, 310.
        found: list[ScoreMessage] = []
        with Subscriber(f"ipc://{self.folder}/events") as subscriber:
            while len(found) < MAX_SCORES and (received := subscriber.receive(seconds)) is not None:
                if isinstance(received.message, ScoreMessage) and received.message.camera == CAMERA:
                    found.append(received.message)
        return found

    def learning(self) -> dict[str, Any]:
        """Return what learning of the camera is doing."""
        found: dict[str, Any] = self.status()["learning"][CAMERA]
        return found

    def in_service(self, camera: str = CAMERA) -> str:
        """Return the id of the bundle in service."""
        return str(self.status()["cameras"][camera]["bundle"])


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
