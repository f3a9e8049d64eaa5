"""The thread that writes, judges and deletes stored pictures, and deletes old clips: the main loop never waits for it.

If the disk fails, pictures are lost and counted, and nothing else: the cameras go on.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

from edge_config.errors import NotWritten
from edge_config.settings.sections import Clips
from edge_config.wire.teaching import StoredPicture
from runtime.clips.folder import keep_within
from runtime.teaching.dropping import RANKS, rank
from runtime.teaching.store import NewPicture, PictureStore

MAX_WAITING_BYTES = 64 << 20
"""Maximum size of the frames that wait to be written; there is always room for one."""

MAX_JOBS = 500
"""Maximum number of jobs that wait."""

TEND_S = 600.0
"""Interval between looks for pictures and clips that are too old, seconds."""

RETRY_S = 30.0
"""Interval between tries to open a folder that cannot be used, seconds."""

_log = structlog.get_logger()


class _Job(NamedTuple):
    do: Callable[[], None]
    size: int


class StoreThread:
    """Does jobs one after the other, in the order in which they came.

    Attributes:
        store: the stored pictures; None: there is no folder for them.
        problem: why pictures cannot be stored, in one line; empty if they can.
        opened: the stored pictures are known.
        lost: number of pictures that could not be written.
        deleted: number of pictures deleted as they were too old or too many.
    """

    def __init__(
        self,
        store: PictureStore | None,
        clips: Clips,
        gone: Callable[[Iterable[StoredPicture]], None],
        problem: str = "",
    ) -> None:
        """Open the store, in the thread.

        Args:
            store: the stored pictures.
            clips: settings of the clips.
            gone: called, in the thread, with pictures that were deleted because there were too many.
            problem: why there is no store.
        """
        self.store = store
        self.problem = problem
        self.lost = self.deleted = 0
        self._clips = clips
        self._gone = gone
        self.opened = False
        self._due_s = 0.0
        self._news = threading.Condition()  # over what follows
        self._jobs: deque[_Job] = deque()
        self._bytes = 0
        self._closing = False
        # A write may hang in the kernel: nothing waits for the thread at exit.
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def has_room(self, size: int) -> bool:
        """Return whether a frame of so many bytes may be handed over now."""
        with self._news:
            few = len(self._jobs) < MAX_JOBS
            return few and (not self._bytes or self._bytes + size <= MAX_WAITING_BYTES)

    def put(self, do: Callable[[], None], size: int = 0) -> bool:
        """Queue a job, which holds a frame of so many bytes; False if too many wait. Never waits."""
        with self._news:
            if len(self._jobs) >= MAX_JOBS or self._closing:
                return False
            self._jobs.append(_Job(do, size))
            self._bytes += size
            self._news.notify_all()
        return True

    def add(self, new: NewPicture) -> StoredPicture | None:
        """Store a picture, and delete what is too much then; None if it could not be stored. In the thread."""
        if self.store is None or not self.opened:
            self.lost += 1
            return None
        try:
            picture = self.store.add(new)
            self._make_room(self.store)
        except NotWritten as error:
            self.lost += 1
            self._change(str(error))
            return None
        self._change("")
        return picture

    def close(self, timeout_s: float) -> None:
        """Do what waits, and stop; give up after this time if the disk hangs."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.error("stored pictures given up: the disk does not respond", waiting=len(self._jobs))

    def _run(self) -> None:
        while True:
            self._tend()
            with self._news:
                if not (self._jobs or self._closing):
                    self._news.wait(max(0.0, self._due_s - time.monotonic()))
                if not self._jobs and self._closing:
                    break
                job = self._jobs.popleft() if self._jobs else None
            if job is not None:
                self._do(job)
        if self.store is not None:
            self.store.close()

    def _do(self, job: _Job) -> None:
        try:
            job.do()
        except NotWritten as error:
            self._change(str(error))
        except Exception as error:  # noqa: BLE001 - a mistake of ours costs a picture, not the thread
            _log.error("internal error of stored pictures", problem=repr(error))
        with self._news:
            self._bytes -= job.size

    def _tend(self) -> None:
        """Open the store, and delete what is too old, once in a while."""
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + TEND_S
        if self.store is not None:
            try:
                if not self.opened:
                    self.store.open()
                    self.opened = True
                    self._change("")
                self._delete_old(self.store)
                self._make_room(self.store)
            except (NotWritten, OSError) as error:
                self._due_s = time.monotonic() + RETRY_S
                self._change(str(error))
        if self._clips.folder:
            try:
                keep_within(
                    Path(self._clips.folder), self._clips.most, self._clips.most_mb << 20, self._clips.most_days
                )
            except OSError as error:
                _log.warning("old clips cannot be deleted", folder=self._clips.folder, problem=str(error))

    def _delete_old(self, store: PictureStore) -> None:
        old = store.delete_old()
        self.deleted += len(old)
        if old:
            _log.info("stored pictures deleted", key="learning.most_days", **_counted(old))

    def _make_room(self, store: PictureStore) -> None:
        many = store.make_room()
        self.deleted += len(many)
        if many:
            say = _log.warning if max(map(rank, many)) >= RANKS.index("to learn") else _log.info
            say("stored pictures deleted", key="learning.most_mb", **_counted(many))
            self._gone(many)

    def _change(self, problem: str) -> None:
        """Take note of a new problem, or of the end of one, and log it."""
        if problem and not self.problem:  # once: each names another file
            _log.warning("pictures cannot be stored", problem=problem)
        elif self.problem and not problem:
            _log.info("pictures are stored")
        self.problem = problem


def _counted(pictures: list[StoredPicture]) -> dict[str, object]:
    cameras = sorted({one.camera for one in pictures})
    return {"pictures": len(pictures), "kinds": dict(Counter(one.kind for one in pictures)), "cameras": cameras}
