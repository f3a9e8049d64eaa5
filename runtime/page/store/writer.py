"""The one thread that writes to the store: pieces of work in their order, several in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from runtime.page.store.database import open_to_write
from runtime.page.store.prune import StorePruner

EVERY_S = 60.0
"""Interval of pruning, and of a new try where the disk was full."""

MAX_TOGETHER = 64
"""Maximum number of pieces of work in one transaction."""

MAX_WAITING = 2000
"""Maximum number of pieces of work that wait for a disk that is slow; further ones are refused."""

Work = Callable[[sqlite3.Connection], Any]


class NotStored(Exception):
    """The store cannot be written: why."""


class Writer:
    """Writes in a thread of its own.

    Attributes:
        problem: why nothing can be stored; empty if it can.
    """

    def __init__(self, path: Path, pruner: StorePruner) -> None:
        """Do nothing yet."""
        self.problem = ""
        self._path, self._pruner = path, pruner
        self._queue: SimpleQueue[tuple[Work, Future[Any]] | None] = SimpleQueue()
        self._db: sqlite3.Connection | None = None
        self._opened = threading.Event()
        self._next_s = 0.0
        self._thread = threading.Thread(target=self._run, name="page store", daemon=True)

    def start(self) -> None:
        """Start, and wait until the file is open, or cannot be."""
        self._thread.start()
        self._opened.wait()

    def put(self, work: Work) -> Future[Any]:
        """Have a piece of work done; the future has its result, or raises NotStored. Never waits."""
        future: Future[Any] = Future()
        if self._queue.qsize() >= MAX_WAITING:
            future.set_exception(NotStored("the disk is too slow"))
        else:
            self._queue.put((work, future))
        return future

    async def do(self, work: Work) -> Any:
        """Have a piece of work done, and return its result.

        Raises:
            NotStored: it was not stored.
        """
        return await asyncio.wrap_future(self.put(work))

    def close(self) -> None:
        """Do what is left, and close the file."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        self._try_open()
        self._opened.set()
        ending = False
        while not ending:
            together, ending = self._collect()
            if together:
                self._do(together)
            if not ending and time.monotonic() >= self._next_s:
                self._next_s = time.monotonic() + EVERY_S
                self._housekeep()
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()

    def _collect(self) -> tuple[list[tuple[Work, Future[Any]]], bool]:
        """Wait for work; return what is there, and whether it is the last."""
        together: list[tuple[Work, Future[Any]]] = []
        try:
            one = self._queue.get(timeout=max(0.0, min(EVERY_S, self._next_s - time.monotonic())))
            while one is not None:
                if one[1].set_running_or_notify_cancel():
                    together.append(one)
                if len(together) >= MAX_TOGETHER:
                    return together, False
                one = self._queue.get_nowait()
        except Empty:
            return together, False
        return together, True

    def _do(self, together: list[tuple[Work, Future[Any]]]) -> None:
        results: list[Any] = []
        try:
            if self._db is None:
                raise sqlite3.OperationalError(self.problem)  # noqa: TRY301 - all that fails is told in one place
            self._db.execute("BEGIN IMMEDIATE")
            results = [work(self._db) for work, _ in together]
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            if len(together) > 1:  # one that cannot be done does not take others with it
                for one in together:
                    self._do([one])
                return
            self._fails(error)
            together[0][1].set_exception(NotStored(str(error)))
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the thread
            self._roll_back()
            structlog.get_logger().exception("the store of the page failed")
            for _, future in together:
                future.set_exception(NotStored(repr(error)))
            return
        self._works()
        for (_, future), result in zip(together, results, strict=True):
            future.set_result(result)

    def _housekeep(self) -> None:
        if self._db is None:
            self._try_open()
        if self._db is not None:
            try:
                self._pruner.prune(self._db, time.time_ns())
            except sqlite3.Error as error:
                self._roll_back()
                self._fails(error)

    def _try_open(self) -> None:
        try:
            self._db = open_to_write(self._path)
            self._works()
        except (sqlite3.Error, OSError) as error:
            self._fails(error)

    def _roll_back(self) -> None:
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def _fails(self, error: Exception) -> None:
        if not self.problem:
            structlog.get_logger().error(
                "the page cannot store anything, and goes on without", problem=str(error), file=str(self._path)
            )
        self.problem = str(error)

    def _works(self) -> None:
        if self.problem:
            structlog.get_logger().info("the page stores again")
        self.problem = ""
