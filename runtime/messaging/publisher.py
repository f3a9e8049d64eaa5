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

from edge_config.wire import messages
from edge_config.wire.messages import Kind, Message
from runtime.messaging.listener import Guard, Listener

LINGER_MS = 1000
"""Time-out for sending the last messages at shutdown; a dead subscriber cannot delay it longer."""

MAX_SUBSCRIBED_BYTES = 32768
"""Maximum size of the subscriptions of a connection, which is closed beyond it: ZeroMQ keeps some 50 bytes for each.
Five topics of each of 64 cameras are about as much, with names of 30 characters."""

QUIET_S = 0.2
"""Time after its last subscription when a subscriber counts as ready; subscriptions come within milliseconds."""

_OPTIONS: dict[int, int] = {
    zmq.LINGER: LINGER_MS,
    zmq.XPUB_VERBOSE: 1,  # tell every subscription, also to a topic that another has already; the last end of each
    zmq.MAXMSGSIZE: 640,  # bytes: a topic has 140, a handshake up to 600
    # A `send` reads all waiting subscriptions: a peer that floods us with them must not be faster than we are.
    zmq.RCVHWM: 1,
    zmq.RCVBUF: 4096,  # bytes
}
_PREVIEWS = messages.topic_prefix("preview").encode()
_SUBSCRIBERS_POLL_MS = 100  # poll interval of a wait for subscribers
_TAKE_IN_S = 0.1  # interval at which subscriptions are read while messages are sent
_MAX_SUBSCRIPTIONS = 1000  # read at once


class Publisher:
    """The PUB socket. Use it from one thread.

    Best effort: messages to a slow subscriber are dropped at the high-water mark, which shows as a gap in `seq`.

    Attributes:
        epoch: uuid of this start of the runtime.
        endpoint: its address, with the port.
        sent: number of messages, by kind.
        refused: number of failed connections and invalid messages, by reason.
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
            high_water_mark: maximum number of messages queued for a slow subscriber.
            context: a shared context; by default one of its own, which is closed with it.
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
        self._subscribed: set[str] = set()  # prefixes of topics of previews that somebody subscribes to
        self._wanted: dict[str, bool] = {}  # topic of previews -> whether one of them covers it
        options = {**_OPTIONS, zmq.SNDHWM: high_water_mark}
        self._listener = Listener(
            context, zmq.XPUB, bind, options, key="events.bind", guard=guard, most_bytes=MAX_SUBSCRIBED_BYTES
        )
        self.endpoint = self._listener.endpoint
        self.refused = self._listener.refused

    def seq(self, kind: Kind, camera: str) -> int:
        """Return the last `seq` in a topic, 0 before the first."""
        return self._seq[messages.topic(kind, self.device, camera)]

    def make(self, kind: Kind, camera: str, **fields: Any) -> tuple[str, Message]:
        """Make the next message of a topic. It must be sent, in the order of making.

        Args:
            kind: kind of the message.
            camera: name of its camera.
            fields: the fields of its type that the publisher does not set itself.

        Returns:
            The topic and the message.
        """
        topic = self._topic(kind, camera)
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
        """Make and publish a message; `attached` are the bytes of the parts that it lists."""
        self.send_frames(kind, messages.encode(*self.make(kind, camera, **fields), attached))

    def send_frames(self, kind: Kind, frames: Sequence[bytes]) -> None:
        """Publish a message that is already encoded."""
        now_s = time.monotonic()
        if now_s >= self._take_in_at_s:
            self._take_in_at_s = now_s + _TAKE_IN_S
            self._take_in()
        send = self._listener.socket.send
        for frame in frames[:-1]:
            send(frame, zmq.SNDMORE)
        send(frames[-1])
        self.sent[kind] += 1

    def previews(self, camera: str) -> bool:
        """Return whether somebody subscribes to the previews of a camera, by a topic or a prefix that names the kind.

        They are made only then. A subscription to everything, or to `v1/`, makes none; it gets those that others have
        made. A change is noticed with a message that is sent, at most every `_TAKE_IN_S`.
        """
        topic = self._topic("preview", camera)
        if (wanted := self._wanted.get(topic)) is None:
            wanted = self._wanted[topic] = any(topic.startswith(prefix) for prefix in self._subscribed)
        return wanted

    def wait_subscribers(self, count: int, stop: threading.Event) -> None:
        """Return when `count` subscribers are connected and have subscribed, or when `stop` is set."""
        while not stop.is_set() and not self.has_subscribers(count, _SUBSCRIBERS_POLL_MS):
            pass

    def has_subscribers(self, count: int, timeout_ms: int = 0) -> bool:
        """Return whether `count` subscribers are ready: connected, with the last subscription `QUIET_S` ago."""
        self._listener.wait(timeout_ms)
        self._take_in()
        quiet_since_s = time.monotonic() - QUIET_S
        peers = self._listener.connections.values()
        return sum(1 for peer in peers if peer.said and peer.last_s <= quiet_since_s) >= count

    def rebind(self) -> None:
        """Disconnect all subscribers; authorised ones reconnect by themselves. Epoch and `seq` continue.

        Raises:
            AddressUnavailable: another program has taken the address meanwhile; retry later.
        """
        self._listener.rebind()
        self._subscribed.clear()
        self._wanted.clear()

    def close(self) -> None:
        """Send the last messages, for at most `LINGER_MS`, and free the address (a shared context, as it closes)."""
        self._listener.close()

    def _take_in(self) -> None:
        """Process connections and subscriptions."""
        self._listener.watch()
        with suppress(zmq.Again):
            for _ in range(_MAX_SUBSCRIPTIONS):
                frame = self._listener.socket.recv(zmq.NOBLOCK, copy=False)
                if bytes(frame.buffer[:1]) not in {b"\x00", b"\x01"}:
                    self.refused["no subscription"] += 1
                self._note(bytes(frame.buffer))
                self._listener.heard(frame)

    def _note(self, said: bytes) -> None:
        """Remember a subscription to previews, until nobody has it any more: ZeroMQ tells that."""
        if said[1:].startswith(_PREVIEWS):
            change = self._subscribed.add if said[0] else self._subscribed.discard
            change(said[1:].decode("ascii", "replace"))
            self._wanted.clear()

    def _topic(self, kind: Kind, camera: str) -> str:
        return self._topics.get((kind, camera)) or self._topics.setdefault(
            (kind, camera), messages.topic(kind, self.device, camera)
        )
