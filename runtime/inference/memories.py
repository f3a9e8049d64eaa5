"""The shared memories that frames for the inference worker are in."""

from __future__ import annotations

import os
from collections.abc import Iterator


class SharedMemories:
    """Descriptors of memories, by number; each is a copy, and ours. Not thread-safe."""

    def __init__(self) -> None:
        """Begin with none."""
        self._held: dict[int, tuple[int, int]] = {}  # number -> descriptor, size

    def __contains__(self, memory: int) -> bool:
        """Return whether there is a memory of this number."""
        return memory in self._held

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Yield number, descriptor and size, bytes, of each."""
        for memory, (descriptor, size) in self._held.items():
            yield memory, descriptor, size

    def add(self, memory: int, descriptor: int, size: int) -> None:
        """Copy a descriptor; the caller keeps its own."""
        self._held[memory] = os.dup(descriptor), size

    def remove(self, memory: int) -> bool:
        """Close a memory; return whether there was one of this number."""
        if memory not in self._held:
            return False
        os.close(self._held.pop(memory)[0])
        return True

    def close(self) -> None:
        """Close all."""
        for memory in list(self._held):
            self.remove(memory)
