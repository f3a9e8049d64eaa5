"""What Dask itself takes for a task and for a byte: time, processor's time, and bytes on the connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.cluster.awaited import completed
from export.cluster.connect import Cluster

ROUNDS, LARGE_ROUNDS = 100, 10
LARGE = 4 << 20
IDLE_S = 3.0


@dataclass(frozen=True, slots=True)
class OfDask:
    """What Dask takes, in this process with its scheduler and in all workers together.

    Attributes:
        round_s: of the clock, until one task on each worker is answered.
        task_s: of the processors, for a task.
        here_s: of it in this process with the scheduler, which does one task after the other.
        byte_s: of the processors, for a byte that goes to a worker or comes back.
        byte_clock_s: of the clock, for a byte of a round.
        task_bytes: on all connections, for a task.
        idle_bytes_s: on all connections, while nothing is asked.
    """

    round_s: float
    task_s: float
    here_s: float
    byte_s: float
    byte_clock_s: float
    task_bytes: float
    idle_bytes_s: float

    def spent(self, rounds: int, tasks: int, size: float) -> tuple[float, float]:
        """Return the seconds of the clock and of the processors that rounds of tasks and so many bytes take."""
        return self.round_s * rounds + self.byte_clock_s * size, self.task_s * tasks + self.byte_s * size


def loopback() -> int:
    """Return the bytes that the loopback interface of this network namespace has carried."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


def processors(cluster: Cluster) -> float:
    """Return the processor's time of this process and of all workers, s."""
    return float(time.process_time() + sum(cluster.client.run(time.process_time).values()))


def measure_dask(cluster: Cluster) -> OfDask:
    """Ask all workers for nothing, with and without a large array."""
    workers = cluster.workers
    _ask(cluster, ROUNDS // 10, 0)  # the first tasks import what they need
    own = time.process_time()
    clock, used, carried = _measured(cluster, lambda: _ask(cluster, ROUNDS, 0))
    own = time.process_time() - own
    large_clock, large_used, _ = _measured(cluster, lambda: _ask(cluster, LARGE_ROUNDS, LARGE))
    before = loopback()
    threading.Event().wait(IDLE_S)  # no question is asked meanwhile
    idle = loopback() - before
    tasks, both = ROUNDS * workers, 2 * LARGE_ROUNDS * workers * LARGE
    clock, used = clock / ROUNDS, used / tasks
    return OfDask(
        round_s=clock,
        task_s=used,
        here_s=own / tasks,
        byte_s=(large_used - used * LARGE_ROUNDS * workers) / both,
        byte_clock_s=(large_clock - clock * LARGE_ROUNDS) / both,
        task_bytes=carried / tasks,
        idle_bytes_s=idle / IDLE_S,
    )


def _measured(cluster: Cluster, work: Callable[[], object]) -> tuple[float, float, int]:
    """Return seconds of the clock, seconds of the processors, and bytes on the connections."""
    used, carried, begun = processors(cluster), loopback(), time.perf_counter()
    work()
    return time.perf_counter() - begun, processors(cluster) - used, loopback() - carried


def _ask(cluster: Cluster, rounds: int, size: int) -> None:
    random = np.random.default_rng(0)
    for number in range(rounds):
        array = random.integers(0, 256, size, dtype=np.uint8)
        futures = [
            cluster.client.submit(_same, number, array, workers=[one], allow_other_workers=True, pure=False)
            for one in cluster.addresses
        ]
        for future in completed(futures):
            future.result()


def _same(_: int, array: np.ndarray) -> np.ndarray:
    return array
