"""What storing the peaks of alerts costs the main loop, for frames of 1920 x 1080.

    python -m tests.programs.bench.peaks ../shared/data

A camera with 25 frames a second for 20 s has an alert every 2 s in which each frame is a new peak: the most copies that
are allowed, and a picture to be written for each alert. What is timed is all that the main loop does for a frame beside
deciding and publishing: with peaks stored, and without.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_config.settings.parse import parse
from runtime.frame import Alert, SharedFrame
from runtime.process.shared_memory import SLOTS, Memory
from runtime.teaching.peaks import SeenFrame
from runtime.teaching.shared_pictures import SharedPictures
from runtime.teaching.teaching import Teaching

HW = (1080, 1920)
FPS, FRAMES, ALERT_FRAMES = 25, 500, 50
NOISE = 2.0
"""Grey levels: that of a camera by day."""


class Nobody:
    """Takes memories and answers."""

    def attach(self, memory: int, descriptor: int, size: int) -> None: ...

    def detach(self, memory: int) -> None: ...

    def reply(self, *_: Any) -> None: ...

    def refuse(self, *_: Any) -> None: ...


def main() -> None:
    """Print a line with stored peaks, and one without."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    source = cv2.imread(str(parser.parse_args().data / "office" / "frames" / "000400.jpg"))
    large = cv2.resize(source, HW[::-1], interpolation=cv2.INTER_CUBIC)
    chance = np.random.default_rng(0)
    memory = Memory(HW)
    for slot in range(SLOTS):
        noisy = large + chance.normal(0, NOISE, large.shape)
        memory.write(slot, np.clip(noisy, 0, 255).astype(np.uint8))
    for keep in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            taken_ms = np.array(timed(memory, folder, keep_peaks=keep))
            stored = [path.stat().st_size for path in Path(folder).rglob("*.png")]
        said = "with" if keep else "without"
        times = f"mean {taken_ms.mean():.2f} ms, 95 % {np.percentile(taken_ms, 95):.2f}, largest {taken_ms.max():.1f}"
        print(f"{said} peaks: {times}; {len(stored)} stored, {sum(stored) / max(1, len(stored)) / 1e6:.1f} MB each")
    memory.close()


def timed(memory: Memory, folder: str, *, keep_peaks: bool) -> list[float]:
    """Return the time that each frame takes, milliseconds."""
    tree = {
        "bundle": "none",
        "cameras": {"top": {"source": 0}},
        "learning": {"folder": folder, "keep_peaks": keep_peaks},
    }
    pictures = SharedPictures(Nobody())
    pictures.attach(1, memory.descriptor, memory.size)
    teaching = Teaching(parse(tree), ["top"], pictures, Nobody())
    taken_ms, pause = [], threading.Event()
    for number in range(FRAMES):
        t_ns = time.time_ns()
        alert = Alert(f"alert-{number // ALERT_FRAMES}", "start", t_ns, 10.0 + number, number)
        frame = SharedFrame(1, number % SLOTS, HW, number, t_ns, time.monotonic_ns())
        seen = SeenFrame("top", frame, 10.0 + number, 5.0, judged=True, alert=alert, is_open=True)
        began = time.perf_counter()
        teaching.see(seen)
        teaching.turn()
        taken_ms.append((time.perf_counter() - began) * 1e3)
        pause.wait(1 / FPS)
    teaching.close()
    return taken_ms


if __name__ == "__main__":
    main()
