"""What previews cost a device: frames a second and age with nobody who wants them, and with several who do, in turn.

    python -m tests.programs.bench.preview --bundle belt.bundle --source camera.avi [--viewers 5] [--fps 5]

A device with four cameras serves the bundle. Each shows the pictures of `--source`, a video or a folder of JPEG: with
`--fps` over HTTP at that rate, else as a recording, as fast as the device scores them. In slices of `SLICE_S`, in turn,
`--viewers` subscribers of all previews are there or not; a listener to the scores always is. Slices side by side are
compared, so that what else the machine does is in both; slices with nobody are compared among themselves, which is the
noise. Processor time is that of all processes of the device, for each frame.

With `--cost` no device is started: it prints the processor time of one thread for a frame and for its preview, by the
size of the frame, and by whether its score is over the threshold.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_config.wire.messages import PreviewMessage, ScoreMessage
from runtime.client.subscriber import Subscriber
from runtime.inference.load import load
from runtime.scoring.preview import make_preview, reduce
from tests.programs.bench.device import write_settings
from tests.programs.bench.machine import machine
from tests.programs.bench.played_camera import PlayedCamera
from tests.programs.soak.processes import tree
from tests.support.fakes.http import served
from tests.support.processes import DEVICE, started

CAMERAS = 4
SLICE_S = 6.0
SETTLE_S = 1.0
"""Of each slice the first second does not count: subscribers come and go."""

WARM_S = 5.0
SIZES = ((240, 320), (720, 1280), (1080, 1920))
COSTS = 100
"""About so many frames are measured of each size."""

QUALITY = 90
REPEATS = 20
"""Of the pictures in a recording: enough for all slices."""

Figures = tuple[float, float, float, float]
"""Of a slice: frames a second; median and 95 % quantile of the age, and processor time for a frame, milliseconds."""


class Viewer:
    """A subscriber of all previews, in a thread of its own."""

    def __init__(self, events: str) -> None:
        self.previews = self.bytes = self.largest = 0
        self._events, self._stop = events, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        with Subscriber(self._events, kinds=["preview"]) as subscriber:
            while not self._stop.is_set():
                received = subscriber.receive(0.1)
                if received is not None and isinstance(received.message, PreviewMessage):
                    size = sum(map(len, received.parts))
                    self.previews, self.bytes = self.previews + 1, self.bytes + size
                    self.largest = max(self.largest, size)


def listen(scores: Subscriber, seconds: float, device: int) -> Figures:
    """Return the figures of all cameras over a time."""
    ages, until, before = [], time.monotonic() + seconds, busy_s(device)
    while (left := until - time.monotonic()) > 0:
        received = scores.receive(left)
        if received is not None and isinstance(received.message, ScoreMessage):
            ages.append(received.message.age_ms)
    busy_ms = 1000 * (busy_s(device) - before) / len(ages)
    return len(ages) / seconds, statistics.median(ages), statistics.quantiles(ages, n=20)[-1], busy_ms


def busy_s(device: int) -> float:
    """Return the processor time of a process and its children so far, seconds."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in tree(device)]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def slice_of(scores: Subscriber, events: str, viewers: int, device: int) -> tuple[Figures, list[Viewer]]:
    """Measure with so many viewers."""
    there = [Viewer(events) for _ in range(viewers)]
    listen_s = SLICE_S - SETTLE_S
    listen(scores, SETTLE_S, device)
    figures = listen(scores, listen_s, device)
    for viewer in there:
        viewer.close()
    return figures, there


