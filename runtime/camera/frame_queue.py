"""Queue of a camera's frames between capture and consumers; it knows which slots and memories are still in use."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from runtime.frame import SharedFrame

NO_MEMORY = 0
"""The memory of a frame that could not be decoded."""


class FrameMemories(Protocol):
    """What reads frames in shared memory, such as the engine. Thread-safe."""

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        """Prepare to read frames in a shared memory of so many bytes; the descriptor stays the caller's."""

    def detach(self, memory: int) -> None:
        """Forget a memory: no frame is in it, nor will be."""


class FrameQueue:
    """Frames that wait to be taken, and those that were taken and not given back. Thread-safe.

    Attributes:
        dropped: frames that were never taken, by reason: `newer` (a newer one came before), `no slot` (no slot was
            free, because all frames were taken), `degraded` (left out to save time).
    """

    def __init__(self, *, keep_all: bool, gone: Callable[[int], None]) -> None:
        """Keep all frames, or the newest only; `gone` is called when no frame is in a memory and none will be."""
        self.dropped = {"newer": 0, "no slot": 0, "degraded": 0}
        self._keep_all = keep_all
        self._gone = gone
        self._lock = threading.Lock()
        self._waiting: deque[SharedFrame] = deque()
        self._out: dict[int, tuple[int, Callable[[], None]]] = {}  # frame_id -> its memory, and what frees its slot
        self._frames: dict[int, int] = {}  # memory -> frames in it that wait or were taken
        self._retired: set[int] = set()

    @property
    def out(self) -> int:
        """Frames that wait or were taken: so many slots are not free."""
        return len(self._out)

    def add(self, memory: int) -> None:
        """Expect frames in a memory."""
        with self._lock:
            self._frames[memory] = 0

    def retire(self, memory: int) -> None:
        """Expect no more frames in a memory; a no-op for one that is not known."""
        with self._lock:
            if memory in self._frames:
                self._retired.add(memory)
            gone = self._is_gone(memory)
        if gone:
            self._gone(memory)

    def put(self, frame: SharedFrame, free: Callable[[], None]) -> None:
        """Add a frame; `free` frees its slot."""
        with self._lock:
            replaced = [] if self._keep_all else list(self._waiting)
            self._waiting.append(frame)
            self._out[frame.frame_id] = frame.memory, free
            if frame.memory in self._frames:
                self._frames[frame.memory] += 1
            for _ in replaced:
                self._waiting.popleft()
        for old in replaced:
            self.dropped["newer"] += 1
            self.give_back(old)

    def take(self) -> SharedFrame | None:
        """Take the next frame; None if there is none."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def peek(self) -> SharedFrame | None:
        """Return the frame that `take` would take."""
        with self._lock:
            return self._waiting[0] if self._waiting else None

    def give_back(self, frame: SharedFrame) -> None:
        """Free the slot of a frame; a no-op the second time, and after its capture process has ended."""
        with self._lock:
            if frame.frame_id not in self._out:
                return
            memory, free = self._out.pop(frame.frame_id)
            if memory in self._frames:
                self._frames[memory] -= 1
            gone = self._is_gone(memory)
        free()
        if gone:
            self._gone(memory)

    def _is_gone(self, memory: int) -> bool:
        """Return whether a memory is not needed any more, once, and forget it then."""
        if memory not in self._retired or self._frames.get(memory) != 0:
            return False
        self._retired.remove(memory)
        del self._frames[memory]
        return True
