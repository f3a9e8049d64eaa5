"""Work on the disk, one piece after the other, in a thread of its own: the main loop never waits for a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

import structlog

CLOSE_S = 1.0
"""Time-out for the work that is left at the end."""


class DiskThread:
    """Executes calls in their order. Any thread may call."""

    def __init__(self) -> None:
        """Start the thread."""
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="versions", daemon=True)
        self._thread.start()

    def do(self, call: Callable[[], object]) -> None:
        """Queue a call; what it raises is logged."""
        self._calls.put(call)

    def close(self) -> None:
        """Do what is queued, and end; give up after `CLOSE_S` if the disk hangs."""
        self._calls.put(None)
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception:  # noqa: BLE001, PERF203 - the next call is done all the same
                structlog.get_logger().exception("work on learnt versions failed")
