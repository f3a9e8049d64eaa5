"""All that a soak needs: cameras, bundles, a thermal zone, a wall clock, and the runtime over them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import cv2
import yaml

from tests.programs.soak import processes, views
from tests.programs.soak.cameras import PASSWORD, HttpCamera
from tests.programs.soak.clock import WallClock
from tests.programs.soak.models import Site
from tests.programs.soak.usb import UsbCamera
from tests.programs.soak.watch import Watch
from tests.support.ports import free_port

CLIP = "clip"
CLIP_FRAMES, CLIP_FPS = 300, 5.0

COOL_C, HOT_C = 45, 95
END_S = 3.0
"""From SIGTERM to the end at the latest: the promise to users."""

READY_S = 30.0

PROGRAM = (sys.executable, "-m", "tests.programs.soak.device")

TIMES = {"stall_ms": 1000, "reconnect_min_s": 0.1, "reconnect_max_s": 1.0}
"""Shorter than the defaults of a camera, so that a soak sees more faults in a minute."""


class Runtime:
    """The runtime as a process.

    Attributes:
        events: where it publishes.
        pid: of its process.
    """

    def __init__(self, name: str, folder: Path, settings: dict[str, Any], clock: WallClock, log: IO[Any] | int) -> None:
        """Start it, with its standard error to `log`."""
        self.events = f"ipc://{folder}/{name}.events"
        self._figures = f"127.0.0.1:{free_port()}"
        own = {
            "events": {"bind": self.events, "wait_subscribers": 1},
            "control": {"bind": f"ipc://{folder}/{name}.control"},
            "metrics": {"bind": self._figures},
        }
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**settings, **own}))
        environment = {**os.environ, **clock.environment}
        self._process = subprocess.Popen(
            [*PROGRAM, str(file), str(os.getpid())], stderr=log, stdout=subprocess.DEVNULL, env=environment
        )
        self.pid = self._process.pid

    def children(self, module: str) -> list[int]:
        """Return its processes that run a module."""
        return [pid for pid in processes.tree(self.pid)[1:] if module in processes.command(pid)]

    def figure(self, name: str, label: str = "") -> float:
        """Read a figure of its metrics: the sum over all label sets that hold `label`; 0 if there is none."""
        lines = [line for line in self.figures().splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        return sum(float(line.rpartition(" ")[2]) for line in lines if label in line)

    def figures(self) -> str:
        """Read its metrics; empty if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self._figures}/metrics", timeout=2) as reply:
                return str(reply.read().decode())
        except OSError:
            return ""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return self._process.poll() is None

    def end(self, number: signal.Signals = signal.SIGTERM) -> list[str]:
        """End it by a signal, and say what was wrong with its end."""
        before, begin_s = processes.tree(self.pid), time.monotonic()
        self.send(number)
        try:
            code = self._process.wait(2 * END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return [f"still there {2 * END_S:g} s after {number.name}"]
        took_s = time.monotonic() - begin_s
        complaints = [f"took {took_s:.1f} s to end"] if took_s > END_S else []
        if code != (0 if number == signal.SIGTERM else -number):
            complaints.append(f"exit code {code} after {number.name}")
        while (left := [pid for pid in before if processes.is_alive(pid)]) and time.monotonic() - begin_s < END_S:
            time.sleep(0.02)
        complaints += [f"left behind: {processes.command(pid)}" for pid in left]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return complaints


class Rig:
    """Cameras and a runtime that watches them, in a folder.

    Attributes:
        http: the network cameras by name.
        usb: the camera at a device node; its name is "usb".
        spare: a camera for the runtimes that are started beside the first.
        runtime: the one that is struck, once it was started.
        watch: what its subscriber hears.
        swaps, breaks: how often a bundle is swapped, and a connection broken, in one fault of that kind.
    """

    def __init__(self, folder: Path, seed: int, *, swaps: int, breaks: int) -> None:
        """Make everything, and start nothing."""
        self.folder, self.swaps, self.breaks = folder, swaps, breaks
        self.http = {name: HttpCamera(seed + number) for number, name in enumerate(("gate", "yard", "dock"))}
        self.usb = UsbCamera(folder)
        self.spare = HttpCamera(seed)
        self.clock = WallClock(folder)
        self.site = Site(folder)
        self._zone = folder / "thermal" / "thermal_zone0" / "temp"
        self._zone.parent.mkdir(parents=True)
        self.heat(COOL_C)
        self.log = folder / "runtime.process.log"
        self._clip = _make_clip(folder / "clip.avi")
        self._started = False

    def start(self) -> None:
        """Start the runtime and listen to it."""
        sources = {name: camera.url for name, camera in self.http.items()}
        cameras = {name: {"source": url, **TIMES} for name, url in sources.items()}
        cameras["usb"] = {"source": self.usb.source, **TIMES}
        cameras[CLIP] = {"source": str(self._clip)}
        with self.log.open("wb") as log:
            self.runtime = Runtime("main", self.folder, self._settings(cameras), self.clock, log)
        self.watch = Watch(self.runtime.events, whole=CLIP)
        self._started = True

    def start_beside(self, name: str, log: IO[Any] | int) -> Runtime:
        """Start another runtime that watches the spare camera."""
        cameras = {"spare": {"source": self.spare.url, **TIMES}}
        return Runtime(name, self.folder, self._settings(cameras), self.clock, log)

    @property
    def live(self) -> list[str]:
        """Names of the cameras that deliver for ever."""
        return [*self.http, "usb"]

    def restless(self, since_s: float, cameras: Iterable[str]) -> list[str]:
        """Say what is not as it should be: cameras live, their frames since then judged, nothing degraded."""
        complaints = []
        for name in cameras:
            last = self.watch.last.get(name)
            if self.watch.state.get(name) != "live":
                complaints.append(f"{name} is {self.watch.state.get(name, 'silent')}")
            elif last is None or (last.captured_s or 0) < since_s:
                complaints.append(f"{name} has no new frame")
            elif last.label == "unknown" or last.message.degraded:
                complaints.append(f"{name} is {last.label}, degraded {last.message.degraded}")
        return complaints

    def heat(self, degrees: int) -> None:
        """Set the temperature of the thermal zone."""
        self._zone.write_text(f"{degrees * 1000}\n")

    def leaks(self) -> list[str]:
        """Say where the cameras' password can be seen."""
        places = {"the log": self.log.read_text(), "the metrics": self.runtime.figures()}
        for pid in processes.tree(self.runtime.pid):
            places[f"arguments of {pid}"] = processes.command(pid)
        return [f"the password is in {place}" for place, text in places.items() if PASSWORD in text]

    def close(self) -> None:
        """Take everything down."""
        for camera in (*self.http.values(), self.spare):
            camera.vanish()
        if self._started:
            self.watch.close()
            if self.runtime.is_running():  # only if something went wrong in the soak itself
                self.runtime.end(signal.SIGKILL)

    def _settings(self, cameras: dict[str, Any]) -> dict[str, Any]:
        degrade = {"thermal_root": str(self._zone.parents[1])}
        return {"bundle": str(self.site.path), "cameras": cameras, "threads": 1, "degrade": degrade}


def _make_clip(path: Path) -> Path:
    """Record the scene for a minute."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), CLIP_FPS, (views.WIDTH, views.HEIGHT))
    for number in range(CLIP_FRAMES):
        writer.write(views.normal(number))
    writer.release()
    return path
