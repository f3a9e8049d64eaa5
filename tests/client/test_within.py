"""Waiting for at most so long."""

from __future__ import annotations

import asyncio

import pytest

from runtime.client import within as waits
from runtime.client.within import ended, within

LONG_S = 60.0

STEPS = 8
"""Turns of the event loop, more than pass between an event and the end of a wait for it."""


@pytest.mark.parametrize("steps", range(STEPS))
def test_a_wait_is_cancelled_also_in_the_instant_of_its_event(steps: int) -> None:
    """A task that waits in a loop ends when cancelled, whichever turn of the event loop the cancellation comes in."""

    async def run() -> None:
        event = asyncio.Event()

        async def waiting() -> None:
            while True:
                await within(LONG_S, event.wait())
                event.clear()

        task = asyncio.create_task(waiting())
        for _ in range(STEPS):
            await asyncio.sleep(0)
        event.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        over, _ = await asyncio.wait([task], timeout=1.0)
        assert task in over

    asyncio.run(run())


def test_what_takes_too_long_is_cancelled_and_has_ended() -> None:
    """After the time-out nothing of it goes on."""
    over = []

    async def too_long() -> None:
        try:
            await asyncio.sleep(LONG_S)
        finally:
            over.append(True)

    async def run() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await within(0.01, too_long())

    asyncio.run(run())
    assert over


def test_a_task_that_drops_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that swallows a cancellation does not keep a program from its end."""
    monkeypatch.setattr(waits, "CANCEL_AGAIN_S", 0.01)
    dropped = []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(LONG_S)
        except asyncio.CancelledError:
            dropped.append(True)
        await asyncio.sleep(LONG_S)

    async def run() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await within(LONG_S / 2, ended(task))
        assert task.cancelled()

    asyncio.run(run())
    assert dropped


def test_a_result_and_an_error_come_through() -> None:
    """The caller gets what was returned or raised."""

    async def result(error: Exception | None) -> int:
        if error is not None:
            raise error
        return 7

    async def run() -> None:
        assert await within(None, result(None)) == 7
        with pytest.raises(ValueError, match="broken"):
            await within(LONG_S, result(ValueError("broken")))

    asyncio.run(run())
