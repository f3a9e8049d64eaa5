"""Base of both subscribers: their arguments, counters, and one turn of the sockets."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

import zmq

from edge_config.wire.messages import DEFAULT_EVENTS, Kind
from runtime.client.connection import Connection
from runtime.client.follower import Follower
from runtime.client.received import Received
from runtime.security.keys import Keys

TURN_S = 0.25
"""Waiting is done in turns of so long: a signal that arrives just before a poll does not interrupt it, and Python calls
its handler only between two turns."""

MAX_AT_ONCE = 1000
"""After so many messages that are not for the user, or not yet, the answers have their turn."""

CLOSE_S = 1.0
"""At the end acknowledgements may take so long to reach the device."""


class BaseSubscriber:
    """A follower of a device, and the sockets that connect it."""

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
        """Connect and subscribe. The device need not exist yet; ZeroMQ connects and reconnects by itself.

        Args:
            url: address of the device's PUB socket; with `control` it must be that of one device.
            kinds: kinds of messages to receive.
            device: only messages of this device; by default of all.
            camera: only messages of this camera of the device; use a `name` of its own, as the alerts of other cameras
                stay pending.
            control: address of the control socket of the same device: then it begins with the state of every camera and
                its open alert (`origin` "snapshot"), and lost alerts and states are fetched (`origin` "replay").
            name: name of a subscriber that acknowledges, unique on the device: letters, digits, `-` and `_`.
            keys: key files, if the device requires them.
            handled: `Received.key` of messages that an earlier process handled without acknowledging them, in the order
                of their alerts; they are acknowledged, and not delivered.
            context: ZeroMQ context; by default one of its own.

        Raises:
            AddressUnavailable: `url` or `control` is not a ZeroMQ address.
            ValueError: an unknown kind; a camera without its device; a name without `control` or alerts.
        """
        self._follower = Follower(kinds, device, camera, control=control is not None, name=name, handled=handled)
        self._connection = Connection(url, self._follower.prefixes, control=control, keys=keys, context=context)
        self._closed = False
        self._opened()

    def _opened(self) -> None:
        """Prepare what else is needed."""

    @property
    def missed(self) -> int:
        """Number of messages lost so far, over all topics; with `control` also those replayed later."""
        return self._follower.missed

    @property
    def damaged(self) -> int:
        """Number of messages that arrived but could not be read."""
        return self._follower.damaged

    @property
    def alive(self) -> bool:
        """False after three missed heartbeats of the device; always True without `control`.

        It is updated while `receive` waits.
        """
        return self._follower.alive

    @property
    def connected(self) -> bool:
        """Whether the publisher is connected, as far as known; a dead network is detected after 15 s."""
        return self._connection.connected

    @property
    def _is_owing(self) -> bool:
        """Whether there are acknowledgements that can be sent, and are not confirmed yet."""
        acks = self._follower.acks
        return acks is not None and acks.waiting > 0 and not self._follower.asking.is_down

    @property
    def _is_full(self) -> bool:
        """Whether so many acknowledgements are pending that the next must wait."""
        return self._follower.acks is not None and self._follower.acks.is_full

    def _turn(self) -> Received | None:
        """Process received frames until there is a message for the user, and send due requests.

        Published messages are processed first, as they were sent before the replies.

        Raises:
            MessageError: something arrived that is not a patchedge message.
            RequestError: the device refuses the name.
        """
        for _ in range(MAX_AT_ONCE):
            if not self._follower.is_hungry or (frames := self._connection.publish_arrived()) is None:
                break
            self._follower.arrived(frames, time.monotonic())
        self._ask(quiet=self._follower.is_hungry)
        return self._follower.take()

    def _ask(self, *, quiet: bool = False) -> None:
        """Take in the answers that are there, and send the requests that are due."""
        while (frames := self._connection.answer_arrived()) is not None:
            self._follower.answered(frames, time.monotonic())
        now_s = time.monotonic()
        if self._follower.tick(now_s, quiet=quiet):
            self._connection.renew_control()
        for body in self._follower.due(now_s):
            self._connection.ask(body)
