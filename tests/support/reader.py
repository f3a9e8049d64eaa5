"""What reads a feed in tests, as the main thread of the runtime does."""

from __future__ import annotations

import mmap
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from edge_config.settings.sections import Camera, Clips
from runtime.camera.feed import NO_CLIPS, Feed
from runtime.camera.supervisor import CLOSE_S
from runtime.events import FeedChanged, FeedEnded, FeedEvent, FrameArrived
from runtime.frame import Image, SharedFrame
from runtime.process.child import module
from runtime.process.shared_memory import picture
from tests.support.fakes.camera import COMMAND, PICTURE, Remote

ENOUGH_S = 20.0
"""For an event that comes soon unless something hangs."""

REAL = module("runtime.camera.capture_process")

SOON = {"stall_ms": 500, "reconnect_min_s": 0.01, "reconnect_max_s": 0.05}
PATIENT = {**SOON, "stall_ms": 60_000}

E = TypeVar("E")


class Unread:
    """Shared memories that nothing reads frames from."""

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        pass

    def detach(self, memory: int) -> None:
        pass


class Reader:
    """What the main thread does with a feed: it maps memories, hears events and takes frames."""

    def __init__(
        self, source: int | str, command: tuple[str, ...] = COMMAND, clips: Clips = NO_CLIPS, **settings: Any
    ) -> None:
        self.inbox: queue.SimpleQueue[FeedEvent] = queue.SimpleQueue()
        camera = Camera(source=source, **settings)
        self.feed = Feed("front", camera, self.inbox.put, self, command, random=Random(0), clips=clips)  # noqa: S311
        self.maps: dict[int, mmap.mmap] = {}
        self.gone: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.past: list[FeedEvent] = []
        self.shots = 0

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        """Map a memory, as the inference worker does."""
        self.maps[memory] = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)

    def detach(self, memory: int) -> None:
        """Forget a memory; its number is put in `gone`."""
        self.maps.pop(memory).close()
        self.gone.put(memory)

    def hear(self, kind: type[E], fits: Callable[[E], bool] = lambda _: True) -> E:
        """Return the next event of a kind, and let all before it pass."""
        while True:
            try:
                event = self.inbox.get(timeout=ENOUGH_S)
            except queue.Empty:
                pytest.fail(f"no {kind.__name__} came after {self.past}")
            self.past.append(event)
            if isinstance(event, kind) and fits(event):
                return event

    def state(self, state: str) -> str:
        """Wait for a state; give its reason."""
        return self.hear(FeedChanged, lambda event: event.state == state).reason

    def next(self) -> SharedFrame:
        """Wait for a frame and take it."""
        while True:
            self.hear(FrameArrived)
            frame = self.feed.take()
            if frame is not None:  # else it was taken in the place of one before it
                return frame

    def shoot(self, remote: Remote, doing: bytes = PICTURE) -> SharedFrame:
        """Have a camera do this until a frame arrives: a slot that was just given back may not be free yet."""
        while True:
            missed = self.feed.dropped["no slot"]
            self.shots += 1
            remote.do(doing)
            wait_until(lambda seen=missed: not self.inbox.empty() or self.feed.dropped["no slot"] > seen)
            if not self.inbox.empty():
                return self.next()

    def look(self, frame: SharedFrame) -> Image:
        """Copy the picture of a frame, and give the frame back."""
        assert frame.hw is not None
        image = picture(self.maps[frame.memory], frame.slot, frame.hw).copy()
        self.feed.give_back(frame)
        return image

    def close(self) -> None:
        """End the feed, and hear what is left."""
        began = time.monotonic()
        self.feed.close()
        assert time.monotonic() - began < CLOSE_S + 0.2
        self.inbox.put(FeedEnded("", "", failed=False))
        self.hear(FeedEnded, lambda event: not event.camera)


@contextmanager
def reading(source: int | str, command: tuple[str, ...] = COMMAND, **settings: Any) -> Iterator[Reader]:
    reader = Reader(source, command, **settings)
    reader.feed.start()
    try:
        yield reader
    finally:
        reader.close()


def wait_until(fits: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    late = time.monotonic() + ENOUGH_S
    while not fits():
        assert time.monotonic() < late
        time.sleep(0.002)


def read_of_process(pid: int, name: str) -> str:
    """Return a file of a process in /proc; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
