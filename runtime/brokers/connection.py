"""Connection to a broker with retries, and publishing until the broker has confirmed it: the same for each broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeVar

import structlog

from runtime.client.within import ended
from runtime.process.backoff import Backoff

CONFIRM_S = 5.0
"""Time-out of a confirmation, after which a message is published again."""

_LONGEST_WAIT_S = 30.0  # between two tries to connect
_MAX_SAID = 16  # a server may put anything into its reasons


class Session(Protocol):
    """One connection, from its beginning to its end."""

    async def until_lost(self) -> None:
        """Wait until the connection is lost; it may raise why."""


S = TypeVar("S", bound=Session)
T = TypeVar("T")


class ConnectionEnded(Exception):
    """The connection was lost, or there is none."""


class BrokerConnection(Generic[S]):
    """Connects to a broker, and reconnects indefinitely. Use it inside one event loop.

    Attributes:
        session: the connection that there is; None while there is none.
        problem: the last problem; empty once it is over.
    """

    def __init__(
        self,
        broker: str,
        connect: Callable[[], AbstractAsyncContextManager[S]],
        reconnected: Callable[[], None] = lambda: None,
    ) -> None:
        """Set it up; nothing connects before `start`.

        Args:
            broker: what logs call it.
            connect: makes one connection, and ends it.
            reconnected: is called each time that the broker is there again.
        """
        self.session: S | None = None
        self._connect, self._reconnected = connect, reconnected
        self._connected, self._lost = asyncio.Event(), asyncio.Event()
        self._turns: dict[str, asyncio.Lock] = {}
        self._task: asyncio.Task[None] | None = None
        self._first = True
        self.problem = ""
        self._said: set[str] = set()
        self._log = structlog.get_logger().bind(broker=broker)

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._keep_connected())

    async def until_confirmed(self, topic: str, publish: Callable[[S], Coroutine[Any, Any, None]]) -> None:
        """Publish until that is confirmed, after what was published in the topic before.

        Args:
            topic: where to.
            publish: publishes by a session, and returns when the broker has confirmed it; called once for each try.
        """
        backoff = Backoff(0.1, CONFIRM_S)
        async with self._turns.setdefault(topic, asyncio.Lock()):
            while True:
                try:
                    await self.once(publish)
                except ConnectionEnded:  # noqa: PERF203 - a try for each time
                    pass
                except Exception as error:  # noqa: BLE001 - whatever a client makes of a broker that dies: it must go on
                    self.trouble(f"not confirmed: {explain(error)}")
                    await asyncio.sleep(backoff.after(0))
                else:
                    self._is_over()
                    return

    async def once(self, work: Callable[[S], Coroutine[Any, Any, T]]) -> T:
        """Wait for a connection, and return what `work` makes with it; its errors are passed on.

        Raises:
            ConnectionEnded: the connection was lost first.
        """
        await self._connected.wait()
        if self.session is None:
            raise ConnectionEnded
        task, lost = asyncio.create_task(work(self.session)), asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait([task, lost], return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or task.cancelled():  # a client that closes may cancel what waits for an answer
                raise ConnectionEnded
            return task.result()
        finally:
            await ended(task, lost)

    async def close(self, timeout_s: float) -> None:
        """Disconnect within `timeout_s` seconds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=timeout_s)

    def trouble(self, reason: str) -> None:
        """Log a problem, each once until all is well again: two can take turns at every try."""
        self.problem = reason
        if reason not in self._said and len(self._said) < _MAX_SAID:
            self._said.add(reason)
            self._log.warning("connection problem; retrying", reason=reason)

    def _is_over(self) -> None:
        self.problem = ""
        self._said.clear()

    async def _keep_connected(self) -> None:
        backoff, now_s = Backoff(0.5, _LONGEST_WAIT_S), asyncio.get_running_loop().time
        while True:
            began_s = now_s()
            try:
                async with self._connect() as session:
                    self._begin(session)
                    await session.until_lost()
                self.trouble("connection lost")
            except Exception as error:  # noqa: BLE001 - as above
                self.trouble(explain(error))
            finally:
                self.session = None
                self._connected.clear()
                self._lost.set()
            await asyncio.sleep(backoff.after(now_s() - began_s))

    def _begin(self, session: S) -> None:
        self._log.info("connected")
        self._is_over()
        self.session, self._lost = session, asyncio.Event()
        self._connected.set()
        if not self._first:
            self._reconnected()
        self._first = False


def explain(error: BaseException) -> str:
    """Return why: in the words of the error that is behind it, where there is one."""
    return str(error.__cause__ or error) or type(error).__name__
