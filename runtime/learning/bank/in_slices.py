"""Work on slices of many rows, in as many threads as BLAS may use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

T = TypeVar("T")
R = TypeVar("R")


class Pool(Protocol):
    """Threads."""

    def map(self, work: Callable[[T], R], items: Iterable[T], /) -> Iterable[R]:
        """Return what some work gives for each item, in order."""


class Threads:
    """Threads that are there only while something is done.

    Attributes:
        count: number of them.
    """

    def __init__(self, count: int) -> None:
        """Work with so many of them."""
        self.count = count

    def map(self, work: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield what some work gives for each item, in order."""
        if self.count == 1:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(self.count) as pool:
            yield from pool.map(work, items)


ONE_THREAD = Threads(1)


def in_turn(count: int, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what some work gives for each item, in order, by `count` threads: of large items only one more is taken."""
    if count == 1:
        yield from map(work, items)
        return
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count) as pool:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


@contextmanager
def workers() -> Iterator[Pool]:
    """Yield as many threads as BLAS may use, and let it use none of its own meanwhile.

    One slice to each thread wastes nothing; BLAS would share out every small product, and spin while it waits: on cores
    that others use too, that took up to six times as long.
    """
    threads = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        yield pool


def each(pool: Pool, work: Callable[[slice], T], count: int, rows: int) -> list[T]:
    """Do some work for each slice of at most `rows` of range(count)."""
    return list(pool.map(work, slices(count, rows)))


def slices(count: int, rows: int) -> list[slice]:
    """Cut range(count) into slices of at most `rows`."""
    return [slice(start, start + rows) for start in range(0, count, rows)]
