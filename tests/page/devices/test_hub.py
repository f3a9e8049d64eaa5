"""News for browsers: bounded, and never old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from runtime.page.devices import hub
from runtime.page.devices.hub import MAX_ALERTS, MAX_BROWSERS, Hub, TooManyBrowsers


class Said(msgspec.Struct):
    """A piece of news."""

    n: int


def run(use: Callable[[Hub], Coroutine[Any, Any, Any]]) -> Any:
    async def inside() -> Any:
        return await use(Hub())

    return asyncio.run(inside())


def test_newer_news_take_the_place_of_older() -> None:
    """A browser that has not read for long gets the latest of each camera and kind, once, and no queue."""

    async def use(news: Hub) -> bytes | None:
        mailbox = news.join(["a"])
        for number in range(1000):
            news.tell("camera", "a", Said(number))
            news.tell("camera", "b", Said(-number))
            news.show("a", lambda: Said(number))  # noqa: B023 - made at once
        return await mailbox.take()

    text = run(use) or b""
    assert text.count(b"event: ") == 3
    assert b'event: preview\ndata: {"n":999}\n\n' in text
    assert b'event: camera\ndata: {"n":999}\n\n' in text
    assert b'event: camera\ndata: {"n":-999}\n\n' in text


def test_alerts_are_all_told_up_to_a_bound() -> None:
    """Alerts do not replace each other; of more than a mailbox holds the latest are kept."""

    async def use(news: Hub) -> bytes | None:
        mailbox = news.join()
        for number in range(MAX_ALERTS + 10):
            news.tell_alert(Said(number))
        return await mailbox.take()

    text = run(use) or b""
    assert text.count(b"event: alert") == MAX_ALERTS
    assert text.endswith(b'data: {"n":%d}\n\n' % (MAX_ALERTS + 9))


def test_a_picture_is_made_once_and_only_if_somebody_watches() -> None:
    """Two browsers that watch a camera share one encoded picture; of a camera that nobody watches none is made."""
    made: list[int] = []

    async def use(news: Hub) -> list[bytes | None]:
        def make() -> Said:
            made.append(1)
            return Said(1)

        one, other, blind = news.join(["a"]), news.join(["a", "b"]), news.join()
        news.show("a", make)
        news.show("c", make)
        news.tell_alert(Said(2))
        return [await one.take(), await other.take(), await blind.take()]

    one, other, blind = run(use)
    assert one == other
    assert b"preview" not in (blind or b"")
    assert len(made) == 1


def test_a_picture_of_a_camera_that_is_gone_is_dropped() -> None:
    """What was not taken before the camera went away is never shown."""

    async def use(news: Hub) -> bytes | None:
        mailbox = news.join(["a"])
        news.show("a", lambda: Said(1))
        news.drop_picture("a")
        news.tell("camera", "a", Said(2))
        return await mailbox.take()

    assert b"preview" not in run(use)


def test_the_rate_of_pictures_is_bounded() -> None:
    """Of pictures that come faster than a browser wants them, it gets the latest at its own pace."""

    async def use(news: Hub) -> tuple[int, float]:
        mailbox = news.join(["a"], rate=10)
        begin, count = asyncio.get_running_loop().time(), 0

        async def show() -> None:
            for number in range(100):
                news.show("a", lambda: Said(number))  # noqa: B023 - made at once
                await asyncio.sleep(0.005)

        showing = asyncio.create_task(show())
        while not showing.done():
            count += b"preview" in (await mailbox.take() or b"")
        return count, asyncio.get_running_loop().time() - begin

    count, took_s = run(use)
    assert 1 <= count <= 1 + took_s / 0.08


def test_who_is_watched() -> None:
    """The cameras that somebody watches are told when they change, and only then."""
    told: list[set[str]] = []

    async def use() -> None:
        news = Hub(lambda keys: told.append(set(keys)))
        one = news.join(["a"])
        other = news.join(["a", "b"])
        news.leave(one)
        news.leave(other)

    asyncio.run(use())
    assert told == [{"a"}, {"a", "b"}, set()]


def test_a_comment_is_sent_where_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without news is kept alive, and an end is told at once."""
    monkeypatch.setattr(hub, "HEARTBEAT_S", 0.01)

    async def use(news: Hub) -> tuple[bytes | None, bytes | None]:
        mailbox = news.join()
        first = await mailbox.take()
        news.end()
        return first, await mailbox.take()

    first, last = run(use)
    assert (first or b"").startswith(b":")
    assert last is None


def test_browsers_are_bounded() -> None:
    """One more than may watch is refused, until another leaves."""

    async def use(news: Hub) -> None:
        mailboxes = [news.join() for _ in range(MAX_BROWSERS)]
        with pytest.raises(TooManyBrowsers):
            news.join()
        news.leave(mailboxes[0])
        news.join()

    run(use)
