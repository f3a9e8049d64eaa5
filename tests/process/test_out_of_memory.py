"""Processes killed for want of memory, from counters as the kernel writes them, and what is said and waited then."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.monitoring.machine import Machine
from runtime.process.control_groups import MemoryGroups
from runtime.process.out_of_memory import CLAIM_S, RETRY_MAX_S, RETRY_MIN_S, STEADY_S, Child, Kills, Patience

MIB = 1 << 20
NO_LIMIT_V1 = 0x7FFFFFFFFFFFF000

V1 = ("9:name=systemd:/\n4:cpu,memory:/app/edge\n0::/\n", "cgroup/memory/app/edge/memory.oom_control")
V2 = ("0::/app/edge\n", "cgroup/app/edge/memory.events")
IN_CONTAINER_V1 = ("4:memory:/docker/5f2c\n", "cgroup/memory/memory.oom_control")
IN_CONTAINER_V2 = ("0::/\n", "cgroup/memory.events")
WHOLE_DEVICE = ("0::/\n", "proc/vmstat")
EVENTS = "low 0\nhigh 0\nmax 321\noom 7\noom_kill {}\noom_group_kill 0\n"


def write(root: Path, name: str, text: object) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(f"{text}\n")


def groups(root: Path) -> MemoryGroups:
    return MemoryGroups(proc=root / "proc", cgroup=root / "cgroup")


@pytest.fixture(params=[V1, V2, IN_CONTAINER_V1, IN_CONTAINER_V2, WHOLE_DEVICE])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[int], None]]:
    """Return a device, and what sets its counter of kills."""
    own, counter = request.param
    write(tmp_path, "proc/self/cgroup", own)
    write(tmp_path, "proc/meminfo", f"MemTotal: {512 << 10} kB")

    def killed(times: int) -> None:
        write(tmp_path, counter, EVENTS.format(times))

    killed(3)
    return tmp_path, killed


def test_each_kill_is_claimed_once(device: tuple[Path, Callable[[int], None]]) -> None:
    """What was killed before does not count, and of two kills each child claims one."""
    root, killed = device
    kills = Kills(groups(root))
    assert not kills.claim()
    killed(5)
    assert [kills.claim() for _ in range(3)] == [True, True, False]


def test_kill_of_somebody_else_is_forgotten(device: tuple[Path, Callable[[int], None]]) -> None:
    """A kill that no child claims in time was of another process: a later kill -9 is not called one for memory."""
    root, killed = device
    now = [0.0]
    kills = Kills(groups(root), clock=lambda: now[0])
    killed(4)
    kills.look()
    now[0] = CLAIM_S
    kills.look()
    assert not kills.claim()
    killed(5)
    kills.look()
    assert kills.claim()


def test_older_kernel_tells_by_refusals(tmp_path: Path) -> None:
    """Where version 1 counts no kills, memory that was refused meanwhile tells it."""
    write(tmp_path, "proc/self/cgroup", "4:memory:/app\n")
    write(tmp_path, "cgroup/memory/app/memory.oom_control", "oom_kill_disable 0\nunder_oom 0")
    write(tmp_path, "cgroup/memory/app/memory.failcnt", 12)
    kills = Kills(groups(tmp_path))
    assert not kills.claim()
    write(tmp_path, "cgroup/memory/app/memory.failcnt", 99)
    assert kills.claim()
    assert not kills.claim()


def test_nothing_is_claimed_where_the_kernel_says_nothing(tmp_path: Path) -> None:
    """Without any counter a kill is only a kill."""
    assert not Kills(groups(tmp_path)).claim()


def test_limits_of_version_1(tmp_path: Path) -> None:
    """The tightest limit counts there too, for what is left as well, and the largest number is no limit."""
    write(tmp_path, "proc/self/cgroup", "4:memory:/app/edge\n0::/\n")
    write(tmp_path, "proc/meminfo", f"MemTotal: {4096 << 10} kB\nMemAvailable: {3000 << 10} kB")
    write(tmp_path, "cgroup/memory/app/edge/memory.limit_in_bytes", NO_LIMIT_V1)
    write(tmp_path, "cgroup/memory/app/edge/memory.usage_in_bytes", 90 * MIB)
    assert (groups(tmp_path).limit(), list(groups(tmp_path).free())) == (None, [])
    write(tmp_path, "cgroup/memory/app/memory.limit_in_bytes", 160 * MIB)
    write(tmp_path, "cgroup/memory/app/memory.usage_in_bytes", 150 * MIB)
    write(tmp_path, "cgroup/memory/app/memory.stat", f"cache 0\ntotal_inactive_file {20 * MIB}")
    assert groups(tmp_path).limit() == 160 * MIB
    machine = Machine(str(tmp_path), proc=str(tmp_path / "proc"), cgroup=str(tmp_path / "cgroup"))
    assert machine.read().available_mb == 30.0


def dead(command: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", command])
    process.wait()
    return process


KILL = "import os; os.kill(os.getpid(), 9)"


def test_reason_names_limit_and_remedy(tmp_path: Path) -> None:
    """Limit, what would be enough (more with a larger bundle and more cameras), and what to do."""
    write(tmp_path, "proc/self/cgroup", V2[0])
    write(tmp_path, V2[1], EVENTS.format(0))
    write(tmp_path, "cgroup/app/edge/memory.max", 160 * MIB)
    kills = Kills(groups(tmp_path))
    child = Child("worker", dead(KILL), kills)
    kills.peak_bytes["worker"] = 121 * MIB
    write(tmp_path, V2[1], EVENTS.format(3))
    reason = child.killed_for_memory()
    assert "out of memory: the limit of its control group is 160 MiB, it had 121 MiB of that" in reason
    assert "about 240 MiB for all of patchedge should be enough: raise the limit (MemoryMax= of systemd" in reason
    (tmp_path / "x.bundle").mkdir()
    write(tmp_path, "x.bundle/bank.safetensors", "0" * 25 * MIB)
    assert "about 368 MiB" in child.killed_for_memory((str(tmp_path / "x.bundle"),) * 2, cameras=3)
    (tmp_path / "cgroup/app/edge/memory.max").unlink()
    write(tmp_path, "proc/meminfo", f"MemTotal: {512 << 10} kB")
    assert "this machine has 512 MiB" in child.killed_for_memory()


@pytest.mark.parametrize("command", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 11)"])
def test_other_ends_are_not_for_memory(command: str, tmp_path: Path) -> None:
    """A child that ended by itself or crashed was not killed by the kernel for memory, whatever the counter does."""
    write(tmp_path, "proc/self/cgroup", V2[0])
    write(tmp_path, V2[1], EVENTS.format(0))
    kills = Kills(groups(tmp_path))
    child = Child("worker", dead(command), kills)
    write(tmp_path, V2[1], EVENTS.format(1))
    assert child.killed_for_memory() == ""


def test_waits_grow() -> None:
    """Each wait is twice the one before, up to a bound; one that lived for long begins anew."""
    patience = Patience()
    waits = [patience.after(6.0) for _ in range(9)]
    assert waits[:3] == [RETRY_MIN_S, 2 * RETRY_MIN_S, 4 * RETRY_MIN_S]
    assert waits[-1] == RETRY_MAX_S
    assert patience.after(STEADY_S) == RETRY_MIN_S
