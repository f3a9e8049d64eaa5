"""Stored pictures for tests: new ones, and a thread that does each job at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge_config.wire.teaching import PictureKind, StoredPicture
from runtime.frame import Alert, Image, SharedFrame
from runtime.teaching.peaks import SeenFrame
from runtime.teaching.picture import new_id
from runtime.teaching.store import NewPicture, PictureStore

DAY_NS = 86_400_000_000_000
NOW_NS = 20_000 * DAY_NS
THRESHOLD = 10.0
HW = (12, 16)


def image(seed: int) -> Image:
    """Make a frame of noise: its PNG is about as large as itself."""
    return np.random.default_rng(seed).integers(0, 256, (*HW, 3), np.uint8)


def new(kind: PictureKind, seed: int = 0, *, camera: str = "top", days: float = 0, **fields: Any) -> NewPicture:
    """Return a picture to be stored that was taken so many days ago."""
    t_ns = NOW_NS - round(days * DAY_NS) + seed * 1_000_000
    given = {"frame": seed, "score": 1.0, "threshold": THRESHOLD, **fields}
    return NewPicture(new_id(t_ns), kind, camera, image(seed), t_ns, **given)


class Open(Protocol):
    """Opens a store whose clock stands at `NOW_NS`, and which is closed after the test."""

    def __call__(self, folder: Path, max_bytes: int = 1 << 30, max_days: float = 30) -> PictureStore: ...


class Memory:
    """Stands in the place of the shared memory: each frame has a picture of its own."""

    def __init__(self) -> None:
        self.copied: list[int] = []

    def copy(self, frame: SharedFrame, _into: Image | None = None) -> Image:
        self.copied.append(frame.frame_id)
        return image(frame.frame_id)


class DirectThread:
    """A `StoreThread` without a thread: `busy` has no room, and `full` stores nothing."""

    def __init__(self, store: PictureStore) -> None:
        self.store = store
        self.busy = self.full = False
        self.problem = "No space left on device"
        self.gone: Callable[[Iterable[StoredPicture]], None] = list

    def has_room(self, _size: int) -> bool:
        return not self.busy

    def put(self, do: Callable[[], None], _size: int = 0) -> bool:
        do()
        return True

    def add(self, new_: NewPicture) -> StoredPicture | None:
        if self.full:
            return None
        picture = self.store.add(new_)
        self.gone(self.store.make_room())
        return picture


BOXES = ((1, 2, 3, 4),)
"""Of every frame."""


def alert(number: int = 1) -> Alert:
    """Return an alert, or what may become one."""
    return Alert(f"alert-{number}", "start", NOW_NS, 20.0, 1)


def seen(number: int, score: float, *, alert_: Alert | None = None, is_open: bool = False, **more: Any) -> SeenFrame:
    """Return a frame that was decided on: number n was taken n seconds after the start."""
    t_ns = NOW_NS + number * 1_000_000_000
    frame = SharedFrame(1, 0, HW, number, t_ns, number * 1_000_000_000)
    return SeenFrame("top", frame, score, THRESHOLD, more.get("judged", True), alert_, is_open, BOXES)
