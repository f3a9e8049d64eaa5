"""Copies of frames that are in shared memory, for the main process, which looks at no pixel otherwise."""

from __future__ import annotations

import contextlib
import mmap
import threading
from typing import Protocol

import numpy as np
import structlog

from runtime.frame import Image, SharedFrame
from runtime.process.shared_memory import picture


class Memories(Protocol):
    """What reads frames in shared memory, as `runtime.camera.frame_queue.FrameMemories`. Thread-safe."""

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        """Prepare to read frames in a shared memory of so many bytes; the descriptor stays the caller's."""

    def detach(self, memory: int) -> None:
        """Forget a memory: no frame is in it, nor will be."""


class SharedPictures:
    """Takes the shared memories of all cameras, and passes them on, to the inference worker. Thread-safe."""

    def __init__(self, further: Memories) -> None:
        """Pass every memory on to `further`."""
        self._further = further
        self._lock = threading.Lock()
        self._mappings: dict[int, mmap.mmap] = {}

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        """Map a memory, and pass it on."""
        self._further.attach(memory, descriptor, size)
        try:
            mapping = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # scoring goes on
            structlog.get_logger().warning("frames of a camera cannot be stored", problem=str(error))
            return
        with self._lock:
            self._mappings[memory] = mapping

    def detach(self, memory: int) -> None:
        """Unmap a memory, and pass that on."""
        self._further.detach(memory)
        with self._lock, contextlib.suppress(KeyError):
            self._mappings.pop(memory).close()

    def copy(self, frame: SharedFrame, into: Image | None = None) -> Image | None:
        """Return a copy of a frame that was not given back; None if it cannot be read.

        Args:
            frame: the frame.
            into: an earlier copy that is not needed any more: it is used again if it has the same size.
        """
        if frame.hw is None:
            return None
        with self._lock:
            mapping = self._mappings.get(frame.memory)
            if mapping is None:
                return None
            there = picture(mapping, frame.slot, frame.hw)
            if into is None or into.shape != there.shape:
                into = np.empty_like(there)
            np.copyto(into, there)
        return into

    def close(self) -> None:
        """Unmap all memories."""
        with self._lock:
            for mapping in self._mappings.values():
                mapping.close()
            self._mappings.clear()
