"""Which bundles must stay on the disk."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.fleet.agent.core.memory import CameraMemory
from runtime.fleet.agent.core.seen import CameraSeen


def needed(memories: Iterable[CameraMemory], cameras: Iterable[CameraSeen]) -> set[str]:
    """Return the ids of all bundles that serve, are the way back, or are to serve."""
    ids: set[str] = set()
    for memory in memories:
        ids |= {memory.before_root, memory.placed}
        if memory.assignment is not None and memory.step not in {"refused", "went back"}:
            ids.add(memory.assignment.root)
    for seen in cameras:
        now = seen.candidate
        ids |= {seen.root, seen.active, now.before, now.before_root, now.id, now.root}
    return ids - {""}