@contextmanager
def running(args: argparse.Namespace) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start cameras and device; yield the address of its events, and its process."""
    pictures = list(pictures_of(args.source))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="preview-")))
        cameras: dict[str, dict[str, Any]] = {}
        for number in range(CAMERAS):
            turned = pictures[number * len(pictures) // CAMERAS :] + pictures[: number * len(pictures) // CAMERAS]
            if args.fps:
                camera = PlayedCamera(turned, args.fps)
                stack.enter_context(served(camera, camera.unplugged))
                cameras[f"cam{number}"] = {"source": camera.url}
            else:
                recording = folder / f"cam{number}.mjpeg"
                recording.write_bytes(b"".join(turned) * REPEATS)
                cameras[f"cam{number}"] = {"source": str(recording), "pace": "max"}
        config, events, _ = write_settings(folder, args.bundle, cameras)
        device = stack.enter_context(started(*DEVICE, "run", "--config", config))
        yield events, device
        device.terminate()


def pictures_of(source: Path) -> Iterator[bytes]:
    if source.is_dir():
        yield from (path.read_bytes() for path in sorted(source.glob("*.jpg")))
        return
    video = cv2.VideoCapture(str(source))
    while (read := video.read())[0]:
        yield cv2.imencode(".jpg", read[1], (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1].tobytes()


def cost(bundle: Path, source: Path) -> None:
    """Print what a preview takes, beside what its frame takes, in the thread that makes it."""
    cv2.setNumThreads(1)
    loaded, scorer = load(bundle, threads=1)
    threshold = loaded.manifest.calibration.threshold
    pictures = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in pictures_of(source)]
    for height, width in SIZES:
        took: dict[str, list[float]] = {"frame": [], "normal": [], "over the threshold": []}
        for picture in pictures[:: max(1, len(pictures) // COSTS)]:
            image = np.asarray(cv2.resize(picture, (width, height)), dtype=np.uint8)
            began_s = time.thread_time()
            features = scorer.embed(scorer.preprocess(image))
            score = scorer.score(features, scorer.search(features))
            scored_s = time.thread_time()
            make_preview(scorer, features, score, reduce(image), (height, width), threshold)
            took["frame"].append(scored_s - began_s)
            took["over the threshold" if score.value > threshold else "normal"].append(time.thread_time() - scored_s)
        said = (
            f"{kind} {1000 * statistics.median(times):.1f} ms of {len(times)}" for kind, times in took.items() if times
        )
        print(f"{width} x {height}:", ", ".join(said))


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--viewers", type=int, default=5)
    parser.add_argument("--fps", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--cost", action="store_true")
    args = parser.parse_args()
    if args.cost:
        print(machine())
        cost(args.bundle, args.source)
        return 0
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}; {CAMERAS} cameras at {args.fps or 'most'} frames/s")
    with running(args) as (events, device), Subscriber(events, kinds=["score"]) as scores:
        while not scores.receive(1.0):
            assert device.poll() is None, device.communicate()[1]
        listen(scores, WARM_S, device.pid)
        kinds = {"nobody": 0, "nobody else": 0, f"{args.viewers} viewers": args.viewers}
        found: dict[str, list[Figures]] = {kind: [] for kind in kinds}
        seen: list[Viewer] = []
        for turn in range(args.rounds):
            for kind in (list(kinds), list(kinds)[::-1])[turn % 2]:
                figures, viewers = slice_of(scores, events, kinds[kind], device.pid)
                found[kind].append(figures)
                seen += viewers
    for kind, slices in found.items():
        rate, age, late, busy = (statistics.mean(column) for column in zip(*slices, strict=True))
        print(
            f"{kind:12} {rate:6.2f} frames/s, age {age:5.0f} ms, 95 % {late:5.0f} ms, processor {busy:5.1f} ms a frame"
        )
    for kind in list(kinds)[1:]:
        ratios = [
            statistics.median(one / other for one, other in zip(column, base, strict=True))
            for column, base in zip(zip(*found[kind], strict=True), zip(*found["nobody"], strict=True), strict=True)
        ]
        names = "frames", "age", "95 %", "processor"
        print(f"{kind} / nobody:", ", ".join(f"{name} {one:.3f}" for name, one in zip(names, ratios, strict=True)))
    count, size = sum(viewer.previews for viewer in seen), sum(viewer.bytes for viewer in seen)
    if count:
        per_s, largest = count / len(seen) / SLICE_S / CAMERAS, max(viewer.largest for viewer in seen)
        print(
            f"previews: {per_s:.2f} a second of a camera, {size / count / 1e3:.1f} kB each, {largest / 1e3:.1f} at most"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
