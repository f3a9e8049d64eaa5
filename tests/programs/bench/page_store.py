"""A day of ten cameras at 25 frames a second in the store of the page: its size on disk and in memory, its speed.

    python -m tests.programs.bench.page_store [--hours 24] [--cameras 10] [--most-mb 500]

Blocks are packed from invented scores, and stored as a page stores them, but as fast as they can be. It ends with 1 if
the files are larger than `most_mb` at any time, or the process takes more memory than the page may.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edge_config.settings.page import StoreSettings
from runtime.page.store.frames import Packed, pack
from runtime.page.store.store import PageStore
from runtime.page.store.tens import TEN_MS, OpenTen, Tens, merge
from tests.programs.bench.machine import machine

FPS = 25
MINUTE_NS = 60 * 10**9
STEP_NS = 10**9 // FPS
MAX_MB = 120.0
"""Memory that the page may take."""

THRESHOLD = 4.0
LOOK_EVERY = 30  # minutes
_FRAMES = 60 * FPS
_LIVE = np.full(_FRAMES, 2, np.uint8)


class Day:
    """Invents the scores of some cameras, minute by minute."""

    def __init__(self, store: PageStore) -> None:
        self._store, self._random = store, np.random.default_rng(1)

    def minute(self, camera: str, wall_ns: int) -> None:
        """Store a minute of a camera: frames that jitter, and scores that no compression makes smaller."""
        clocks = wall_ns + np.arange(_FRAMES) * STEP_NS + self._random.integers(0, STEP_NS // 100, _FRAMES)
        scores = self._random.gamma(20, 0.1, _FRAMES).astype("<f4").astype(np.float64)
        data = pack(clocks, scores, _LIVE)
        last_ns = wall_ns + (_FRAMES - 1) * STEP_NS
        self._store._put_block(
            Packed("edge", camera, "first", THRESHOLD, wall_ns, last_ns, int(clocks[0]), _FRAMES, data)
        )
        for number, part in enumerate(np.split(scores, 6), wall_ns // 1_000_000 // TEN_MS):
            ten = OpenTen(number)
            for score in part.tolist():
                ten.add(score, THRESHOLD)
            tens: dict[tuple[str, str, int], Tens] = self._store._recorder.tens
            key = ("edge", camera, ten.hour)
            tens[key] = merge(tens[key], ten.entry()) if key in tens else ten.entry()


def memory_mb() -> float:
    """Return the memory that this process takes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def disk_mb(folder: Path) -> float:
    """Return the size of all files of the store."""
    return sum(one.stat().st_size for one in folder.iterdir()) / 1e6


async def settled(store: PageStore) -> None:
    """Wait until all is written, and what is too much deleted."""
    store._writer._next_s = 0.0
    for _ in range(2):
        await store._writer.do(lambda _: None)


async def run(folder: Path, hours: float, cameras: int, most_mb: int) -> bool:
    """Fill the store, print its figures, and return whether they are within the bounds."""
    store = PageStore(folder, StoreSettings(hours=24, most_mb=most_mb))
    await store.open()
    names = [f"cam{number}" for number in range(cameras)]
    day, now_ns = Day(store), time.time_ns()
    begin_ns = (now_ns - int(hours * 60) * MINUTE_NS) // MINUTE_NS * MINUTE_NS
    largest, memory = 0.0, 0.0
    for minute in range(int(hours * 60)):
        for name in names:
            day.minute(name, begin_ns + minute * MINUTE_NS)
        store._put_tens()
        if minute % LOOK_EVERY == 0:
            await settled(store)
            largest = max(largest, disk_mb(folder))
            memory = max(memory, memory_mb())
    await settled(store)
    largest = max(largest, disk_mb(folder))
    count, size = await store.read(lambda db: db.execute("SELECT count(*), sum(length(data)) FROM blocks").fetchone())
    print(f"on disk              {largest:8.1f} MB at most, of {most_mb * 1.048576:.0f} MB allowed")
    print(f"a minute of a camera {size / count / 1000:8.2f} kB")
    await read(store, names[0], now_ns // 1_000_000, hours)
    memory = max(memory, memory_mb())
    print(f"memory               {memory:8.1f} MB at most, of {MAX_MB:.0f} MB allowed")
    await store.close()
    return largest <= most_mb * 1.048576 and memory <= MAX_MB


async def read(store: PageStore, camera: str, now_ms: int, hours: float) -> None:
    """Print how long curves take, and all frames of a camera."""
    for words, span_s, points in (("10 minutes", 600, 600), ("6 hours", 21_600, 4000), ("a day", 86_400, 600)):
        begin_s = time.perf_counter()
        curve = await store.curve("edge", camera, now_ms - span_s * 1000, now_ms, points)
        took_ms = 1000 * (time.perf_counter() - begin_s)
        print(f"curve of {words:<11} {took_ms:8.0f} ms, {len(curve.t_ms)} points")
    begin_s = time.perf_counter()
    runs = await store.runs("edge", camera, now_ms - int(hours * 3_600_000), now_ms)
    frames = await asyncio.to_thread(lambda: sum(len(one.scores) for one in runs))
    print(f"all frames of it     {time.perf_counter() - begin_s:8.2f} s, {frames} frames")


def main() -> int:
    """Run the bench; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--cameras", type=int, default=10)
    parser.add_argument("--most-mb", type=int, default=500)
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        return 0 if asyncio.run(run(Path(folder), args.hours, args.cameras, args.most_mb)) else 1


if __name__ == "__main__":
    sys.exit(main())
