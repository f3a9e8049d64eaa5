"""What a learner costs a device that works: frames a second and age of another camera while one learns.

    python -m tests.programs.bench.learn_beside --bundle office.bundle --frames DIR --taught DIR [--fps 10]

A device serves the bundle for two cameras, which both show the pictures of `--frames`. One of them learns those of
`--taught`, `--rounds` times; between the rounds it goes back. In the first round the learner runs to its end, for the
time that this takes. In the others it is stopped and continued (SIGSTOP, SIGCONT) every `SLICE_S`, and the frames of
the other camera are compared between the two: what else the machine does is in both.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from edge_config.wire.messages import ScoreMessage
from edge_config.wire.versions import LearningProgress, LearnOn, Rollback, RolledBack, Versions, VersionsKept
from runtime.client.control_client import ControlClient
from runtime.client.subscriber import Subscriber
from tests.programs.bench.device import write_settings
from tests.programs.bench.played_camera import PlayedCamera
from tests.programs.kill_learning.device import TAUGHT
from tests.programs.soak.processes import command, tree
from tests.support.fakes.http import served
from tests.support.processes import ENOUGH_S, started

LEARNS, WORKS = "learns", "works"
SLICE_S = 2.0
_UNFINISHED = ("queued", "running", "activating")
Frame = tuple[float, float]
"""When it was published, monotonic seconds, and its age, milliseconds."""


class Bench:
    """The device, and one who listens to the camera that does not learn."""

    def __init__(self, subscriber: Subscriber, control: ControlClient, device: int) -> None:
        self._subscriber, self._control, self._device = subscriber, control, device

    def listen(self, until: float) -> list[Frame]:
        """Return the frames of the camera that does not learn, until a time."""
        found = []
        while (now := time.monotonic()) < until:
            received = self._subscriber.receive(until - now)
            said = received.message if received else None
            if isinstance(said, ScoreMessage) and said.camera == WORKS:
                found.append((time.monotonic(), said.age_ms))
        return found

    def learn(self) -> tuple[float, float]:
        """Learn; return the times to the sealed bundle, and to the one in service, seconds."""
        began, sealed = time.monotonic(), 0.0
        self._control.ask(LearnOn(camera=LEARNS, force=True))
        while (now := self._now()).state in _UNFINISHED:
            self.listen(time.monotonic() + 0.1)
            if now.state == "activating":
                sealed = sealed or time.monotonic() - began
        assert now.state == "done", now
        return sealed, now.seconds

    def learn_in_slices(self, found: dict[bool, list[list[Frame]]]) -> None:
        """Learn; add the frames of each slice, by whether the learner ran."""
        self._control.ask(LearnOn(camera=LEARNS, force=True))
        runs = True
        while (now := self._now()).state in _UNFINISHED:
            pids = [pid for pid in tree(self._device)[1:] if "runtime.learning" in command(pid)]
            slice_ = self.listen(time.monotonic() + SLICE_S)
            if pids and now.step:
                found[runs].append(slice_)
            runs = not runs or not pids
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT if runs else signal.SIGSTOP)
        assert now.state == "done", now

    def _now(self) -> LearningProgress:
        return self._control.request(Versions(camera=LEARNS), VersionsKept).learning

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
    args = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(args.frames.iterdir())]
    camera = PlayedCamera(pictures, args.fps)
    with tempfile.TemporaryDirectory(prefix="beside-") as folder, served(camera, camera.unplugged):
        return measure(Path(folder), camera.url, args)


def measure(folder: Path, url: str, args: argparse.Namespace) -> int:
    """Start the device, and measure."""
    shutil.copytree(args.taught, folder / "learning" / LEARNS / TAUGHT)
    cameras = {name: {"source": url} for name in (LEARNS, WORKS)}
    config, events, control_address = write_settings(folder, args.bundle, cameras)
    words = (sys.executable, "-m", "tests.programs.kill_learning.device", config, "real")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    with (
        Subscriber(events, kinds=("score",)) as subscriber,
        ControlClient(control_address, timeout_s=ENOUGH_S) as control,
        started(*words) as device,
    ):
        assert device.stderr is not None
        bench = Bench(subscriber, control, device.pid)
        while not bench.listen(time.monotonic() + 1.0):
            pass
        bench.listen(time.monotonic() + 5.0)  # warm
        sealed_s, seconds = bench.learn()
        print(f"sealed after {sealed_s:.1f} s, in service after {seconds:.1f} s", flush=True)
        found: dict[bool, list[list[Frame]]] = {False: [], True: []}
        for _ in range(1, args.rounds):
            bench.go_back()
            bench.learn_in_slices(found)
            for runs, said in {False: "learner stopped", True: "learner runs   "}.items():
                print(f"{said} {len(found[runs])} slices: {_figures(found[runs])}", flush=True)
        device.terminate()
    return 0


def _figures(slices: list[list[Frame]]) -> str:
    ages = [age for frames in slices for _, age in frames]
    rate = len(ages) / (SLICE_S * len(slices))
    return (
        f"{rate:.2f} frames/s, age {statistics.median(ages):.0f} ms, 95 % {statistics.quantiles(ages, n=20)[-1]:.0f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
