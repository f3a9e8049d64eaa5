"""Prefetch: compute the next item in a thread while the one before it is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Iterate over `items`, each computed while the one before it is used.

    Never more than one step ahead, so that nothing grows old in between. The thread starts with the first item that is
    asked for. What `items` raises is raised where its item would have come.
    """

    def __init__(self, items: Iterable[T], name: str) -> None:
        """Take the items; `name` is the thread's."""
        self._items = iter(items)
        self._computed: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        self._wanted = threading.Semaphore(1)
        self._closed = False
        # The computation may hang, as on a disk that is gone; as a daemon the thread then holds up no exit.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = False

    def __iter__(self) -> Iterator[T]:
        """Return itself."""
        return self

    def __next__(self) -> T:
        """Wait for the next item, and have the one after it computed."""
        if self._closed:
            raise StopIteration
        if not self._started:
            self._started = True
            self._thread.start()
        item, error = self._computed.get()
        if error is not None:
            self._closed = True
            raise error
        self._wanted.release()
        return item  # type: ignore[return-value]  # None only together with an error

    def close(self) -> None:
        """Compute no more, and end a wait for the next item. Thread-safe."""
        self._closed = True
        self._wanted.release()
        self._computed.put((None, StopIteration()))

    def _run(self) -> None:
        try:
            while self._wanted.acquire() and not self._closed:
                self._computed.put((next(self._items), None))
        except BaseException as error:  # noqa: BLE001 - StopIteration too: it goes to the consumer
            self._computed.put((None, error))
