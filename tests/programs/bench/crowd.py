"""Ten subscribers of a busy device, one of which is stopped for a while: what the others notice of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from tests.programs.bench.consumer import Line, lines
from tests.programs.bench.storm import keys, wait

SUBSCRIBERS = 10


@dataclass(frozen=True, slots=True)
class Crowd:
    """What came of it.

    Attributes:
        subscribers: so many there were.
        messages: published.
        lost: messages that healthy subscribers missed.
        gap: messages that the stopped one missed, scores among them.
        alerts: messages of alerts in the journal.
        missing: of these, those that any subscriber never got.
        doubled: those that any got twice.
        late_ms: median and 95th percentile over the healthy ones, before and while one is stopped.
        memory_mb: of the device before, while one is stopped, and after.
    """

    subscribers: int
    messages: int
    lost: int
    gap: int
    alerts: int
    missing: int
    doubled: int
    late_ms: tuple[tuple[float, float], tuple[float, float]]
    memory_mb: tuple[float, float, float]


def crowd(folder: Path, seconds: float) -> Crowd:
    """Publish, stop one subscriber for a while, let it go on, and count."""
    home = folder / "crowd"
    home.mkdir()
    files = [home / f"{number}.tsv" for number in range(SUBSCRIBERS)]
    with ExitStack() as stack:
        device = stack.enter_context(_started("tests.programs.bench.talker", home))
        consumers = [
            stack.enter_context(
                _started(
                    "tests.programs.bench.consumer", f"ipc://{home}/events", f"ipc://{home}/control", f"s{number}", file
                )
            )
            for number, file in enumerate(files)
        ]
        wait(lambda: all(next(lines(file), None) is not None for file in files), "received")
        began_ns, memory = time.time_ns(), [_memory_mb(device.pid)]
        time.sleep(seconds)
        stopped_ns = time.time_ns()
        consumers[0].send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        memory.append(_memory_mb(device.pid))
        over_ns = time.time_ns()
        consumers[0].send_signal(signal.SIGCONT)
        time.sleep(seconds)
        memory.append(_memory_mb(device.pid))
        device.send_signal(signal.SIGUSR1)  # no more alerts; it goes on talking
        said = {}
        wait(lambda: _settled(home / "journal.sqlite", said), "settled")
        wanted = keys(home / "journal.sqlite")
        wait(lambda: all(wanted <= {line.key for line in lines(file)} for file in files), "delivered to all")
    got = [list(lines(file)) for file in files]
    healthy = [line for one in got[1:] for line in one]
    return Crowd(
        subscribers=SUBSCRIBERS,
        messages=max(len(one) for one in got),
        lost=sum(line.missed for line in healthy),
        gap=sum(line.missed for line in got[0]),
        alerts=len(wanted),
        missing=sum(len(wanted - {line.key for line in one}) for one in got),
        doubled=sum(_twice(one) for one in got),
        late_ms=(_late(healthy, began_ns, stopped_ns), _late(healthy, stopped_ns, over_ns)),
        memory_mb=(memory[0], memory[1], memory[2]),
    )


def _started(module: str, *words: object) -> subprocess.Popen[bytes]:
    """Start a module of ours; it is killed when the stack unwinds."""
    return _Killed([sys.executable, "-m", module, *map(str, words)])


class _Killed(subprocess.Popen[bytes]):
    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()


def _settled(journal: Path, said: dict[str, int]) -> bool:
    """Return whether nothing was written since this was asked last."""
    before, said["keys"] = said.get("keys", -1), len(keys(journal))
    return before == said["keys"]


def _late(healthy: list[Line], since_ns: int, until_ns: int) -> tuple[float, float]:
    late = [line.late_ms for line in healthy if since_ns <= line.at_ns < until_ns and line.origin == "live"]
    return round(median(late), 3), round(float(np.percentile(late, 95)), 3)


def _twice(one: list[Line]) -> int:
    """Count the messages of alerts that came more than once."""
    given = [line.key for line in one if line.alert_id]
    return len(given) - len(set(given))


def _memory_mb(pid: int) -> float:
    """Return the resident memory of a process, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0
