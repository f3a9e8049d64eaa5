"""How many frames a second one device scores for 1, 4 and 16 cameras, at a bounded age, and in how much memory.

    python -m tests.programs.bench.cameras BUNDLE... --source FRAMES [--cameras 1 4 16] [--max-age-ms 150] [--threads 2]

Each camera plays the pictures of `--source`, a folder of JPEG or a video, over HTTP, at the same rate, each from
another place. The rate is raised step by step, to the last one at which 95 % of the scores are published at most
`--max-age-ms` after their frame was grabbed, and at most 1 % of the frames are dropped. It is never lowered: a device
that could not keep up leaves out frames for some time. With several bundles the cameras take one after the other.

The cameras' side runs in this process, beside the device: on a small machine it takes processor time, too, as it says.
Memory is that of all processes of the device, pages that they share counted once (the sum of their PSS).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_config.wire.messages import ScoreMessage
from runtime.client.subscriber import Subscriber
from tests.programs.bench.device import write_settings
from tests.programs.bench.machine import machine
from tests.programs.bench.played_camera import PlayedCamera
from tests.programs.bench.preview import busy_s, pictures_of
from tests.programs.soak.processes import command, tree
from tests.support.fakes.http import served
from tests.support.processes import DEVICE, started

MAX_DROPPED = 0.01
"""Share of the frames: above it a device is not said to keep up."""

SETTLE_S = 1.5
CALM_S = 60.0
"""So long at most it takes to start and calm down."""

STARTED_S = 4.0
"""After so long a device that was short of time while its cameras started has begun to leave out frames."""

TRIES = 2
"""A rate is too high if it is so twice in a row: a machine has its moments."""

STEP = 1.15
"""From one rate to the next."""

ROLES = {"capture_process": "capture", "inference.worker": "inference"}
"""What is in the command line of a process, and what it does; all others are the main process."""


class Measured(NamedTuple):
    """A device at one rate: frames a second of all cameras together, ages in milliseconds, and the share dropped."""

    fps: float
    p50_ms: float
    p95_ms: float
    dropped: float
    device_cores: float
    own_cores: float


@contextmanager
def device(
    args: argparse.Namespace, count: int, film: Sequence[bytes]
) -> Iterator[tuple[str, int, list[PlayedCamera]]]:
    """Start so many cameras and a device; yield the address of its events, its process id, and the cameras."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cameras-")))
        cameras: dict[str, dict[str, Any]] = {}
        played = []
        for number in range(count):
            first = number * len(film) // count
            camera = PlayedCamera([*film[first:], *film[:first]], 1.0)
            stack.enter_context(served(camera, camera.unplugged))
            bundle = args.bundles[number % len(args.bundles)]
            cameras[f"cam{number}"] = {"source": camera.url, "bundle": str(bundle.absolute())}
            played.append(camera)
        batches = {"max_batch": args.max_batch} if args.max_batch else {}
        config, events, _ = write_settings(folder, args.bundles[0], cameras, threads=args.threads, **batches)
        process = stack.enter_context(started(*DEVICE, "run", "--config", config))
        yield events, process.pid, played
        process.terminate()


def listen(scores: Subscriber, pid: int, seconds: float) -> Measured:
    """Measure for some time at the rate of now."""
    ages, ids = [], defaultdict[str, list[int]](list)
    began_s, device_s, own_s = time.monotonic(), busy_s(pid), time.process_time()
    while (left := began_s + seconds - time.monotonic()) > 0:
        received = scores.receive(left)
        if received is not None and isinstance(received.message, ScoreMessage):
            ages.append(received.message.age_ms)
            ids[received.message.camera].append(received.message.frame_id)
    took_s = time.monotonic() - began_s
    there = sum(found[-1] - found[0] + 1 for found in ids.values())
    p50, p95 = np.percentile(ages, (50, 95)) if ages else (np.inf, np.inf)
    dropped = 1 - len(ages) / there if there else 1.0
    device_s, own_s = busy_s(pid) - device_s, time.process_time() - own_s
    return Measured(len(ages) / took_s, float(p50), float(p95), dropped, device_s / took_s, own_s / took_s)


