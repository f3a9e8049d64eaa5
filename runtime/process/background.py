"""Run a program in the background: it yields to everything else, has bounds, and ends with its parent.

The program is started through this module, which sets everything up in the child before the program is loaded: the
kernel keeps priorities, limits and the signal of the parent's death across `exec`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime.process.child import die_with_parent, module

NICE = 19

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
"""Number of the system call `ioprio_set`, by machine; the C library has no function for it."""

_IOPRIO_WHO_PROCESS, _IOPRIO_CLASS_IDLE, _IOPRIO_CLASS_SHIFT = 1, 3, 13

_OOM_FIRST = "1000"
"""Value of oom_score_adj: where memory is short, the kernel kills this process before any other."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def background(command: Sequence[str], *, memory_mb: int, threads: int) -> tuple[str, ...]:
    """Return the command line that runs a program in the background. Start it from a thread that outlives it.

    Args:
        command: the program and its arguments.
        memory_mb: limit of its data (heap, private mappings, stacks of threads), MiB; allocations beyond it fail.
        threads: number of threads that its libraries start at most, where the environment decides that.
    """
    return *module(__name__), str(os.getpid()), str(memory_mb), str(threads), *command


def yield_to_others() -> None:
    """Lower the priority of this process for processor, disk and memory as far as it goes."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with contextlib.suppress(OSError):  # where SCHED_IDLE is not allowed, nice 19 remains
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if number := _IOPRIO_SET.get(platform.machine()):
        idle = _IOPRIO_CLASS_IDLE << _IOPRIO_CLASS_SHIFT
        ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, idle)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_FIRST, encoding="ascii")


def limit(memory_mb: int, threads: int) -> None:
    """Bound the memory of this process, and the threads that libraries start."""
    most = memory_mb << 20
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    os.environ["MALLOC_ARENA_MAX"] = "2"  # each arena reserves memory that counts


def main() -> None:
    """Set this process up, and become the program: what the arguments are, `background` says."""
    parent, memory_mb, threads, *command = sys.argv[1:]
    die_with_parent(int(parent))
    yield_to_others()
    limit(int(memory_mb), int(threads))
    os.execv(command[0], command)  # noqa: S606 - our own program, and no shell


if __name__ == "__main__":
    main()
