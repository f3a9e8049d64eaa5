"""Waiting for what workers compute, as long as there are workers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from edge_config.errors import UnavailableError

if TYPE_CHECKING:
    from distributed import Future

WORKERLESS_S = 120
"""Time without any worker after which none is expected any more: a machine or a container starts anew within it."""

LOOK_S = 5
"""Time after which the workers are counted, where nothing is done meanwhile."""


def completed(futures: Sequence[Future[Any]]) -> Iterator[Future[Any]]:
    """Yield futures as they are done.

    Raises:
        UnavailableError: all workers are gone, and none comes.
    """
    left = list(futures)
    seen = time.monotonic()  # when something was done, or a worker was there
    while left:
        if _wait(left):
            seen = time.monotonic()
        elif time.monotonic() - seen > WORKERLESS_S:
            raise UnavailableError(
                "all workers of the cluster are gone, and none has come back",
                remedy="look at their logs: is it memory?",
            )
        done = {one.key for one in left if one.status != "pending"}
        yield from (one for one in left if one.key in done)
        left = [one for one in left if one.key not in done]


def result_of(future: Future[Any]) -> Any:
    """Return what a task gave.

    Raises:
        UnavailableError: workers died at it again and again, or are gone.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    for _ in completed([future]):
        pass
    try:
        return future.result()
    except (KilledWorker, CancelledError) as error:
        raise dying() from error


def dying() -> UnavailableError:
    """Return the error of workers that do not live long enough."""
    return UnavailableError(
        "the workers of the cluster die again and again", remedy="look at their logs: is it memory? Use more workers"
    )


def _wait(futures: list[Future[Any]]) -> bool:
    """Wait until one of them is done, for `LOOK_S` at most; return whether one is, or workers are there."""
    from concurrent.futures import CancelledError

    from distributed import wait

    try:
        wait(futures, timeout=LOOK_S, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
    except CancelledError:
        return True  # its result says so
    except TimeoutError:
        return bool(futures[0].client.nthreads())
    return True
