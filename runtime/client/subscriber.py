"""The subscriber that users import.

    from runtime.client.subscriber import Subscriber

    with Subscriber("tcp://line-3:5556", control="tcp://line-3:5557", name="hall", kinds=["alert"]) as alerts:
        for received in alerts:
            handle(received.message)
            alerts.acknowledge(received)

With `name` every alert comes at least once, over restarts of either side: what was not acknowledged is given again to
the next subscriber of this name. Without `name`, but with `control`, alerts and states that are lost while it runs are
fetched from the device. Without both it is a plain subscriber that counts what it lost. `async_subscriber` is the same
for asyncio.

It needs pyzmq and msgspec only: no OpenCV, no ONNX Runtime.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType

import zmq

from edge_config.errors import MessageError
from edge_config.wire.messages import DEFAULT_EVENTS, Kind
from runtime.client.connection import Connection
from runtime.client.follower import Follower
from runtime.client.received import Origin, Received
from runtime.security.keys import Keys

__all__ = ["Keys", "Origin", "Received", "Subscriber"]

TURN_S = 0.25
"""Waiting is done in turns of so long: a signal that arrives just before a poll does not interrupt it, and Python calls
its handler only between two turns."""

MOST_AT_ONCE = 1000
"""After so many messages that are not for the user, or not yet, the answers have their turn."""

CLOSE_S = 1.0
"""At the end acknowledgements may take so long to reach the device."""


class Subscriber:
    """Receives messages and notices what was lost. Use it from one thread; iterate over it, or call `receive`.

    What is lost is fetched, and acknowledgements leave, while one of its methods runs. The order that messages are
    given in is described in `runtime.client.follower`.
    """

    def __init__(
        self,
        url: str = DEFAULT_EVENTS,
        *,
        kinds: Sequence[Kind] = ("score", "alert", "state"),
        device: str | None = None,
        camera: str | None = None,
        control: str | None = None,
        name: str | None = None,
        keys: Keys | None = None,
        handled: Collection[str] = (),
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        """Connect and subscribe. The device need not be there yet; ZeroMQ connects, and again, by itself.

        Args:
            url: where the device publishes. With `control` it has to be one device.
            kinds: kinds of messages to receive.
            device: only of this device; by default of all.
            camera: only of this camera of the device; for a `name` of its own, as the alerts of others stay pending.
            control: where the same device takes requests: then it begins with the state of every camera and its open
                alert (`origin` "snapshot"), and lost alerts and states are fetched (`origin` "replay").
            name: of a subscriber that acknowledges, unique on the device: letters, digits, `-` and `_`.
            keys: files of the keys, if the device wants them.
            handled: `Received.key` of messages that an earlier process handled without acknowledging them, in the order
                of their alerts; they are acknowledged, and not given.
            context: of ZeroMQ; by default one of its own.

        Raises:
            AddressUnavailable: `url` or `control` is not a ZeroMQ address.
            ValueError: a kind that there is none of; a camera without its device; a name without `control` or alerts.
        """
        self._follower = Follower(kinds, device, camera, control=control is not None, name=name, handled=handled)
        self._connection = Connection(url, self._follower.prefixes, control=control, keys=keys, context=context)
        self._closed = False

    @property
    def missed(self) -> int:
        """Messages lost so far, over all topics; with `control` also those that came later by a replay."""
        return self._follower.missed

    @property
    def damaged(self) -> int:
        """Messages that arrived but could not be read."""
        return self._follower.damaged

    @property
    def alive(self) -> bool:
        """False while a device whose heartbeat was heard is silent for three heartbeats; always True without `control`.

        It is looked at while `receive` waits.
        """
        return self._follower.alive

    @property
    def connected(self) -> bool:
        """Whether the publisher is connected, as far as is known; a dead network shows after 15 s."""
        return self._connection.connected

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """Wait for the next message; None if none came within `timeout_s` seconds (by default, wait for ever).

        Raises:
            MessageError: something arrived that is not a patchedge message.
            RequestError: the device refuses this client's key the name: it belongs to another.
        """
        end_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while (received := turn(self._follower, self._connection)) is None:
            left_s = end_s - time.monotonic()
            if left_s <= 0 and not self._connection.is_ready():
                return None
            self._wait(min(TURN_S, max(0.0, left_s)))
        return received

    def acknowledge(self, received: Received) -> None:
        """Tell the device that an alert message is handled, and so those of the same alert that were given before it.

        It does not wait for the reply, unless 256 alerts wait for theirs. Of other messages, and without `name`, it
        does nothing.
        """
        self._follower.acknowledge(received)
        ask(self._follower, self._connection)
        while self._follower.acks is not None and self._follower.acks.is_full:
            self._wait(TURN_S, events=False)
            ask(self._follower, self._connection)

    def __iter__(self) -> Iterator[Received]:
        """Yield messages for ever; damaged ones are counted and passed over."""
        while True:
            try:
                received = self.receive()
            except MessageError:
                continue
            if received is not None:
                yield received

    def close(self) -> None:
        """Send what was acknowledged, at most for `CLOSE_S`, and disconnect."""
        if self._closed:
            return
        self._closed = True
        try:
            end_s = time.monotonic() + CLOSE_S
            while is_owing(self._follower) and (left_s := end_s - time.monotonic()) > 0:
                self._wait(min(left_s, TURN_S), events=False)
                ask(self._follower, self._connection)
        finally:
            self._connection.close()

    def __enter__(self) -> Subscriber:  # noqa: PYI034 - typing.Self needs Python 3.11
        """Return itself."""
        return self

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


def turn(follower: Follower, connection: Connection) -> Received | None:
    """Take in what is there until something is for the user, and send what is due.

    What was published is taken in first: it was sent before the device answered.

    Raises:
        MessageError: something arrived that is not a patchedge message.
        RequestError: the device refuses the name.
    """
    for _ in range(MOST_AT_ONCE):
        if not follower.is_hungry or (frames := connection.publish_arrived()) is None:
            break
        follower.arrived(frames, time.monotonic())
    ask(follower, connection, quiet=follower.is_hungry)
    return follower.take()


def ask(follower: Follower, connection: Connection, *, quiet: bool = False) -> None:
    """Take in the answers that are there, and send the requests that are due."""
    while (frames := connection.answer_arrived()) is not None:
        follower.answered(frames, time.monotonic())
    now_s = time.monotonic()
    if follower.tick(now_s, quiet=quiet):
        connection.renew_control()
    for body in follower.due(now_s):
        connection.ask(body)


def is_owing(follower: Follower) -> bool:
    """Return whether something was acknowledged that the device can be told, and does not know yet."""
    return follower.acks is not None and follower.acks.waiting > 0 and not follower.asking.is_down
