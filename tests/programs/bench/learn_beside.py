"""What a learner costs a device that works: frames a second and age of another camera while one learns.

    python -m tests.programs.bench.learn_beside --bundle office.bundle --frames DIR --taught DIR [--fps 10]

A device serves the bundle for two cameras, which both show the pictures of `--frames`. One of them learns those of
`--taught`, `--rounds` times; before each round the same is measured without a learner. Between the rounds it goes back.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from edge_config.wire.messages import ScoreMessage
from edge_config.wire.versions import LearnOn, Rollback, RolledBack, Versions, VersionsKept
from runtime.client.control_client import ControlClient
from runtime.client.subscriber import Subscriber
from tests.programs.kill_learning.device import TAUGHT
from tests.support.fakes.http import served
from tests.support.fakes.network import NetworkCamera
from tests.support.processes import ENOUGH_S, started

LEARNS, WORKS = "learns", "works"
_UNFINISHED = ("queued", "running", "activating")
Frame = tuple[float, float]
"""When it was published, monotonic seconds, and its age, milliseconds."""


class PlayedCamera(NetworkCamera):
    """Pictures over HTTP, again and again.

    Attributes:
        pictures: as JPEG.
        every_s: interval between two.
    """

    def __init__(self, pictures: Sequence[bytes], fps: float) -> None:
        super().__init__()
        self.pictures, self.every_s = pictures, 1 / fps
        self.RequestHandlerClass = _Player


class _Player(BaseHTTPRequestHandler):
    server: PlayedCamera

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        due_s = time.monotonic()
        for picture in itertools.cycle(self.server.pictures):
            due_s += self.server.every_s
            if self.server.unplugged.wait(max(0.0, due_s - time.monotonic())):
                return
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(picture), picture)
            try:
                self.wfile.write(part)
            except OSError:
                return

    def log_message(self, *_args: object) -> None:
        pass


class Bench:
    """The device, and one who listens to the camera that does not learn."""

    def __init__(self, subscriber: Subscriber, control: ControlClient) -> None:
        self._subscriber, self._control = subscriber, control

    def listen(self, until: float) -> list[Frame]:
        """Return the frames of the camera that does not learn, until a time."""
        found = []
        while (now := time.monotonic()) < until:
            received = self._subscriber.receive(until - now)
            said = received.message if received else None
            if isinstance(said, ScoreMessage) and said.camera == WORKS:
                found.append((time.monotonic(), said.age_ms))
        return found

    def learn(self) -> tuple[list[Frame], float, float]:
        """Learn; return the frames meanwhile, and the times to the sealed and the serving bundle, seconds."""
        began, sealed = time.monotonic(), 0.0
        self._control.ask(LearnOn(camera=LEARNS, force=True))
        frames: list[Frame] = []
        while True:
            frames += self.listen(time.monotonic() + 0.2)
            now = self._control.request(Versions(camera=LEARNS), VersionsKept).learning
            if now.state not in {"queued", "running"}:
                sealed = sealed or time.monotonic() - began
            if now.state not in _UNFINISHED:
                assert now.state == "done", now
                return frames, sealed, now.seconds

    def go_back(self) -> None:
        """Serve the bundle of the settings again."""
        self._control.request(Rollback(camera=LEARNS, to="root"), RolledBack)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--taught", type=Path, required=True)
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(args.frames.iterdir())]
    camera = PlayedCamera(pictures, args.fps)
    with tempfile.TemporaryDirectory(prefix="beside-") as folder, served(camera, camera.unplugged):
        return measure(Path(folder), camera.url, args)


def measure(folder: Path, url: str, args: argparse.Namespace) -> int:
    """Start the device, and measure."""
    shutil.copytree(args.taught, folder / "learning" / LEARNS / TAUGHT)
    settings = {
        "bundle": str(args.bundle.absolute()),
        "cameras": {name: {"source": url} for name in (LEARNS, WORKS)},
        "events": {"bind": f"ipc://{folder}/events"},
        "control": {"bind": f"ipc://{folder}/control"},
        "metrics": {"enabled": False},
        "journal": {"path": str(folder / "journal.sqlite")},
        "learning": {"folder": str(folder / "learning"), "keep_peaks": False},
        "degrade": {"thermal_root": str(folder / "none"), "least_memory_mb": 0},
    }
    config = folder / "device.yaml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    words = (sys.executable, "-m", "tests.programs.kill_learning.device", config, "real")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    with (
        Subscriber(settings["events"]["bind"], kinds=("score",)) as subscriber,
        ControlClient(settings["control"]["bind"], timeout_s=ENOUGH_S) as control,
        started(*words) as device,
    ):
        assert device.stderr is not None
        bench = Bench(subscriber, control)
        while not bench.listen(time.monotonic() + 1.0):
            pass
        bench.listen(time.monotonic() + 5.0)  # warm
        quiet, busy = [], []
        for number in range(args.rounds):
            quiet.append(bench.listen(time.monotonic() + args.seconds))
            frames, sealed_s, seconds = bench.learn()
            busy.append(frames)
            told = f"round {number + 1}: sealed after {sealed_s:.1f} s, in service after {seconds:.1f} s"
            print(f"{told}; {_figures(quiet[-1])} before, {_figures(busy[-1])} while it learns", flush=True)
            bench.go_back()
        device.terminate()
    rates = [statistics.median(_rate(frames) for frames in some) for some in (quiet, busy)]
    ages = [statistics.median(_p95(frames) for frames in some) for some in (quiet, busy)]
    print(f"median: {rates[1] / rates[0]:.3f} of the frames a second, {ages[1] / ages[0]:.3f} of the 95 % age")
    return 0


def _rate(frames: list[Frame]) -> float:
    return (len(frames) - 1) / (frames[-1][0] - frames[0][0])


def _p95(frames: list[Frame]) -> float:
    return statistics.quantiles([age for _, age in frames], n=20)[-1]


def _figures(frames: list[Frame]) -> str:
    middle = statistics.median(age for _, age in frames)
    return f"{_rate(frames):.2f} frames/s, age {middle:.0f} ms, 95 % {_p95(frames):.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
