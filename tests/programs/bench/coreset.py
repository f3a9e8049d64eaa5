"""The coreset at scale: against the plain loop, at a published size, and a million patches in 4 GiB.

Usage: python -m tests.programs.bench.coreset [--quick] [--features FILE.npy]

Features are float32 [N, D] of a file, such as real ones, or else made up. Times are of the wall clock; what is compared
is interleaved in one run, with one thread and with all. The last part runs in processes whose private memory the
system limits (RLIMIT_DATA).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.coreset import farthest_first
from runtime.learning.bank.grid import project, to_grid
from runtime.process.threads import limit_threads
from tests.programs.bench.machine import machine

DIMENSION, PROJECTED = 176, 128
MEMORY_LIMIT = 4 << 30
ROUNDS = 3
EVERY_SECOND = 0.05

SIZES = {
    False: ((150_000, 1_000), (163_840, 16_384), (1_000_000, 10_000)),
    True: ((20_000, 500), (16_384, 1_638), (100_000, 1_000)),
}
"""Patches and entries of the three parts, by --quick."""


def made_up(count: int) -> NDArray[np.float32]:
    """Make features like those of pictures: kinds of very different frequency, and directions of falling variance."""
    random = np.random.default_rng(0)
    spectrum = (np.arange(1, DIMENSION + 1) ** -0.5).astype(np.float32)
    centres = 2 * random.standard_normal((300, DIMENSION), dtype=np.float32) * spectrum
    kinds = random.choice(300, size=count, p=(weight := 1 / np.arange(1, 301)) / weight.sum())
    features = np.empty((count, DIMENSION), dtype=np.float32)
    for start in range(0, count, 10_000):
        some = slice(start, start + 10_000)
        noise = random.standard_normal((len(kinds[some]), DIMENSION), dtype=np.float32)
        features[some] = centres[kinds[some]] + noise * spectrum
    return features


def plain(points: NDArray[Any], size: int, first: int) -> NDArray[np.int64]:
    """Choose by the plain loop, one product of matrix and vector to each entry, in the precision of the points."""
    norms = np.einsum("nd,nd->n", points, points)
    nearest = np.full(len(points), np.inf, dtype=points.dtype)
    chosen = np.full(size, first, dtype=np.int64)
    for number in range(1, size):
        newest = chosen[number - 1]
        apart = points @ (-2 * points[newest])
        apart += norms
        apart += norms[newest]
        np.minimum(nearest, apart, out=nearest)
        nearest[newest] = -1
        chosen[number] = nearest.argmax()
    return chosen


def against_plain(features: NDArray[np.float32], size: int) -> list[str]:
    """Compare with the plain loop in float64, which is exact on the grid, and in float32, which is not."""
    random = np.random.default_rng(0)
    grid = to_grid(project(features, np.arange(len(features)), PROJECTED, random))
    exact = grid.astype(np.float64)
    ways: dict[str, Callable[[], NDArray[np.int64]]] = {
        "plain, float64": lambda: plain(exact, size, 0),
        "plain, float32": lambda: plain(grid, size, 0),
        "blocks": lambda: farthest_first(grid, size, 0),
    }
    lines = []
    for threads in sorted({1, limit_threads(0)}):
        limit_threads(threads)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        rows = {}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.perf_counter()
                rows[name] = way()
                taken[name].append(time.perf_counter() - start)
        for name in ways:
            ratio = np.median(np.divide(taken[name], taken["blocks"]))
            same = int((rows[name] == rows["plain, float64"]).sum())
            times = f"{np.median(taken[name]):8.2f} s, {ratio:5.1f} of blocks"
            lines.append(f"  {name:<15} {threads} threads {times}, rows as plain float64: {same} of {size}")
    limit_threads(0)
    return lines


def timed_select(features: NDArray[np.float32], size: int) -> tuple[NDArray[np.int64], dict[str, float]]:
    """Select as `runtime.learning.bank.coreset.select` does, and take the seconds of each part."""
    random = np.random.default_rng(0)
    first = int(random.integers(len(features)))
    times = [time.perf_counter()]
    points = project(features, np.arange(len(features)), PROJECTED, random)
    times.append(time.perf_counter())
    to_grid(points)
    times.append(time.perf_counter())
    rows = farthest_first(points, size, first)
    times.append(time.perf_counter())
    return rows, dict(zip(("projection", "grid", "selection"), np.diff(times).tolist(), strict=True))


def as_line(seconds: dict[str, float]) -> str:
    """Write the seconds of the parts and their sum."""
    parts = ", ".join(f"{name} {taken:.2f}" for name, taken in seconds.items())
    return f"{sum(seconds.values()):.1f} s ({parts})"


def bounded(file: Path, size: int, *, mapped: bool) -> None:
    """Select in this process, whose memory the system limits, and print what it took as JSON."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))
    limit_threads(0)
    peak, done = [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(peak, done), daemon=True)  # an error must not wait for it
    watcher.start()
    features = np.load(file, mmap_mode="r" if mapped else None)
    rows, seconds = timed_select(features, size)
    bank = features[rows]
    done.set()
    watcher.join()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    print(json.dumps({"seconds": seconds, "resident": most, "anonymous": peak[0], "entries": len(bank)}))


def _watch(peak: list[int], done: threading.Event) -> None:
    """Keep the largest memory that no file backs, bytes."""
    while not done.wait(EVERY_SECOND):
        peak[0] = max(peak[0], _status("RssAnon"))


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


def in_bounds(file: Path, size: int) -> list[str]:
    """Select in fresh processes, from features in memory and in a file."""
    lines = []
    for place in ("memory", "file"):
        command = [
            sys.executable,
            "-m",
            "tests.programs.bench.coreset",
            "--child",
            place,
            str(size),
            "--features",
            str(file),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        gib = {name: f"{found[name] / 2**30:.2f} GiB" for name in ("resident", "anonymous")}
        lines.append(
            f"  features in {place:<7} {as_line(found['seconds'])}; "
            f"peak resident {gib['resident']}, without files {gib['anonymous']}"
        )
    return lines


def main() -> int:
    """Measure the three parts."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.coreset")
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument("--features", type=Path, help="float32 [N, D]; parts with more patches are left out")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        bounded(args.features, int(args.child[1]), mapped=args.child[0] == "file")
        return 0
    limit_threads(0)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        for number, (count, size) in enumerate(SIZES[args.quick]):
            features = np.load(args.features, mmap_mode="r") if args.features else made_up(count)
            if len(features) < count:
                print(f"{size:,} of {count:,}: skipped, there are {len(features):,} features")
                continue
            features = np.array(features[:count])
            print(f"{size:,} of {count:,} x {features.shape[1]}, projected to {PROJECTED}:", flush=True)
            if number == 0:
                lines = against_plain(features, size)
            elif number == 1:
                lines = [f"  {as_line(timed_select(features, size)[1])}" for _ in range(ROUNDS)]
            else:
                np.save(file, features)
                del features
                lines = in_bounds(file, size)
            print(*lines, sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
