"""A queue of the newest value per key: while one is being sent, newer ones replace each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Sends the newest value of each key, one at a time; what waits is one value for each key, however long it waits.

    Use it inside one event loop.
    """

    def __init__(self, send: Callable[[str, T], Awaitable[object]]) -> None:
        """Send by `send`, which retries until the value has arrived."""
        self._send = send
        self._waiting: dict[str, tuple[T, asyncio.Future[None]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def put(self, key: str, value: T) -> asyncio.Future[None]:
        """Send a value; the future is done when it has arrived, or a newer one of the same key."""
        earlier = self._waiting.get(key)
        arrived = earlier[1] if earlier else asyncio.get_running_loop().create_future()
        self._waiting[key] = value, arrived
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._deliver(key))
        return arrived

    async def close(self) -> None:
        """Drop what has not arrived."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, key: str) -> None:
        while key in self._waiting:
            value, arrived = self._waiting.pop(key)
            await self._send(key, value)
            if not arrived.done():
                arrived.set_result(None)
        del self._tasks[key]
