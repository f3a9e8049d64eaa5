"""Preview one source: read its frames as the runtime does, for `probe`, `record` and `doctor`."""

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
from runtime.camera.supervisor import CAPTURE_PROCESS
from runtime.events import FeedChanged, FeedEnded, FeedEvent, FrameArrived
from runtime.frame import Image, SharedFrame
from runtime.process.shared_memory import picture

_NAME = "preview"
_TURN_S = 0.25

Each = Callable[[SharedFrame, Image | None], None]
"""Called with every frame and its image, uint8 [H, W, 3] BGR, which is valid during the call; None if it could not be
decoded."""


class Preview:
    """One source, open while a `with` block lasts. Not thread-safe.

    Attributes:
        feed: of the source.
        where: the source, without secrets.
        frames: so far.
        interruptions: why the connection was lost since the first frame, one line each.
    """

    def __init__(
        self, camera: Camera, each: Each, command: Sequence[str] = CAPTURE_PROCESS, *, declares: bool = False
    ) -> None:
        """Take the settings of a camera; the rest is as in `Feed`."""
        self.where = redact(str(camera.source))
        self._events: queue.SimpleQueue[FeedEvent] = queue.SimpleQueue()
        self.feed = Feed(_NAME, camera, self._events.put, self, command, declares=declares)
        self.frames = 0
        self.interruptions: list[str] = []
        self._each = each
        self._memories: dict[int, mmap.mmap] = {}

    def __enter__(self) -> Preview:  # noqa: PYI034 - typing.Self needs Python 3.11
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
        while not self.frames:
            left_s = until_s - time.monotonic()
            if left_s <= 0 and self.feed.looking:  # the reason is worth the wait, which is bounded
                left_s = _TURN_S
            if left_s <= 0 or not self.turn(left_s):
                remedy = "check that it is there and not in use, or give it longer by --timeout"
                raise SourceUnavailable(f"no picture in {timeout_s:g} s", where=self.where, remedy=remedy)

    def turn(self, timeout_s: float) -> bool:
        """Hand on the frames that are there, or wait for an event; return whether more may come.

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
        """Map a memory that frames will be in; for the feed's thread."""
        self._memories[memory] = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)

    def detach(self, memory: int) -> None:
        """Forget a memory that no frame is in; any thread."""
        self._memories.pop(memory, None)

    def _arrive(self) -> None:
        while (frame := self.feed.take()) is not None:
            self.frames += 1
            memory = self._memories.get(frame.memory)
            try:
                self._each(frame, None if frame.hw is None or memory is None else picture(memory, frame.slot, frame.hw))
            finally:
                self.feed.give_back(frame)

    def _note(self, event: FeedEvent) -> bool:
        match event:
            case FeedChanged(state=state, reason=reason, remedy=remedy) if state != "live":
                if not self.frames:
                    raise SourceUnavailable(reason, where=self.where, remedy=remedy or "see `patchedge doctor`")
                self.interruptions.append(scrub(reason))
            case FeedEnded(reason=reason, failed=failed):
                if failed and not self.frames:
                    raise SourceUnavailable(scrub(reason).removeprefix(f"{self.where}: "), where=self.where)
                return False
        return True
