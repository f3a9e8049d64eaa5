"""Relay the messages of one device to all brokers.

An alert is acknowledged at the device when every broker has confirmed it, in the order that they came in, since to
acknowledge one message of an alert is to acknowledge those before it. At most `IN_FLIGHT` are under way: then no more
are taken, and the device's journal keeps the others. States and scores do not wait for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from edge_config.errors import MessageError, PatchedgeError
from edge_config.wire.messages import AlertMessage, HealthMessage, ScoreMessage, StateMessage
from runtime.bridge.newer import Moment, Newest
from runtime.bridge.sink import Counts, Sink
from runtime.client.async_subscriber import AsyncSubscriber
from runtime.client.received import Received

IN_FLIGHT = 64
"""Limit of alert messages of a device that are taken and not yet confirmed."""

LOST_AFTER = 3.0
"""A device is lost after so many heartbeats without a message."""


class Relay:
    """Forwards what one device says. Use it inside one event loop.

    Attributes:
        in_flight: alert messages that were taken and are not acknowledged.
    """

    def __init__(
        self,
        alerts: AsyncSubscriber,
        news: AsyncSubscriber,
        sinks: Sequence[Sink],
        counts: Counts,
        max_in_flight: int = IN_FLIGHT,
    ) -> None:
        """Set it up; `run` forwards.

        Args:
            alerts: source of the alerts, all of them until they are acknowledged.
            news: source of states, health and, if wanted, scores.
            sinks: where to.
            counts: where to count.
            max_in_flight: limit of alert messages that are taken and not yet confirmed.
        """
        self.in_flight = 0
        self._alerts, self._news = alerts, news
        self._sinks = sinks
        self._counts = counts
        self._slots = asyncio.Semaphore(max_in_flight)
        self._under_way: asyncio.Queue[tuple[Received, asyncio.Task[None]]] = asyncio.Queue()
        self._newest = Newest()
        self._lost: dict[str, asyncio.TimerHandle] = {}
        self._acknowledging: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Forward until cancelled; then `drain` waits for what is under way.

        Raises:
            PatchedgeError: a source cannot go on.
        """
        self._acknowledging = asyncio.create_task(self._acknowledge_in_order())
        readers = [asyncio.create_task(self._read_alerts()), asyncio.create_task(self._read_news())]
        try:
            done, _ = await asyncio.wait([*readers, self._acknowledging], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for timer in self._lost.values():
                timer.cancel()
            await _end(readers)

    async def drain(self, timeout_s: float) -> None:
        """Wait until all that was taken is confirmed and acknowledged, or time is over; `in_flight` counts the rest."""
        done = asyncio.create_task(self._under_way.join())
        await asyncio.wait([done], timeout=timeout_s)
        left = [done] if self._acknowledging is None else [done, self._acknowledging]
        while not self._under_way.empty():
            left.append(self._under_way.get_nowait()[1])
        await _end(left)

    async def _read_alerts(self) -> None:
        while True:
            await self._slots.acquire()
            given = await self._next(self._alerts)
            self.in_flight += 1
            self._under_way.put_nowait((given, asyncio.create_task(self._publish(given))))

    async def _publish(self, given: Received) -> None:
        said = given.message
        if isinstance(said, AlertMessage):
            await asyncio.gather(*(sink.alert(said, given.parts, given.key) for sink in self._sinks))

    async def _acknowledge_in_order(self) -> None:
        while True:
            given, published = await self._under_way.get()
            await published
            self._counts.alerts += 1
            try:
                await self._alerts.acknowledge(given)
            except PatchedgeError as error:  # it comes again
                self._counts.unacknowledged += 1
                structlog.get_logger().warning("not acknowledged", key=given.key, problem=str(error))
            self.in_flight -= 1
            self._slots.release()
            self._under_way.task_done()

    async def _read_news(self) -> None:
        while True:
            given = await self._next(self._news)
            said = given.message
            if isinstance(said, StateMessage):
                self._take_state(said, given.key)
            elif isinstance(said, HealthMessage):
                self._take_health(said)
            elif isinstance(said, ScoreMessage):
                await self._take_score(said)

    def _take_state(self, said: StateMessage, key: str) -> None:
        """Forward a state unless a newer one was forwarded: a late replay must not bring an old state back."""
        if self._newest.take(said.device, said.camera, Moment.of(said)):
            self._counts.states += 1
            for sink in self._sinks:
                sink.state(said, key)

    def _take_health(self, said: HealthMessage) -> None:
        for sink in self._sinks:
            sink.health(said)
        if (timer := self._lost.get(said.device)) is not None:
            timer.cancel()
        after_s = LOST_AFTER * said.heartbeat_s
        self._lost[said.device] = asyncio.get_running_loop().call_later(after_s, self._lose, said.device, after_s)

    def _lose(self, device: str, silent_s: float) -> None:
        structlog.get_logger().warning("device is silent", device=device, seconds=silent_s)
        del self._lost[device]
        for sink in self._sinks:
            sink.lost(device)

    async def _take_score(self, said: ScoreMessage) -> None:
        for sink in self._sinks:
            if await sink.score(said):
                self._counts.scores += 1
            else:
                self._counts.scores_dropped += 1

    async def _next(self, source: AsyncSubscriber) -> Received:
        """Wait for the next message that can be decoded."""
        while True:
            try:
                given = await source.receive()
            except MessageError as error:
                self._counts.damaged += 1
                structlog.get_logger().warning("damaged message", problem=str(error))
                continue
            if given is not None:
                return given


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
