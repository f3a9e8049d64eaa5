"""A time-out for calls that have none, such as resolving a name."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def with_timeout(do: Callable[[], T], seconds: float) -> T:
    """Call a function in a thread, and leave that behind after a time.

    Raises:
        TimeoutError: it takes longer.
    """
    answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((do(), None))
        except Exception as error:  # noqa: BLE001 - it is raised again below
            answers.put((None, error))

    threading.Thread(target=run, name="diagnose", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # None is what the function returned then
