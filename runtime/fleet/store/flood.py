"""The newest entry of each key, given out at a bounded rate: of a flood of changes a device sees the newest only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from edge_config.fleet_errors import AssignmentFlood, FleetError
from runtime.fleet.store.newest import StreamEntry

MAX_CHANGES = 30
"""Changes of keys that are given out in `PER_S` seconds."""

PER_S = 60.0
MAX_KEYS = 1024
"""Keys of one device; further ones are not looked at."""


class NewestOfEach:
    """Takes entries as they come, and gives out the newest of each key. Use it inside one event loop."""

    def __init__(self, refused: Callable[[FleetError], None]) -> None:
        """Set it up; `refused` is told of a flood, once in `PER_S` seconds."""
        self._refused = refused
        self._waiting: dict[str, StreamEntry] = {}
        self._given: dict[str, int] = {}
        self._changes: deque[float] = deque()
        self._told_s = float("-inf")
        self._some = asyncio.Event()

    def put(self, entry: StreamEntry) -> None:
        """Take an entry, in place of an older one of the same key that was not given out yet."""
        if entry.subject not in self._given and len(self._given.keys() | self._waiting.keys()) >= MAX_KEYS:
            self._tell(f"more than {MAX_KEYS} keys")
            return
        self._waiting[entry.subject] = entry
        self._some.set()

    async def get(self) -> StreamEntry:
        """Return an entry, and wait for one; of a key that changes too often in time."""
        while True:
            await self._some.wait()
            subject = next(iter(self._waiting))
            if (wait_s := self._wait_s(self._waiting[subject])) <= 0:
                break
            self._tell(f"more than {MAX_CHANGES} changes in {PER_S:g} s")
            await asyncio.sleep(wait_s)
        entry = self._waiting.pop(subject)
        self._given[subject] = entry.seq
        if not self._waiting:
            self._some.clear()
        return entry

    def _wait_s(self, entry: StreamEntry) -> float:
        """Return how long a change has to wait; what is new or known costs nothing."""
        if self._given.get(entry.subject, entry.seq) == entry.seq:
            return 0
        now_s = asyncio.get_running_loop().time()
        while self._changes and self._changes[0] <= now_s - PER_S:
            self._changes.popleft()
        if len(self._changes) < MAX_CHANGES:
            self._changes.append(now_s)
            return 0
        return self._changes[0] + PER_S - now_s

    def _tell(self, what: str) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= PER_S:
            self._told_s = now_s
            self._refused(AssignmentFlood(f"{what}: the newest of each are taken, in time", where="assignments"))
