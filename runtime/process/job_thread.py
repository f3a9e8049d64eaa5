"""A thread that does jobs one after the other, so that whoever hands them over never waits for a disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import structlog

_log = structlog.get_logger()


class JobThread:
    """Does jobs in the order in which they came. Any thread may hand them over."""

    def __init__(self, name: str, max_waiting: int) -> None:
        """Begin to wait for jobs; the thread starts with the first one.

        Args:
            name: of the thread.
            max_waiting: maximum number of jobs that wait.
        """
        self._name = name
        self._max_waiting = max_waiting
        self._news = threading.Condition()  # over what follows
        self._jobs: deque[Callable[[], None]] = deque()
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, job: Callable[[], None]) -> bool:
        """Queue a job; return False if too many wait. Never waits."""
        with self._news:
            if self._closing or len(self._jobs) >= self._max_waiting:
                return False
            self._jobs.append(job)
            if self._thread is None:  # a disk may hang in the kernel: nothing waits for the thread at exit
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._news.notify_all()
        return True

    def close(self, timeout_s: float = 1.0) -> None:
        """Do what is queued, and end; wait for that at most `timeout_s`. Calling it twice is a no-op."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._jobs or self._closing)
                if not self._jobs:
                    return
                job = self._jobs.popleft()
            try:
                job()
            except Exception as error:  # noqa: BLE001 - one job that fails must not stop the others
                _log.error("a job failed", thread=self._name, problem=repr(error))
