"""Wait for at most so long, and end when cancelled.

Before Python 3.12 `asyncio.wait_for` drops a cancellation that comes in the instant in which what it waits for is done
(python/cpython issue 86296): a task that waits in a loop then goes on for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(seconds: float | None, awaited: Awaitable[T]) -> T:
    """Return the result of `awaited`, which is cancelled when time is over; None waits indefinitely.

    Raises:
        asyncio.TimeoutError: it did not end within `seconds`.
    """
    task = asyncio.ensure_future(awaited)
    try:
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
