"""CPU affinity: keep this process on some cores, such as the fast ones of a board that has two kinds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def keep_to(cores: Iterable[int]) -> bool:
    """Pin all threads of this process, and those that they start later, to these cores.

    Args:
        cores: their numbers; empty changes nothing. Cores that this process may not use are ignored.

    Returns:
        False if the process may use none of these cores.
    """
    wanted = set(cores)
    if not wanted:
        return True
    allowed = wanted & os.sched_getaffinity(0)
    if not allowed:
        return False
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), allowed)
    return True
