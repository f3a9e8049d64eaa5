"""Children killed by the kernel's OOM killer: detected, logged with what would be enough, and restarted less often.

The kernel reports it only in counters: of the control group, or else of the whole device. A child that died by SIGKILL
while the counter rose was killed for memory, unless another child has claimed that kill already.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from runtime.process.child import end
from runtime.process.control_groups import MemoryGroups, field

MEMORY = "memory"
"""Cause of a loss, in events and metrics."""

RETRY_MIN_S, RETRY_MAX_S = 5.0, 300.0
"""First and longest wait before the restart of a child that was killed for memory; the wait doubles each time."""

STEADY_S = 600.0
"""A child that ran for this time had enough memory: the next wait is the shortest again."""

CLAIM_S = 5.0
"""Time in which the parent notices a killed child and claims the kill."""

_MIB = 1 << 20
_ROUND_MIB = 16
# Measured with control groups of version 1 (x86-64): `patchedge run` with one small camera took 107 MiB with a bundle
# of 0.1 MiB and 193 MiB with the default one of 26 MiB; a third is left for large pictures and clips.
_BASE_MIB, _PER_BUNDLE, _PER_CAMERA_MIB = 160, 4, 48
_MORE = 1.5
"""Factor over the memory that there is, if the estimate is not above it."""


class Kills:
    """The kernel's count of OOM kills; thread-safe."""

    def __init__(self, groups: MemoryGroups | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Start counting.

        Args:
            groups: the counters, by default in the kernel's own files.
            clock: returns seconds.
        """
        self.groups = groups or MemoryGroups()
        self._clock = clock
        self._lock = threading.Lock()
        self._kills, self._refusals = self.groups.kills(), self.groups.refusals()
        self._seen, self._seen_s = self._kills, clock()
        self.peak_bytes: dict[str, int] = {}
        """Peak memory of the children of each kind, as far as known."""

    def look(self) -> None:
        """Forget unclaimed kills, which were other processes; call it from time to time."""
        with self._lock:
            now, now_s = self.groups.kills(), self._clock()
            if now != self._seen:
                self._seen, self._seen_s = now, now_s
            elif now_s - self._seen_s >= CLAIM_S:
                self._kills = now

    def claim(self) -> bool:
        """Claim a kill; return whether there was an unclaimed one."""
        with self._lock:
            now = self.groups.kills()
            if now is None:
                return self._was_refused()
            new = now > (self._kills or 0)
            self._kills = (self._kills or 0) + 1 if new else now
            return new

    def _was_refused(self) -> bool:
        """Return whether an allocation failed since the last call, as older kernels count nothing else."""
        before, self._refusals = self._refusals, self.groups.refusals()
        return self._refusals is not None and self._refusals > (before or 0)


@cache
def kernel() -> Kills:
    """Return the count that all children of this process share."""
    return Kills()


class Child:
    """The memory of a child process, and whether it was killed for it."""

    def __init__(self, kind: str, process: subprocess.Popen[bytes], kills: Kills | None = None) -> None:
        """Watch a child that was started.

        Args:
            kind: kind of child; children of a kind need the same memory.
            process: the child.
            kills: the kernel's count, by default that of all children.
        """
        self._kind, self._process = kind, process
        self._kills = kills or kernel()

    def look(self) -> None:
        """Record its peak memory; call it when it has allocated most of it."""
        kib = field(Path(f"/proc/{self._process.pid}/status"), "VmHWM:")
        self._had((kib or 0) * 1024)

    def end(self) -> bool:
        """End it, as `child.end` does."""
        before = _largest(resource.RUSAGE_CHILDREN)
        gone = end(self._process)
        after = _largest(resource.RUSAGE_CHILDREN)
        if after > max(before, _largest(resource.RUSAGE_SELF)):  # a child begins with its parent's memory
            self._had(after)
        return gone

    def killed_for_memory(self, bundles: tuple[str, ...] = (), cameras: int = 1) -> str:
        """Return the reason if the OOM killer has killed it, else an empty text; call once, after `end`.

        Args:
            bundles: paths of the bundles in service, whose size determines what would be enough.
            cameras: number of cameras.
        """
        if self._process.returncode != -signal.SIGKILL or not self._kills.claim():
            return ""
        limit = self._kills.groups.limit()
        have = limit or self._kills.groups.total() or 0
        whose = "the limit of its control group is" if limit else "this machine has"
        peak = self._kills.peak_bytes.get(self._kind, 0)
        had = f", it had {peak // _MIB} MiB of that" if peak else ""
        enough = _enough_mib(have, bundles, cameras)
        remedy = "raise the limit (MemoryMax= of systemd, --memory of docker)" if limit else "stop other programs"
        return (
            f"killed by the kernel, out of memory: {whose} {have // _MIB} MiB{had}; "
            f"about {enough} MiB for all of patchedge should be enough: {remedy}"
        )

    def _had(self, peak_bytes: int) -> None:
        self._kills.peak_bytes[self._kind] = max(peak_bytes, self._kills.peak_bytes.get(self._kind, 0))


class Patience:
    """Waits before the restart of a child that was killed for memory: each twice as long as the one before."""

    def __init__(self, shortest_s: float = RETRY_MIN_S, longest_s: float = RETRY_MAX_S) -> None:
        """Wait `shortest_s` at first, and `longest_s` at most."""
        self._shortest_s, self._longest_s = shortest_s, longest_s
        self._next_s = shortest_s

    def after(self, lived_s: float) -> float:
        """Return the next wait, seconds, after a child that ran for `lived_s`."""
        if lived_s >= STEADY_S:
            self._next_s = self._shortest_s
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return wait_s


def _enough_mib(have_bytes: int, bundles: tuple[str, ...], cameras: int) -> int:
    """Estimate the memory of all processes together."""
    sizes: list[int] = []
    with contextlib.suppress(OSError):  # they may be replaced at this very moment
        sizes += [path.stat().st_size for bundle in set(bundles) for path in Path(bundle).iterdir()]
    needed = _BASE_MIB + _PER_BUNDLE * sum(sizes) / _MIB + _PER_CAMERA_MIB * (cameras - 1)
    needed = max(needed, _MORE * have_bytes / _MIB if needed * _MIB <= have_bytes else 0)
    return _ROUND_MIB * -(-int(needed) // _ROUND_MIB)


def _largest(whose: int) -> int:
    return resource.getrusage(whose).ru_maxrss * 1024
