"""One stage a step ahead of the next: nothing lost, nothing reordered, nothing left waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from runtime.camera.sources.prefetch import Prefetch

WAIT_S = 10.0
"""For what another thread does next: more means that it hangs."""

NEVER_S = 0.2
"""For what must not happen; a thread that is free to do it does so in far less."""

NAME = "ahead under test"


class Gated:
    """Numbers from 1, each of them computed only when the test lets it."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)
        self.done: list[int] = []

    def __iter__(self) -> Iterator[int]:
        """Say that a number is begun, and wait until it may be finished."""
        number = 0
        while True:
            number += 1
            self.begun.release()
            assert self.allowed.acquire(timeout=WAIT_S)
            self.done.append(number)
            yield number


class Reader(threading.Thread):
    """Asks once for the next item, in a thread of its own."""

    def __init__(self, ahead: Prefetch[int]) -> None:
        super().__init__(daemon=True)
        self.ahead = ahead
        self.got: int | None = None
        self.ended = False
        self.start()

    def run(self) -> None:
        """Keep the item, or that there is none."""
        try:
            self.got = next(self.ahead)
        except StopIteration:
            self.ended = True


def threads_of_ahead() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def wait_for_thread_end() -> None:
    for thread in threads_of_ahead():
        thread.join(WAIT_S)
        assert not thread.is_alive()


@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_all_items_come_in_order(count: int) -> None:
    """Whatever the length, every item comes once and in order, None among them, and the thread ends by itself."""
    items = [None if number % 7 == 3 else number for number in range(count)]
    assert list(Prefetch(items, NAME)) == items
    wait_for_thread_end()


def test_nothing_starts_before_the_first_item_is_asked_for() -> None:
    """What is made and never used computes nothing and has no thread."""
    gated = Gated()
    ahead = Prefetch(gated, NAME)
    assert not gated.begun.acquire(timeout=NEVER_S)
    assert threads_of_ahead() == []
    ahead.close()
    assert list(ahead) == []
    assert gated.done == []


def test_one_item_is_computed_while_the_last_is_used_and_no_more() -> None:
    """The next item is begun without being asked for, as soon as one is handed out; the one after it is not."""
    gated = Gated()
    ahead = Prefetch(gated, NAME)
    gated.allowed.release(100)
    for number in range(1, 4):
        assert next(ahead) == number
        # begun by now, and never more: this item and the one ahead of it
        for _ in range(2 if number == 1 else 1):
            assert gated.begun.acquire(timeout=WAIT_S)
        assert not gated.begun.acquire(timeout=NEVER_S)
        assert gated.done == list(range(1, number + 2))
    ahead.close()
    wait_for_thread_end()
    assert gated.done == [1, 2, 3, 4]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt("now")])
def test_error_arrives_where_its_item_would_have_come(error: BaseException) -> None:
    """What the items raise comes after every item before it, as the very same exception; then it is at its end."""

    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise error

    ahead = Prefetch(broken(), NAME)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(type(error)) as raised:
        next(ahead)
    assert raised.value is error
    assert list(ahead) == []
    wait_for_thread_end()


def test_end_is_for_good() -> None:
    """After the last item every further question is answered at once: there is none."""
    ahead = Prefetch([1], NAME)
    assert list(ahead) == [1]
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(ahead)
    ahead.close()
    with pytest.raises(StopIteration):
        next(ahead)


def test_close_wakes_who_waits() -> None:
    """A reader that waits for an item is told at once that none comes; the item in hand ends, and no other is begun."""
    gated = Gated()
    ahead = Prefetch(gated, NAME)
    reader = Reader(ahead)
    assert gated.begun.acquire(timeout=WAIT_S)
    ahead.close()
    reader.join(WAIT_S)
    assert (reader.ended, reader.got) == (True, None)
    assert len(threads_of_ahead()) == 1  # still inside the item
    gated.allowed.release(100)
    wait_for_thread_end()
    assert gated.done == [1]
    assert list(ahead) == []


def test_close_while_an_item_is_computed_ahead() -> None:
    """Closed between two items, it gives none any more, and its thread ends after the item that it is in."""
    gated = Gated()
    ahead = Prefetch(gated, NAME)
    gated.allowed.release()
    assert next(ahead) == 1
    for _ in range(2):
        assert gated.begun.acquire(timeout=WAIT_S)
    ahead.close()
    ahead.close()
    with pytest.raises(StopIteration):
        next(ahead)
    gated.allowed.release(100)
    wait_for_thread_end()
    assert gated.done == [1, 2]


def test_close_ends_a_thread_that_waits_to_be_asked() -> None:
    """With its item ready and nobody asking, the thread ends when it is closed."""
    gated = Gated()
    ahead = Prefetch(gated, NAME)
    gated.allowed.release(2)
    assert next(ahead) == 1
    for _ in range(2):
        assert gated.begun.acquire(timeout=WAIT_S)
    assert len(threads_of_ahead()) == 1
    ahead.close()
    wait_for_thread_end()
    assert list(ahead) == []
