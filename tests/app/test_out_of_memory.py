"""Workers and capture processes that the kernel kills for want of memory: named, with what would be enough."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_config.settings.sections import Camera
from runtime.camera.feed import Feed
from runtime.events import EngineLost, EngineReady, FeedChanged
from runtime.inference.engine import Engine
from runtime.inference.protocol import ScoringOptions
from runtime.inference.worker_handle import WorkerProcess
from runtime.process.backoff import Backoff
from runtime.process.control_groups import MemoryGroups
from runtime.process.out_of_memory import Kills, Patience
from tests.support.cgroups import memory_group
from tests.support.children import children
from tests.support.fakes.camera import COMMAND, PICTURE, plugged
from tests.support.fakes.hungry import WAIT_S
from tests.support.processes import ENOUGH_S
from tests.support.reader import PATIENT, Reader

LIMIT_MIB = 160


@pytest.fixture
def killer(tmp_path: Path) -> tuple[Kills, Callable[[int], None]]:
    """Return the count of a fake kernel, and what kills a process as it does for want of memory."""
    group = tmp_path / "cgroup/edge"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/edge\n")
    (group / "memory.max").write_text(f"{LIMIT_MIB << 20}\n")
    (group / "memory.events").write_text("oom_kill 0\n")
    killed = iter(range(1, 100))

    def kill(pid: int) -> None:
        (group / "memory.events").write_text(f"oom 9\noom_kill {next(killed)}\n")
        os.kill(pid, signal.SIGKILL)

    return Kills(MemoryGroups(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup")), kill


def next_of(events: queue.SimpleQueue[Any], kind: type) -> Any:
    while not isinstance(event := events.get(timeout=ENOUGH_S), kind):
        pass
    return event


def test_worker_is_lost_for_memory(tiny_bundle: Path, killer: tuple[Kills, Callable[[int], None]]) -> None:
    """Cause and reason say memory, limit and need; a worker that is killed by hand has only crashed."""
    kills, kill = killer
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    engine = Engine(
        {"cam1": str(tiny_bundle)},
        events.put,
        ScoringOptions(threads=1),
        process=WorkerProcess(kills=kills),
        backoff=Backoff(0.01, 0.02),
        patience=Patience(0.01),
    )
    engine.start()
    try:
        next_of(events, EngineReady)
        (pid,) = children()
        kill(pid)
        lost = next_of(events, EngineLost)
        assert lost.cause == "memory"
        assert f"out of memory: the limit of its control group is {LIMIT_MIB} MiB, it had " in lost.reason
        assert "should be enough" in lost.reason
        next_of(events, EngineReady)
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        assert next_of(events, EngineLost) == EngineLost("crashed", "ended by SIGKILL")
    finally:
        engine.close()


class Noted(Patience):
    """Waits that are noted, and not waited."""

    def __init__(self) -> None:
        super().__init__()
        self.noted_s: list[float] = []

    def after(self, lived_s: float) -> float:
        self.noted_s.append(super().after(lived_s))
        return 0.01


def test_capture_process_is_lost_for_memory(
    tmp_path: Path, killer: tuple[Kills, Callable[[int], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state names memory, it is counted by that name, and the camera is opened again after a longer wait."""
    kills, kill = killer
    waits = Noted()
    monkeypatch.setattr("runtime.camera.retry.Patience", lambda: waits)
    with plugged(tmp_path / "camera") as remote:
        reader = Reader(remote.source, **PATIENT)
        reader.feed = Feed("front", Camera(source=remote.source), reader.inbox.put, reader, COMMAND, kills=kills)
        reader.feed.start()
        try:
            for _ in range(2):
                remote.do(PICTURE)
                reader.feed.give_back(reader.next())
                (pid,) = children()
                kill(pid)
                reason = reader.hear(FeedChanged, lambda event: event.state == "disconnected").reason
                assert reason.startswith("capture process killed by the kernel, out of memory")
            assert reader.feed.reconnects["memory"] == 2
            assert reader.feed.reconnects["crashed"] == 0
            assert waits.noted_s == [5.0, 10.0]
        finally:
            reader.close()


@pytest.mark.slow
def test_kernel_that_kills() -> None:
    """In a real control group: the cause is memory, its limit is named, and the next worker waits."""
    limit_mib = 200
    with memory_group(limit_mib << 20) as procs:
        words = [sys.executable, "-m", "tests.support.fakes.hungry"]
        join = f'echo $$ > {procs} && exec "$@"'
        done = subprocess.run(
            ["/bin/sh", "-c", join, "sh", *words], capture_output=True, text=True, timeout=ENOUGH_S, check=False
        )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert [first["cause"], second["cause"]] == ["memory", "memory"], first["reason"]
    assert f"the limit of its control group is {limit_mib} MiB, it had " in first["reason"]
    assert second["s"] - first["s"] >= WAIT_S
