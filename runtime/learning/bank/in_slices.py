"""Work on slices of many rows, in as many threads as BLAS may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

T = TypeVar("T")


@contextmanager
def workers() -> Iterator[Executor]:
    """Yield as many threads as BLAS may use, and let it use none of its own meanwhile.

    One slice to each thread wastes nothing; BLAS would share out every small product, and spin while it waits: on cores
    that others use too, that took up to six times as long.
    """
    threads = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        yield pool


def each(pool: Executor, work: Callable[[slice], T], count: int, rows: int) -> list[T]:
    """Do some work for each slice of at most `rows` of range(count)."""
    return list(pool.map(work, slices(count, rows)))


def slices(count: int, rows: int) -> list[slice]:
    """Cut range(count) into slices of at most `rows`."""
    return [slice(start, start + rows) for start in range(0, count, rows)]
