"""The PUB socket: messages are numbered, encoded and sent."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import zmq

from edge_config.errors import AddressUnavailable
from edge_config.wire import messages
from edge_config.wire.messages import Kind, Message
from runtime.messaging.listener import Guard, Listener

LINGER_MS = 1000
"""At the end the last messages may take this long to leave; a dead subscriber cannot hold us longer."""

MAX_SUBSCRIBED_BYTES = 32768
"""A connection that subscribes to more is cut off: ZeroMQ keeps some 50 bytes for each byte of a subscription. Four
topics of each of 64 cameras are less."""

QUIET_S = 0.2
"""Subscriptions of one subscriber follow each other within milliseconds: after so long of silence they are complete."""

_OPTIONS: dict[int, int] = {
    zmq.LINGER: LINGER_MS,
    zmq.XPUB_VERBOSE: 1,  # tell every subscription, also to a topic that another has already
    zmq.MAXMSGSIZE: 640,  # bytes: a topic has 140, a handshake up to 600
    # A `send` reads subscriptions until none is left: who sends them without end must not be faster than we are.
    zmq.RCVHWM: 1,
    zmq.RCVBUF: 4096,  # bytes
}
_SUBSCRIBERS_POLL_MS = 100  # how often a wait for subscribers looks whether it was called off
_TAKE_IN_S = 0.1  # how often what subscribers say is read while messages are sent
_MAX_WORDS = 1000  # of them that are read in one go


class Publisher:
    """The socket that messages leave by. Use it from one thread.

    Best effort, as PUB is: what a slow subscriber does not take is dropped at the high-water mark, and shows as a
    gap in `seq`.

    Attributes:
        epoch: uuid of this start.
        endpoint: where it is bound, with its port.
        sent: messages by kind.
        refused: what others tried in vain, by reason.
    """

    def __init__(
        self,
        bind: str,
        *,
        device: str,
        high_water_mark: int = 1000,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Bind the socket.

        Args:
            bind: endpoint, such as tcp://127.0.0.1:5556; port * or 0 takes a free one.
            device: name of the device in every topic.
            high_water_mark: messages kept for each slow subscriber.
            context: to share; by default one of its own, which ends with it.
            guard: prepares each socket before it is bound, such as `Access.guard`.

        Raises:
            AddressUnavailable: the address is in use, or is not one of this machine.
        """
        self.epoch = str(uuid.uuid4())
        self.device = device
        self.sent: Counter[str] = Counter()
        self._seq: Counter[str] = Counter()
        self._topics: dict[tuple[Kind, str], str] = {}
        self._take_in_at_s = 0.0
        self._own: zmq.Context[zmq.Socket[bytes]] | None = None
        if context is None:
            context = self._own = zmq.Context()
        options = {**_OPTIONS, zmq.SNDHWM: high_water_mark}
        try:
            self._listener = Listener(
                context,
                zmq.XPUB,
                bind,
                options,
                key="events.bind",
                guard=guard,
                most_bytes=MAX_SUBSCRIBED_BYTES,
            )
        except AddressUnavailable:
            if self._own:
                self._own.term()
            raise
        self.endpoint = self._listener.endpoint
        self.refused = self._listener.refused

    def seq(self, kind: Kind, camera: str) -> int:
        """Return the last `seq` in a topic, 0 before the first."""
        return self._seq[messages.topic(kind, self.device, camera)]

    def make(self, kind: Kind, camera: str, **fields: Any) -> tuple[str, Message]:
        """Make the next message of a topic, which must then be sent, in the order of making.

        Args:
            kind: of the message.
            camera: that it is about.
            fields: those of its type, without what the publisher knows itself.

        Returns:
            The topic and the message.
        """
        topic = self._topics.get((kind, camera)) or self._topics.setdefault(
            (kind, camera), messages.topic(kind, self.device, camera)
        )
        self._seq[topic] += 1
        if "t_mono_ns" in fields:
            fields["age_ms"] = round((time.monotonic_ns() - fields["t_mono_ns"]) / 1e6, 3)
        return topic, messages.TYPES[kind](
            schema=messages.schema_name(kind),
            device=self.device,
            camera=camera,
            epoch=self.epoch,
            seq=self._seq[topic],
            t_publish_ns=time.time_ns(),
            **fields,
        )

    def send(self, kind: Kind, camera: str, attached: Sequence[bytes] = (), **fields: Any) -> None:
        """Make a message and publish it; `attached` are the bytes of the parts that it lists."""
        self.send_frames(kind, messages.encode(*self.make(kind, camera, **fields), attached))

    def send_frames(self, kind: Kind, frames: Sequence[bytes]) -> None:
        """Publish a message that was made and encoded before."""
        now_s = time.monotonic()
        if now_s >= self._take_in_at_s:
            self._take_in_at_s = now_s + _TAKE_IN_S
            self._take_in()
        send = self._listener.socket.send
        for frame in frames[:-1]:
            send(frame, zmq.SNDMORE)
        send(frames[-1])
        self.sent[kind] += 1

    def wait_subscribers(self, count: int, stop: threading.Event) -> None:
        """Return when `count` subscribers are connected and have subscribed, or when `stop` is set."""
        while not stop.is_set() and not self.has_subscribers(count, _SUBSCRIBERS_POLL_MS):
            pass

    def has_subscribers(self, count: int, timeout_ms: int = 0) -> bool:
        """Return whether so many are connected and have subscribed: what they said last is `QUIET_S` ago."""
        self._listener.wait(timeout_ms)
        self._take_in()
        quiet_since_s = time.monotonic() - QUIET_S
        peers = self._listener.connections.values()
        return sum(1 for peer in peers if peer.said and peer.last_s <= quiet_since_s) >= count

    def rebind(self) -> None:
        """Cut off all subscribers, who connect again by themselves if they may; epoch and `seq` go on.

        Raises:
            AddressUnavailable: somebody else has taken the address meanwhile; this may be tried again.
        """
        self._listener.rebind()

    def close(self) -> None:
        """Let the last messages leave, at most `LINGER_MS`, and free the address: with a shared context, as it ends."""
        self._listener.close()
        if self._own:
            self._own.term()

    def _take_in(self) -> None:
        """Take in who came, went and subscribed."""
        self._listener.watch()
        with suppress(zmq.Again):
            for _ in range(_MAX_WORDS):
                frame = self._listener.socket.recv(zmq.NOBLOCK, copy=False)
                if bytes(frame.buffer[:1]) not in {b"\x00", b"\x01"}:
                    self.refused["no subscription"] += 1
                self._listener.heard(frame)
