"""What /proc says about a program and all that it started."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

_MIB = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")

WARM_UP = 0.25
"""Share of the samples, from the first on, that are not looked at."""

MEMORY_NOISE_MB = 8.0
MEMORY_NOISE_SHARE = 0.03
"""Memory may seem to have grown by so much over a soak: allocators keep what they once had."""

MEMORY_LEAST_S = 180.0
"""Over less time memory is not judged: what is used for the first time looks like growth."""

COUNT_NOISE = 2
"""Descriptors and threads may be counted while a connection comes or goes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a program and its children use at one moment; `shared` counts the entries of /dev/shm."""

    at_s: float
    memory_mb: float
    descriptors: int
    threads: int
    processes: int
    shared: int


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for other in _all():
        if (parent := _parent(other)) is not None:
            children.setdefault(parent, []).append(other)
    found = [pid]
    for one in found:  # grows while it is walked
        found += children.get(one, [])
    return found


def command(pid: int) -> str:
    """Return the command line of a process; empty if it is gone."""
    return _read(pid, "cmdline").replace("\0", " ")


def is_alive(pid: int) -> bool:
    """Return whether a process is there, and not as a zombie."""
    return _stat(pid)[:1] not in ([], ["Z"])


def address_space(pid: int) -> int:
    """Return the size of a process's address space, bytes."""
    return int(_read(pid, "statm").split()[0]) * _PAGE


def usage(pid: int, at_s: float) -> Usage:
    """Sum up what a process and its descendants use."""
    alive = [one for one in tree(pid) if is_alive(one)]
    return Usage(
        at_s=at_s,
        memory_mb=sum(int((_read(one, "statm").split() or ["0", "0"])[1]) for one in alive) * _PAGE / _MIB,
        descriptors=sum(_count(f"/proc/{one}/fd") for one in alive),
        threads=sum(_count(f"/proc/{one}/task") for one in alive),
        processes=len(alive),
        shared=_count("/dev/shm"),  # noqa: S108 - it is looked at, not written
    )


def warm(samples: Sequence[Usage]) -> Sequence[Usage]:
    """Return the samples after the warm-up."""
    return samples[int(len(samples) * WARM_UP) :]


def growth(samples: Sequence[Usage]) -> list[str]:
    """Say what grew from sample to sample by more than noise; nothing if all is flat, or too short to tell."""
    samples = warm(samples)
    if len(samples) < 4:  # two for each end
        return []
    complaints = []
    ends = max(2, len(samples) // 4)
    for field in fields(Usage)[1:]:
        values = [getattr(sample, field.name) for sample in samples]
        first, last = float(np.median(values[:ends])), float(np.median(values[-ends:]))
        noise = max(MEMORY_NOISE_MB, MEMORY_NOISE_SHARE * first) if field.name == "memory_mb" else COUNT_NOISE
        if field.name == "memory_mb" and samples[-1].at_s - samples[0].at_s < MEMORY_LEAST_S:
            continue
        if last - first > (0 if field.name in {"processes", "shared"} else noise):
            complaints.append(f"{field.name} grew from {first:.0f} to {last:.0f}")
    return complaints


def slope_mb_an_hour(samples: Sequence[Usage]) -> float | None:
    """Fit a line to the memory after the warm-up; None if that is too short to tell."""
    samples = warm(samples)
    if len(samples) < 2 or samples[-1].at_s - samples[0].at_s < MEMORY_LEAST_S:
        return None
    slope = np.polyfit([sample.at_s for sample in samples], [sample.memory_mb for sample in samples], 1)[0]
    return float(slope * 3600)


def _all() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdecimal()]


def _parent(pid: int) -> int | None:
    rest = _stat(pid)
    return int(rest[1]) if rest else None


def _stat(pid: int) -> list[str]:
    """Return state, parent and so on: what stands behind the name, which may hold blanks."""
    return _read(pid, "stat").rpartition(")")[2].split()


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:  # it has just ended
        return ""


def _count(folder: str) -> int:
    try:
        return len(os.listdir(folder))  # noqa: PTH208 - names are enough
    except OSError:
        return 0
