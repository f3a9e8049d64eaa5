"""What the processes cost. Usage: python -m tests.programs.bench.topology BUNDLE SOURCE [FRAMES].

One healthy camera through `patchedge run` (capture process, shared memory, worker, main loop), beside the same stages
in the threads of one process: frames a second at full speed, and the age of a frame at its publishing at 25 frames a
second. Both are run in turn, `ROUNDS` times; medians count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from edge_config.wire.messages import ScoreMessage
from runtime.client.subscriber import Subscriber
from tests.programs.bench.machine import machine
from tests.support.processes import DEVICE

ROUNDS = 3
WARM_UP = 20
ENOUGH_S = 60.0

IN_THREADS = (sys.executable, "-m", "tests.programs.bench.in_threads")


@contextmanager
def heard(command: tuple[str, ...], words: list[str]) -> Iterator[Iterator[ScoreMessage]]:
    """Start a command and give what it publishes."""
    with tempfile.TemporaryDirectory() as folder:
        events = f"ipc://{folder}/events"
        own = ["--bind", events, "--wait-subscribers", "1"]
        with subprocess.Popen([*command, *words, *own], stderr=subprocess.DEVNULL) as process:
            try:
                with Subscriber(events, kinds=["score"]) as subscriber:
                    yield iter(lambda: message(subscriber), None)
            finally:
                process.kill()


def message(subscriber: Subscriber) -> Any:
    """Wait for the next score; None where none comes any more."""
    received = subscriber.receive(ENOUGH_S)
    return None if received is None else received.message


def rate(command: tuple[str, ...], words: list[str], frames: int) -> float:
    """Return frames a second at full speed."""
    with heard(command, [*words, "--pace", "max"]) as scores:
        for _ in range(WARM_UP):
            next(scores)
        begin = time.perf_counter()
        for _ in range(frames):
            next(scores)
        return frames / (time.perf_counter() - begin)


def age_ms(command: tuple[str, ...], words: list[str], frames: int) -> float:
    """Return the median age of a frame at its publishing."""
    with heard(command, [*words, "--pace", "fps", "--fps", "25"]) as scores:
        return median([next(scores).age_ms for _ in range(WARM_UP + frames)][WARM_UP:])


def main() -> int:
    """Print the table."""
    bundle, source = Path(sys.argv[1]), Path(sys.argv[2])
    frames = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    print(machine())
    print("| threads | frames/s in threads | in processes | ratio | age ms in threads | in processes | ratio |")
    print("|" + "---|" * 7)
    for threads in ("1", "2"):
        words = ["--bundle", str(bundle), "--source", str(source), "--threads", threads]
        runs = [
            [
                measure(command, words, frames)
                for measure in (rate, age_ms)
                for command in (IN_THREADS, (*DEVICE, "run"))
            ]
            for _ in range(ROUNDS)
        ]
        one, other, young, old = (median(column) for column in zip(*runs, strict=True))
        print(
            f"| {threads} | {one:.1f} | {other:.1f} | {other / one:.2f} | {young:.1f} | {old:.1f} | {old / young:.2f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
