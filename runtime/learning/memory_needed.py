"""Estimate the memory and disk space that a fit needs, and compare with what is free, before it starts.

The peak is that of the whole process. Its present size is measured; the rest is computed from the numbers of patches
and entries and from the largest picture, for each stage, and the largest stage counts.
"""

from __future__ import annotations

import math
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_config.errors import NotEnoughMemory, NotWritten
from runtime.learning.bank.features import in_file
from runtime.learning.progress import say
from runtime.process.control_groups import MemoryGroups, field

FACTOR = 1.5
"""The measured peak is within this factor of the estimate, both ways."""

REMEDY = "learn from fewer pictures (--max-images), a smaller --coreset or --size, or where there is more memory"

_FLOAT, _DOUBLE = 4, 8  # bytes
_RUN_BYTES = 64 << 20
"""Memory of networks and searches while they run."""

_ROW_BYTES = 60  # of a patch while the coreset is selected: distance, nearest entry, and copies of these
_LINK_BYTES = 400  # of an entry in the HNSW graph
_TABLE_ROWS = 512  # of the bank, compared with the whole bank at once
_PICTURES = 5  # embedded at the same time, and the next one; in the gate there are fewer
_CHANNELS = 3
_IN_MEMORY = ("tmpfs", "ramfs")
_GB = 1e9
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Work:
    """Sizes of a fit.

    Attributes:
        pictures, train: number of all pictures, and of training pictures.
        patches, dimension: patches of a picture; dimension of a patch feature.
        projected: dimension that the coreset is selected in.
        entries: number of entries of the bank.
        pixels: pixels of the largest picture.
        graph_bytes: size of model.onnx.
        candidates: largest number of patches that the coreset is selected from.
    """

    pictures: int
    train: int
    patches: int
    dimension: int
    projected: int
    entries: int
    pixels: int
    graph_bytes: int
    candidates: int = sys.maxsize


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of memory, at the peak of the whole process, and of disk."""

    memory: int
    disk: int


def needed(work: Work, held: int) -> Needs:
    """Return the memory and disk space of a fit, for a process of `held` bytes."""
    features = work.pictures * work.patches * work.dimension * _FLOAT
    filed = in_file(work.pictures * work.patches, work.dimension)
    entry = work.dimension * _FLOAT + _LINK_BYTES
    bank = work.entries * (2 * entry + work.dimension * _DOUBLE)
    candidates = min(work.train * work.patches, work.candidates)
    select = candidates * (work.projected * _FLOAT + _ROW_BYTES)
    table = work.entries * _TABLE_ROWS * 3 * _DOUBLE
    gate = _PICTURES * work.pixels * _CHANNELS
    return Needs(
        memory=held + _RUN_BYTES + (0 if filed else features) + max(select, bank + max(table, gate)),
        disk=(features if filed else 0) + work.graph_bytes + work.entries * (entry + work.dimension * _FLOAT),
    )


def require(work: Work, folder: Path, where: str) -> Needs:
    """Print the memory and disk space that a fit needs, and refuse it if there is not enough.

    Args:
        work: sizes of the fit.
        folder: folder on the disk for the bundle and the features.
        where: path of the pictures, for the message.

    Raises:
        NotEnoughMemory: not enough memory, even if the estimate is too high.
        NotWritten: not enough disk space.
    """
    held = _own("VmRSS")
    needs = needed(work, held)
    if _is_memory(folder):
        needs = Needs(needs.memory + needs.disk, 0)
    left, what = min(_left(), default=(sys.maxsize, "memory"))
    free = shutil.disk_usage(folder).free
    whole = held + left
    need = f"needs about {needs.memory / _GB:.1f} GB of memory and {_size(needs.disk)} of disk"
    if needs.memory / FACTOR > whole:
        raise NotEnoughMemory(
            f"{need}, and {whole / _GB:.1f} GB of memory are left ({what})", where=where, remedy=REMEDY
        )
    if needs.disk > free:
        raise NotWritten(
            f"{need}, and {free / _GB:.1f} GB of disk are free",
            where=str(folder),
            remedy="make room, or learn from fewer pictures (--max-images)",
        )
    tight = f"; it may not fit: {whole / _GB:.1f} GB of memory are left ({what})" if needs.memory > whole else ""
    say(f"{need}{tight}")
    return needs


def _size(count: float) -> str:
    """Return a number of bytes in words, such as 0.3 GB or 5 MB."""
    return f"{count / _GB:.1f} GB" if count >= _GB / 10 else f"{math.ceil(count / _MB)} MB"


def _left() -> Iterator[tuple[int, str]]:
    """Return the available memory under each limit, bytes, and the limit's name."""
    available = field(Path("/proc/meminfo"), "MemAvailable:")
    if available is not None:
        yield (available + (field(Path("/proc/meminfo"), "SwapFree:") or 0)) * 1024, "of this machine's"
    for free in MemoryGroups().free():
        yield free, "of the limit of this container or control group"
    for limit, name, used in (
        (resource.RLIMIT_AS, "of `ulimit -v`, the limit of address space", "VmSize"),
        (resource.RLIMIT_DATA, "of `ulimit -d`, the limit of data", "VmData"),
    ):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            yield max(0, soft - _own(used)), name


def _own(name: str) -> int:
    """Return a size of this process from the kernel, bytes."""
    return (field(Path("/proc/self/status"), f"{name}:") or 0) * 1024


def _is_memory(folder: Path) -> bool:
    """Return whether files of a folder are kept in memory, as in a tmpfs."""
    path, best = os.path.realpath(folder), ("", "")
    for line in Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount, kind, *_ = line.split(" ")
        below = mount in {"/", path} or path.startswith(f"{mount}/")
        if below and len(mount) >= len(best[0]):
            best = mount, kind
    return best[1] in _IN_MEMORY
