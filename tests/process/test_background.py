"""Programs in the background: what the kernel knows of them, and that they end with their parent."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence

import pytest

from runtime.process.background import background
from runtime.process.child import module
from tests.support.processes import ENOUGH_S

pytestmark = pytest.mark.slow

TELL = """
import ctypes, json, os, resource
said = {
    "nice": os.nice(0),
    "policy": os.sched_getscheduler(0),
    "io": ctypes.CDLL(None).syscall(252 if os.uname().machine == "x86_64" else 31, 1, 0) >> 13,
    "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
    "oom": int(open("/proc/self/oom_score_adj").read()),
    "threads": os.environ["OMP_NUM_THREADS"],
}
try:
    bytearray(400 << 20)
    said["memory"] = "taken"
except MemoryError:
    said["memory"] = "refused"
print(json.dumps(said))
"""

PARENT = """
import os, subprocess, sys, time
from runtime.process.background import background
child = subprocess.Popen(background([sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"],
    memory_mb=256, threads=1), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def python(code: str) -> Sequence[str]:
    return sys.executable, "-c", code


def test_program_has_the_lowest_priority_and_its_bounds() -> None:
    """It has nice 19, the idle classes of processor and disk, is killed first for memory, and gets no more than its
    share.
    """
    command = background(python(TELL), memory_mb=300, threads=3)
    done = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH_S, check=True)
    said = json.loads(done.stdout)
    assert said == {
        "nice": 19,
        "policy": os.SCHED_IDLE,
        "io": 3,
        "data": 300 << 20,
        "oom": 1000,
        "threads": "3",
        "memory": "refused",
    }


def test_program_ends_with_its_parent() -> None:
    """When its parent is killed with SIGKILL, the program is gone, too."""
    with subprocess.Popen(python(PARENT), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        descriptor = os.pidfd_open(child)
        parent.kill()
    try:
        assert select.select([descriptor], [], [], ENOUGH_S)[0]
    finally:
        os.close(descriptor)


def test_program_whose_parent_is_gone_does_not_begin() -> None:
    """Started for a parent that has ended meanwhile, it ends before the program runs."""
    command = list(background(python("print('ran')"), memory_mb=256, threads=1))
    command[len(module("x"))] = "1"  # the parent, in its words
    done = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH_S, check=False)
    assert (done.returncode, done.stdout) == (0, "")
