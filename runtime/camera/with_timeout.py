"""A time-out for calls that have none, such as resolving a name; the time-outs of RTSP are in `sources/rtsp.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

T = TypeVar("T")


def with_timeout(do: Callable[[], T], seconds: float) -> T:
    """Call a function in a thread, and leave that behind after a time.

    Raises:
        TimeoutError: it takes longer.
    """
    answer: futures.Future[T] = futures.Future()

    def run() -> None:
        try:
            answer.set_result(do())
        except Exception as error:  # noqa: BLE001 - `result` raises it again
            answer.set_exception(error)

    threading.Thread(target=run, name="with time-out", daemon=True).start()
    try:
        return answer.result(seconds)
    except futures.TimeoutError:  # until Python 3.10 it is not the built-in one
        raise TimeoutError from None
