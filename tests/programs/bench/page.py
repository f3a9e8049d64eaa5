"""What the page costs: the device with viewers beside the device without, memory of the page, time to its first paint.

    python -m tests.programs.bench.page DEMO [--fps 10] [--seconds 20] [--rounds 3]

A device with the bundle of the demo scores four cameras that play the belt. Viewers are clients of server-sent events
that ask for previews of all four at 5 a second, and read what comes. The phases are measured in turn: no page, a page
without a viewer, a page with five. Then a device with ten cameras: memory of the page's processes, and the first paint
in Chromium, each time with an empty cache.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import selectors
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import sync_playwright

from edge_config.wire.messages import ScoreMessage
from export.demo import clip
from export.demo.camera import pictures_of
from export.demo.show import BUNDLE
from runtime.client.subscriber import Subscriber
from runtime.page.priority import NICE
from tests.page.browser.rig import Page, Rig
from tests.programs.bench.machine import machine
from tests.programs.bench.played_camera import PlayedCamera
from tests.support.fakes.http import served

CAMERAS, MANY, VIEWERS, RATE = 4, 10, 5, 5
MAX_LOSS, MAX_PAGE_MB, MAX_PAINT_MS = 0.05, 120.0, 1000.0
PAINTS = 7
LOWEST = 19
SETTLE_S = 3.0

PHASES = ("no page", "page, no viewer", f"page, {VIEWERS} viewers")

_PAINTED = """() => new Promise(done => new PerformanceObserver((list, watch) => {
    const first = list.getEntries().find(one => one.name === 'first-contentful-paint');
    if (first) { watch.disconnect(); done(first.startTime); }
}).observe({type: 'paint', buffered: true}))"""


def main() -> int:
    """Measure, print, and return 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="folder of `make demo`")
    parser.add_argument("--fps", type=float, default=10.0, help="of each camera")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a phase")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(machine())
    loss = cost(args.demo, args.fps, args.seconds, args.rounds)
    memory, paint = page_alone(args.demo)
    return int(loss > MAX_LOSS or memory > MAX_PAGE_MB or paint > MAX_PAINT_MS)


def cost(demo: Path, fps: float, seconds: float, rounds: int) -> float:
    """Print frames a second and ages in each phase; return which share of the frames five viewers cost."""
    rates, ages = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    with played(demo, CAMERAS, fps) as rig, Subscriber(rig.events, kinds=("score",)) as subscriber:
        measured(subscriber, SETTLE_S)
        for _ in range(rounds):
            for phase, viewers in zip(PHASES, (None, 0, VIEWERS), strict=True):
                with ExitStack() as stack:
                    if viewers is not None:
                        page = stack.enter_context(rig.page())
                        page.until_live(rig.cameras)
                        give_way(page.pid)
                        seen = stack.enter_context(watched(page, list(rig.cameras), viewers))
                    measured(subscriber, SETTLE_S)
                    before = seen.value if viewers else 0
                    found = measured(subscriber, seconds)
                    if viewers:
                        print(f"  {(seen.value - before) / seconds / viewers:.1f} previews a second and viewer")
                rates[phase].append(len(found) / seconds)
                ages[phase] += found
    for phase in PHASES:
        each = ", ".join(f"{rate:.1f}" for rate in rates[phase])
        p50, p95 = np.percentile(ages[phase], (50, 95))
        print(
            f"{phase}: {statistics.mean(rates[phase]):.1f} frames a second ({each}), age p50 {p50:.1f} p95 {p95:.1f} ms"
        )
    return 1 - statistics.mean(rates[PHASES[2]]) / statistics.mean(rates[PHASES[0]])


def page_alone(demo: Path) -> tuple[float, float]:
    """Print memory of the page for ten cameras and the time to its first paint; return MB and ms."""
    with played(demo, MANY, 2.0) as rig, rig.page() as page:
        page.until_live(rig.cameras)
        with watched(page, list(rig.cameras), VIEWERS) as seen:
            threading.Event().wait(30)
            memory = resident_mb(page.pid)
            print(f"page: {memory:.0f} MB for {MANY} cameras with {VIEWERS} viewers, {seen.value} previews")
        paints = first_paints(page)
        print(f"first paint: median {statistics.median(paints):.0f} ms, {min(paints):.0f} to {max(paints):.0f} ms")
    return memory, statistics.median(paints)


@contextmanager
def played(demo: Path, count: int, fps: float) -> Iterator[Rig]:
    """Yield a device whose cameras all play the clip of the demo, until the block ends."""
    film = pictures_of(demo / clip.CLIP)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        cameras = {f"belt-{number}": PlayedCamera(film, fps) for number in range(1, count + 1)}
        for camera in cameras.values():
            stack.enter_context(served(camera, camera.unplugged))
        rig = Rig(Path(folder), cameras, (demo / BUNDLE).absolute(), {"clips": {"folder": ""}, "threads": 0})
        stack.callback(rig.device.kill)
        rig.device.start()
        yield rig


def measured(subscriber: Subscriber, seconds: float) -> list[float]:
    """Return the ages of all frames that are published within some time, ms."""
    end, found = time.monotonic() + seconds, []
    while (left := end - time.monotonic()) > 0:
        received = subscriber.receive(left)
        if received is not None and isinstance(received.message, ScoreMessage):
            found.append(received.message.age_ms)
    return found


def give_way(pid: int) -> None:
    """Lower the priority of a page to what it is beside a device."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), NICE)


@contextmanager
def watched(page: Page, cameras: list[str], viewers: int) -> Iterator[Any]:
    """Have some viewers watch all cameras until the block ends; yield the count of previews that they receive.

    They stand for browsers of other machines: in a process of their own, which has what others leave of the processors.
    """
    spawn = multiprocessing.get_context("spawn")
    seen = spawn.Value("L", 0)
    process = spawn.Process(target=view, args=(page.url, cameras, viewers, seen), daemon=True)
    process.start()
    yield seen
    process.kill()
    process.join()


def view(url: str, cameras: list[str], viewers: int, seen: Any) -> None:
    """Watch by so many connections, and count."""
    os.nice(LOWEST)
    streams = selectors.DefaultSelector()
    address = urlsplit(url)
    for _ in range(viewers):
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        connection.request("GET", f"/api/v1/events?previews={','.join(cameras)}&rate={RATE}")
        stream = connection.getresponse()
        assert stream.status == http.client.OK, stream.read()
        streams.register(connection.sock, selectors.EVENT_READ, stream)
    while True:
        for key, _ in streams.select():
            seen.value += key.data.read1(1 << 20).count(b"event: preview")


def resident_mb(pid: int) -> float:
    """Return the memory of a process and its children that is its own share, MB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0.0
    for one in [str(pid), *children]:
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total


def first_paints(page: Page) -> list[float]:
    """Return the times to the first paint with text or pictures, ms."""
    paints = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(PAINTS):
            with browser.new_context() as context:
                tab = context.new_page()
                tab.goto(page.url)
                paints.append(tab.evaluate(_PAINTED))
        browser.close()
    return paints


if __name__ == "__main__":
    sys.exit(main())