def calm(scores: Subscriber, seen: set[str], count: int) -> None:
    """Wait until all cameras are scored, and the device leaves out nothing any more: it does while all start."""
    until_s = time.monotonic() + CALM_S
    degraded = True
    while degraded or len(seen) < count:
        if (received := scores.receive(until_s - time.monotonic())) is None:
            raise TimeoutError(f"{len(seen)} of {count} cameras are scored, degraded: {degraded}")
        if isinstance(received.message, ScoreMessage):
            seen.add(received.message.camera)
            degraded = received.message.degraded > 0


def highest(args: argparse.Namespace, scores: Subscriber, pid: int, played: Sequence[PlayedCamera]) -> Measured:
    """Return what was measured at the highest rate that the device keeps up with."""
    fps = args.first / len(played)
    best = Measured(0.0, np.inf, np.inf, 1.0, 0.0, 0.0)
    while True:
        for camera in played:
            camera.every_s = 1 / fps
        for _ in range(TRIES):
            listen(scores, pid, SETTLE_S)
            found = listen(scores, pid, args.seconds)
            good = found.p95_ms <= args.max_age_ms and found.dropped <= MAX_DROPPED
            print(f"    {fps:6.1f} a second each: {_row(found)}{'' if good else '   too much'}", file=sys.stderr)
            if good:
                break
        else:
            return best
        best, fps = found, fps * STEP


def memory_mb(pid: int) -> dict[str, float]:
    """Return the memory of a device's processes by what they do, MB; pages that they share are counted once."""
    found = defaultdict[str, float](float)
    for one in tree(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        role = next((role for word, role in ROLES.items() if word in command(one)), "main")
        found[role] += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return found


def _row(found: Measured) -> str:
    return (
        f"{found.fps:.1f} frames a second, age p50 {found.p50_ms:.0f} p95 {found.p95_ms:.0f} ms, "
        f"{found.dropped:.1%} dropped"
    )


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--max-age-ms", type=float, default=150.0)
    parser.add_argument("--first", type=float, default=40.0, help="frames a second together, to begin with")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--max-batch", type=int, default=0, help="as in the settings; 0: leave it out")
    parser.add_argument("--seconds", type=float, default=5.0, help="at each rate")
    parser.add_argument("--pictures", type=int, default=200, help="of the source")
    parser.add_argument("--memory-only", action="store_true", help="do not search for the highest rate")
    args = parser.parse_args()
    film = [one for one, _ in zip(pictures_of(args.source), range(args.pictures), strict=False)]
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}; {args.threads or 'all'} threads, {len(args.bundles)} bundles")
    print("| cameras | frames a second together | age p50 / p95 ms | dropped | cores: device, cameras' side ", end="")
    print("| memory MB: main, inference, capture | together |\n|" + "--:|" * 7)
    for count in args.cameras:
        with device(args, count, film) as (events, pid, played), Subscriber(events, kinds=["score"]) as scores:
            seen: set[str] = set()
            calm(scores, seen, count)
            listen(scores, pid, STARTED_S)
            calm(scores, seen, count)
            if args.memory_only:
                listen(scores, pid, args.seconds)
                best = Measured(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
            else:
                best = highest(args, scores, pid, played)
            memory = memory_mb(pid)
        parts = ", ".join(f"{memory[role]:.0f}" for role in ("main", "inference", "capture"))
        print(
            f"| {count} | {best.fps:.1f} | {best.p50_ms:.0f} / {best.p95_ms:.0f} | {best.dropped:.1%} "
            f"| {best.device_cores:.2f}, {best.own_cores:.2f} | {parts} | {sum(memory.values()):.0f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
