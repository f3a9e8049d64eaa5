"""Child processes of a process of a test."""

from __future__ import annotations

import contextlib
from pathlib import Path


def children(parent: int | str = "self") -> list[int]:
    """Return the process ids of the children, without the tracker of multiprocessing, which Dask starts and leaves."""
    found = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends meanwhile
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return [pid for pid in found if not _is_tracker(pid)]


def _is_tracker(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
