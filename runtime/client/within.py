"""Wait for at most so long, and end when cancelled, also what libraries do.

Before Python 3.12 `asyncio.wait_for` drops a cancellation that comes in the instant in which what it waits for is done
(python/cpython issue 86296): a task that waits in a loop then goes on for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_AGAIN_S = 1.0
"""Time after which a task that goes on is cancelled again, seconds."""


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
            if not task.cancelled():
                task.exception()  # what came of it concerns nobody any more


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait for their end; one that drops the cancellation, as nats-py may, is cancelled again."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)  # else the errors of those that failed would be logged
