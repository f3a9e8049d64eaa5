"""Small pictures, made by a child that may die."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

import cv2
import numpy as np
import pytest

from runtime.page.media.thumbnails import MAX_WAITING, Thumbnails
from runtime.page.refused import Refused

pytestmark = pytest.mark.slow

LOSS = 6.0
"""Grey levels by which a flat picture may change."""


def png(level: int, hw: tuple[int, int] = (300, 400)) -> Callable[[], Awaitable[bytes]]:
    """Return what gets a picture of one grey."""
    return giving(cv2.imencode(".png", np.full((*hw, 3), level, np.uint8))[1].tobytes())


def giving(data: bytes) -> Callable[[], Awaitable[bytes]]:
    async def get() -> bytes:
        return data

    return get


def doing(code: str) -> Sequence[str]:
    """Return the command of a child that does this."""
    return sys.executable, "-c", f"import os, signal, sys, time; {code}"


def test_many_pictures_come_back_small_and_in_order() -> None:
    """Each answer is of its own picture, in its width; one that is no picture is None and harms no other; a small one
    is not enlarged.
    """

    async def make() -> list[bytes | None]:
        small = Thumbnails()
        asked = [png(50), giving(b"no picture"), png(100), png(150, (30, 40)), png(200)]
        made = await asyncio.gather(*(small.make(one, 100) for one in asked))
        assert small.is_running
        await small.close()
        assert not small.is_running
        assert made[1][0] == b"no picture"
        return [jpeg for _, jpeg in made]

    made = asyncio.run(make())
    assert made.pop(1) is None
    shown = [cv2.imdecode(np.frombuffer(one or b"", np.uint8), cv2.IMREAD_COLOR) for one in made]
    assert [one.shape for one in shown] == [(75, 100, 3), (75, 100, 3), (30, 40, 3), (75, 100, 3)]
    assert [abs(one.mean() - level) <= LOSS for one, level in zip(shown, (50, 100, 150, 200), strict=True)] == [
        True
    ] * 4


@pytest.mark.parametrize(
    "code", ["time.sleep(60)", "os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(12)", "print('x' * 8)", "os.close(0)"]
)
def test_child_that_fails_is_no_picture(code: str) -> None:
    """A child that hangs, dies or answers nonsense makes no picture, and the next one is started for the next."""

    async def make() -> None:
        small = Thumbnails(doing(code), make_s=2.0)
        assert (await small.make(png(50), 100))[1] is None
        assert (await small.make(png(50), 100))[1] is None
        assert not small.is_running

    asyncio.run(make())


def test_child_ends_when_idle_and_starts_again() -> None:
    """After a while without a picture there is no child; the next picture has one."""

    async def make() -> None:
        small = Thumbnails(idle_s=0.05)
        assert (await small.make(png(50), 100))[1]
        while small.is_running:  # noqa: ASYNC110 - its end is no event of ours
            await asyncio.sleep(0.01)
        assert (await small.make(png(50), 100))[1]
        await small.close()

    asyncio.run(make())


def test_too_many_are_refused() -> None:
    """One more than may wait is refused at once."""

    async def make() -> None:
        small = Thumbnails()
        tasks = [asyncio.create_task(small.make(png(50), 100)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="too many"):
            await small.make(png(50), 100)
        assert all(jpeg for _, jpeg in await asyncio.gather(*tasks))
        await small.close()

    asyncio.run(make())
