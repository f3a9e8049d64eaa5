"""Estimate the memory and disk space that a fit needs, and compare with what is free, before it starts.

The peak is that of the whole process. What it holds already is measured; what is to come follows from the numbers of
patches and entries and from the largest picture, stage by stage, and the largest of the stages counts.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_config.errors import NotEnoughMemory, NotWritten
from export.bank.features import in_file
from runtime.process.control_groups import MemoryGroups, field

FACTOR = 1.5
"""The peak that is measured lies within this factor of the estimate, both ways."""

REMEDY = "learn from fewer pictures (--max-images), a smaller --coreset or --size, or where there is more memory"

_FLOAT, _DOUBLE = 4, 8  # bytes
_RUN_BYTES = 64 << 20
"""What networks and searches take while they run."""

_ROW_BYTES = 60  # of a patch while the coreset is chosen: norm, distance, nearest entry, and copies of these
_LINK_BYTES = 400  # of an entry in the HNSW graph
_TABLE_ROWS = 512  # of the bank, that are compared with the whole of it at a time
_PICTURES = 4  # at a time at the gate: as it is, with a fault, as the network takes it, and the next one
_CHANNELS = 3
_IN_MEMORY = ("tmpfs", "ramfs")
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be learnt.

    Attributes:
        pictures, train: all of them, and those that are learnt from.
        patches, dimension: of a picture; of a patch.
        projected: dimension that the coreset is chosen in.
        entries: of the bank.
        pixels: of the largest picture.
        graph_bytes: of model.onnx.
    """

    pictures: int
    train: int
    patches: int
    dimension: int
    projected: int
    entries: int
    pixels: int
    graph_bytes: int


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of memory, at the peak of the whole process, and of disk."""

    memory: int
    disk: int


def needed(work: Work, held: int) -> Needs:
    """Return what a fit needs that holds so many bytes already."""
    features = work.pictures * work.patches * work.dimension * _FLOAT
    filed = in_file(work.pictures * work.patches, work.dimension)
    entry = work.dimension * _FLOAT + _LINK_BYTES
    bank = work.entries * (2 * entry + work.dimension * _DOUBLE)
    select = work.train * work.patches * (work.projected * _FLOAT + _ROW_BYTES)
    table = work.entries * _TABLE_ROWS * 3 * _DOUBLE
    gate = _PICTURES * work.pixels * _CHANNELS
    return Needs(
        memory=held + _RUN_BYTES + (0 if filed else features) + max(select, bank + max(table, gate)),
        disk=(features if filed else 0) + work.graph_bytes + work.entries * (entry + work.dimension * _FLOAT),
    )


def require(work: Work, folder: Path, where: str) -> Needs:
    """Say what a fit needs, and refuse it where it cannot fit.

    Args:
        work: what is to be learnt.
        folder: on the disk that takes the bundle and the features.
        where: the pictures, for the message.

    Raises:
        NotEnoughMemory: there is less memory, whatever is uncertain about the estimate.
        NotWritten: there is less disk.
    """
    held = _own("VmRSS")
    needs = needed(work, held)
    if _is_memory(folder):
        needs = Needs(needs.memory + needs.disk, 0)
    left, what = min(_left(), default=(sys.maxsize, "memory"))
    free = shutil.disk_usage(folder).free
    whole = held + left
    need = f"needs about {needs.memory / _GB:.1f} GB of memory and {needs.disk / _GB:.1f} GB of disk"
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
    print(f"patchedge-export: note: {need}{tight}", file=sys.stderr, flush=True)
    return needs


def _left() -> Iterator[tuple[int, str]]:
    """Return what may still be taken, bytes, by each limit, and the limit's name."""
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
    """Return a size of this process that the kernel knows, bytes."""
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
