"""Read frames of one source as the runtime would, through the same capture process."""

from __future__ import annotations

import mmap
import queue
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import Camera
from runtime.camera.address import redact, scrub
from runtime.camera.feed import Feed
from runtime.events import FeedChanged, FeedEnded, FeedEvent, FrameArrived
from runtime.frame import Image, SharedFrame
from runtime.process.child import module
from runtime.process.shared_memory import picture

GRAB = module("runtime.camera.process")
"""Starts a capture process."""

_NAME = "look"
_TURN_S = 0.25

Each = Callable[[SharedFrame, Image | None], None]
"""Is given every frame with its picture, uint8 [H, W, 3] BGR, which stays as it is during the call; None cannot be
decoded."""


class Look:
    """One source, open while the block lasts. Use it from one thread.

    Attributes:
        feed: what it comes by.
        where: the source, without secrets.
        pictures: frames so far.
        interruptions: what became of the connection since the first of them, if anything did.
    """

    def __init__(self, camera: Camera, each: Each, command: Sequence[str] = GRAB) -> None:
        """Take the settings of a camera; `command` starts a capture process."""
        self.where = redact(str(camera.source))
        self._events: queue.SimpleQueue[FeedEvent] = queue.SimpleQueue()
        self.feed = Feed(_NAME, camera, self._events.put, self, tuple(command))
        self.pictures = 0
        self.interruptions: list[str] = []
        self._each = each
        self._memories: dict[int, mmap.mmap] = {}

    def __enter__(self) -> Look:  # noqa: PYI034 - typing.Self needs Python 3.11
        """Open it."""
        self.feed.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.feed.close()
        self._memories.clear()

    def open(self, timeout_s: float) -> None:
        """Wait for the first frame, which must come.

        Raises:
            SourceUnavailable: it does not open, or gives none in time.
        """
        until_s = time.monotonic() + timeout_s
        while not self.pictures:
            left_s = until_s - time.monotonic()
            if left_s <= 0 and self.feed.looking:  # the reason is worth the wait, which is bounded
                left_s = _TURN_S
            if left_s <= 0 or not self.turn(left_s):
                remedy = "check that it is there and not in use, or give it longer by --timeout"
                raise SourceUnavailable(f"no picture in {timeout_s:g} s", where=self.where, remedy=remedy)

    def turn(self, timeout_s: float) -> bool:
        """Hand on the frames that are there, or wait for something to happen; tell whether more may come.

        Raises:
            SourceUnavailable: it does not open.
        """
        try:
            event = self._events.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return True
        if isinstance(event, FrameArrived):
            self._arrive()
            return True
        return self._note(event)

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        """Map a memory that frames will lie in; for the feed's thread."""
        self._memories[memory] = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)

    def detach(self, memory: int) -> None:
        """Forget a memory that no frame lies in; any thread."""
        self._memories.pop(memory, None)

    def _arrive(self) -> None:
        while (frame := self.feed.take()) is not None:
            self.pictures += 1
            memory = self._memories.get(frame.memory)
            try:
                self._each(frame, None if frame.hw is None or memory is None else picture(memory, frame.slot, frame.hw))
            finally:
                self.feed.give_back(frame)

    def _note(self, event: FeedEvent) -> bool:
        match event:
            case FeedChanged(state=state, reason=reason, remedy=remedy) if state != "live":
                if not self.pictures:
                    raise SourceUnavailable(reason, where=self.where, remedy=remedy or "see `patchedge doctor`")
                self.interruptions.append(scrub(reason))
            case FeedEnded(reason=reason, failed=failed):
                if failed and not self.pictures:
                    raise SourceUnavailable(scrub(reason).removeprefix(f"{self.where}: "), where=self.where)
                return False
        return True
