"""One collection of normal frames of a camera, from a request to its end by number or time.

A frame is stored as `taught` if nothing speaks against it. It is set aside for a person if its score is over the
threshold, if an alert is open or may begin, and if one begins soon after it: something may be entering the picture.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from edge_config.wire.teaching import MAX_TEACHING, PictureKind, StoredPicture, Teach, TeachingState
from runtime.teaching.peaks import SeenFrame
from runtime.teaching.picture import iso_time, new_id
from runtime.teaching.shared_pictures import SharedPictures
from runtime.teaching.store import NewPicture
from runtime.teaching.store_thread import StoreThread

DEFAULT_FRAMES = 100
"""Number of frames of a collection, if the request names none."""

DEFAULT_EVERY_MS = 1000
"""Time between two of them, if the request names neither it nor a duration, milliseconds."""

BEFORE_NS = 1_000_000_000
"""Frames that were taken so long before an alert, or what may become one, are set aside."""

FULL = "learning.most_mb is reached: taught frames were deleted"
MAX_LOST = 10
"""A collection ends when so many frames could not be stored."""

_MS = 1_000_000  # nanoseconds


class _Recent(NamedTuple):
    id: str
    clock_ns: int


class Collection:
    """A collection of frames of one camera. Use it from the main loop's thread, but for what says otherwise.

    Attributes:
        reason: why it is over; empty while it runs.
    """

    def __init__(
        self, request: Teach, by: str, now_ns: int, wall_ns: int, pictures: SharedPictures, thread: StoreThread
    ) -> None:
        """Begin with the next frame.

        Args:
            request: what to collect.
            by: public key of the client that asked.
            now_ns: monotonic clock, nanoseconds.
            wall_ns: wall clock, nanoseconds since 1970 UTC.
            pictures: where frames are copied from.
            thread: stores them.
        """
        self.reason = ""
        self._camera, self._by = request.camera, by
        self._pictures, self._thread = pictures, thread
        lasts_ns = None if request.minutes is None else round(request.minutes * 60e9)
        self._wanted = request.frames or (DEFAULT_FRAMES if None in (lasts_ns, request.every_ms) else MAX_TEACHING)
        if request.every_ms is not None:
            self._every_ms = request.every_ms
        else:
            self._every_ms = DEFAULT_EVERY_MS if lasts_ns is None else lasts_ns // _MS // self._wanted
        self._ends_ns = None if lasts_ns is None else now_ns + lasts_ns
        self._ends = None if lasts_ns is None else iso_time(wall_ns + lasts_ns)
        self._next_ns: int | None = None  # of the frames' own clock
        self._recent: deque[_Recent] = deque()  # taught ones that may still be set aside
        self._handed: Counter[PictureKind] = Counter()
        self._first = new_id(wall_ns)  # all ids of it are later
        self._stored: Counter[PictureKind] = Counter()  # by the store's thread
        self._lost = 0  # by the store's thread
        self._crowded = False  # by the store's thread

    @property
    def state(self) -> TeachingState:
        """How far it is."""
        return TeachingState(
            camera=self._camera,
            state="over" if self.reason else "running",
            reason=self.reason,
            wanted=self._wanted,
            taught=self._stored["taught"],
            aside=self._stored["aside"],
            lost=self._lost,
            every_ms=self._every_ms,
            ends=self._ends,
            by=self._by,
        )

    def see(self, seen: SeenFrame, now_ns: int) -> None:
        """Take a frame, if it is due and there is room for it."""
        clock_ns = seen.frame.clock_ns
        if self.reason or not seen.judged or seen.score is None:
            return
        while self._recent and self._recent[0].clock_ns < clock_ns - BEFORE_NS:
            self._recent.popleft()
        if seen.alert is not None:
            self._set_aside()
        due = self._next_ns is None or clock_ns >= self._next_ns
        if due and self._handed.total() - self._lost < self._wanted and self._thread.has_room(seen.size):
            aside = seen.alert is not None or seen.score > seen.threshold
            if self._take(seen, seen.score, "aside" if aside else "taught"):
                self._next_ns = clock_ns + self._every_ms * _MS
        self.turn(now_ns)

    def turn(self, now_ns: int) -> None:
        """End it where its time is over, or all frames are stored."""
        if self.reason:
            return
        stored = self._stored.total()
        if stored >= self._wanted:
            self.end(f"{stored} frames are stored")
        elif self._lost >= MAX_LOST:
            self.end(f"{self._lost} frames could not be stored: {self._thread.problem}")
        elif self._crowded:
            self.end(FULL)
        elif self._ends_ns is not None and now_ns >= self._ends_ns:
            self.end("its time is over")

    def end(self, reason: str) -> None:
        """Take no more frames."""
        self.reason = self.reason or reason

    def gone(self, pictures: Iterable[StoredPicture]) -> None:
        """Take note of pictures that were deleted for want of room. In the store's thread."""
        mine = (one for one in pictures if one.camera == self._camera and one.id > self._first)
        self._crowded = self._crowded or any(one.kind in {"taught", "aside"} for one in mine)

    def _take(self, seen: SeenFrame, score: float, kind: PictureKind) -> bool:
        image = self._pictures.copy(seen.frame)
        if image is None:
            return False
        new = NewPicture(
            id=new_id(seen.frame.t_capture_ns),
            kind=kind,
            camera=seen.camera,
            image=image,
            t_capture_ns=seen.frame.t_capture_ns,
            frame=seen.frame.frame_id,
            score=score,
            threshold=seen.threshold,
            by=self._by,
            boxes=seen.boxes,
        )
        if not self._thread.put(partial(self._add, new), seen.size):
            return False
        self._handed[kind] += 1
        if kind == "taught":
            self._recent.append(_Recent(new.id, seen.frame.clock_ns))
        return True

    def _set_aside(self) -> None:
        """Set aside the frames just before an alert."""
        ids = [one.id for one in self._recent]
        self._recent.clear()
        if ids:
            self._thread.put(partial(self._move_aside, ids))

    def _add(self, new: NewPicture) -> None:
        """In the store's thread."""
        if self._thread.add(new) is None:
            self._lost += 1
        else:
            self._stored[new.kind] += 1

    def _move_aside(self, ids: list[str]) -> None:
        """In the store's thread."""
        store = self._thread.store
        for picture_id in ids:
            found = None if store is None else store.get(self._camera, picture_id)
            if store is not None and found is not None and found.kind == "taught" and not found.decided:
                store.change(found, kind="aside")
                self._stored["taught"] -= 1
                self._stored["aside"] += 1
