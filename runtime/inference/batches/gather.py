"""Which of the frames that wait go together. Nothing is ever waited for that is not there yet."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class FramePlace(NamedTuple):
    """Where something that waits belongs.

    Attributes:
        camera: what waits of one camera stays in its order.
        group: what has the same goes together; None: it goes alone.
        batch: how many may go together.
    """

    camera: str
    group: Hashable
    batch: int


class GatherFrames(Generic[T]):
    """Takes from a queue what waits there and goes together: at most one of each camera. For one thread."""

    def __init__(self, source: queue.SimpleQueue[T], place: Callable[[T], FramePlace | None]) -> None:
        """Take a queue, and what tells where something belongs; None: nothing that came later overtakes it."""
        self._source = source
        self._place = place
        self._waiting: deque[T] = deque()

    def take(self) -> list[T]:
        """Wait until there is something, and return what came first with all that goes with it, in order."""
        if not self._waiting:
            self._waiting.append(self._source.get())
        place = self._place(self._waiting[0])
        if place is None or place.group is None or place.batch == 1:
            return [self._waiting.popleft()]
        with suppress(queue.Empty):
            while True:
                self._waiting.append(self._source.get_nowait())
        return self._together(place)

    def _together(self, first: FramePlace) -> list[T]:
        taken: list[T] = []
        left: deque[T] = deque()
        seen: set[str] = set()
        batch, open_ = first.batch, True
        for item in self._waiting:
            place = self._place(item) if open_ else None
            open_ = place is not None
            fits = place is not None and place.group == first.group and place.camera not in seen
            if place is not None and fits and len(taken) < min(batch, place.batch):
                batch = min(batch, place.batch)
                taken.append(item)
            else:
                left.append(item)
            if place is not None:
                seen.add(place.camera)
        self._waiting = left
        return taken
