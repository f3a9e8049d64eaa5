"""The subscriber that users import.

    from runtime.client.subscriber import Subscriber

    with Subscriber("tcp://line-3:5556", control="tcp://line-3:5557", name="hall", kinds=["alert"]) as alerts:
        for received in alerts:
            handle(received.message)
            alerts.acknowledge(received)

With `name` every alert is delivered at least once, over restarts of either side: unacknowledged alerts are redelivered
to the next subscriber of this name. Without `name`, but with `control`, alerts and states that are lost while it runs
are fetched from the device. Without both it is a plain subscriber that counts lost messages. `async_subscriber` is the
same for asyncio.

It needs pyzmq and msgspec only: no OpenCV, no ONNX Runtime.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType

import zmq

from edge_config.errors import MessageError
from runtime.client.base import CLOSE_S, TURN_S, BaseSubscriber
from runtime.client.received import Received


class Subscriber(BaseSubscriber, AbstractContextManager["Subscriber"]):
    """Receives messages and detects lost ones. Use it from one thread; iterate over it, or call `receive`.

    Lost messages are fetched, and acknowledgements are sent, while one of its methods runs. Alerts and states of a
    camera come in the order in which they were published.
    """

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """Wait for the next message; None if none arrived within `timeout_s` seconds (by default, wait indefinitely).

        Raises:
            MessageError: something arrived that is not a patchedge message.
            RequestError: the name belongs to another client's key.
        """
        end_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while (received := self._turn()) is None:
            left_s = end_s - time.monotonic()
            if left_s <= 0 and not self._connection.is_ready():
                return None
            self._wait(min(TURN_S, max(0.0, left_s)))
        return received

    def acknowledge(self, received: Received) -> None:
        """Acknowledge an alert message, and all earlier ones of the same alert.

        It does not wait for the reply, unless 256 alerts wait for theirs. Of other messages, and without `name`, it
        does nothing.
        """
        self._follower.acknowledge(received)
        self._ask()
        while self._is_full:
            self._wait(TURN_S, events=False)
            self._ask()

    def __iter__(self) -> Iterator[Received]:
        """Yield messages indefinitely; damaged ones are counted and skipped."""
        while True:
            try:
                received = self.receive()
            except MessageError:
                continue
            if received is not None:
                yield received

    def close(self) -> None:
        """Send pending acknowledgements, for at most a second, and disconnect."""
        if self._closed:
            return
        self._closed = True
        try:
            end_s = time.monotonic() + CLOSE_S
            while self._is_owing and (left_s := end_s - time.monotonic()) > 0:
                self._wait(min(left_s, TURN_S), events=False)
                self._ask()
        finally:
            self._connection.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.close()

    def _wait(self, seconds: float, *, events: bool = True) -> None:
        poller = zmq.Poller()
        for socket in self._connection.sockets:
            if events or socket is not self._connection.events:
                poller.register(socket, zmq.POLLIN)
        poller.poll(math.ceil(seconds * 1000))
