"""The subscriber for asyncio.

    async with AsyncSubscriber("tcp://line-3:5556", control="tcp://line-3:5557", name="hall") as alerts:
        async for received in alerts:
            await handle(received.message)
            await alerts.acknowledge(received)

A waiting call can be cancelled at any moment: a message is taken from the socket and delivered in one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import zmq

from edge_config.errors import MessageError
from runtime.client.base import CLOSE_S, TURN_S, BaseSubscriber
from runtime.client.received import Received
from runtime.client.within import within


class AsyncSubscriber(BaseSubscriber, AbstractAsyncContextManager["AsyncSubscriber"]):
    """As `Subscriber`, within one event loop. Several tasks may use it; each message goes to one."""

    def _opened(self) -> None:
        self._connection.before_renewal = self._unwatch
        self._news = asyncio.Event()
        self._waiting = 0
        self._watched: set[int] = set()

    async def receive(self, timeout_s: float | None = None) -> Received | None:
        """Wait for the next message; None if none arrived within `timeout_s` seconds (by default, wait indefinitely).

        Raises:
            MessageError: something arrived that is not a patchedge message.
            RequestError: the name belongs to another client's key.
        """
        end_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        await asyncio.sleep(0)  # others get on, even where messages come without end
        while (received := self._turn()) is None:
            left_s = end_s - time.monotonic()
            if left_s <= 0 and not self._connection.is_ready():
                return None
            await self._wait(min(TURN_S, max(0.0, left_s)))
        return received

    async def acknowledge(self, received: Received) -> None:
        """Acknowledge an alert message, and all earlier ones of the same alert.

        It does not wait for the reply, unless 256 alerts wait for theirs. Of other messages, and without `name`, it
        does nothing.
        """
        self._follower.acknowledge(received)
        self._ask()
        while self._is_full:
            await self._wait(TURN_S, events=False)
            self._ask()

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Yield messages indefinitely; damaged ones are counted and skipped."""
        while True:
            try:
                received = await self.receive()
            except MessageError:
                continue
            if received is not None:
                yield received

    async def close(self) -> None:
        """Send pending acknowledgements, for at most a second, and disconnect."""
        if self._closed:
            return
        self._closed = True
        try:
            end_s = time.monotonic() + CLOSE_S
            while self._is_owing and (left_s := end_s - time.monotonic()) > 0:
                await self._wait(min(left_s, TURN_S), events=False)
                self._ask()
        finally:
            self._unwatch()
            self._connection.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self.close()

    async def _wait(self, seconds: float, *, events: bool = True) -> None:
        """Wait until something has arrived.

        The sockets are watched only while somebody waits: otherwise what is not taken would wake the loop again and
        again.
        """
        self._news.clear()
        is_ready = self._connection.is_ready()  # this also is what ZeroMQ wants before its descriptor speaks again
        if is_ready and (events or self._connection.answer_is_ready()):
            return
        self._waiting += 1
        try:
            self._watch()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(seconds, self._news.wait())
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._unwatch()

    def _watch(self) -> None:
        for socket in self._connection.sockets:
            descriptor = int(socket.get(zmq.FD))
            self._watched.add(descriptor)
            asyncio.get_running_loop().add_reader(descriptor, self._news.set)

    def _unwatch(self) -> None:
        """Release the sockets; waiting calls look again."""
        loop = asyncio.get_running_loop()
        while self._watched:
            loop.remove_reader(self._watched.pop())
        self._news.set()
