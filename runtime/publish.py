"""From decisions to the PUB socket."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from edge_config import message
from edge_config.errors import AddressUnavailable
from edge_config.message import Kind

LINGER_MS = 1000
"""At the end the last messages may take this long to leave; a dead subscriber cannot hold us longer."""

_SUBSCRIBERS_POLL_MS = 100  # how often a wait for subscribers looks whether it was called off


class Publisher:
    """The socket that messages leave by. Use it from one thread.

    Best effort, as PUB is: what a slow subscriber does not take is dropped at the high-water mark, and shows as a
    gap in `seq`.
    """

    def __init__(self, bind: str, *, device: str, high_water_mark: int = 1000) -> None:
        """Bind the socket.

        Args:
            bind: endpoint, such as tcp://127.0.0.1:5556; port * or 0 takes a free one.
            device: name of the device in every topic.
            high_water_mark: messages kept for each slow subscriber.

        Raises:
            AddressUnavailable: the address is in use, or is not one of this machine.
        """
        self.epoch = str(uuid.uuid4())
        self.device = device
        self.sent: Counter[str] = Counter()
        """Messages by kind."""
        self._seq: Counter[str] = Counter()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.SNDHWM, high_water_mark)
        self._socket.set(zmq.LINGER, LINGER_MS)
        self._socket.set(zmq.XPUB_VERBOSER, 1)  # tell every subscription, also to a topic that another has already
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._connections: set[int] = set()
        self._subscriptions = 0
        try:
            self._socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            raise AddressUnavailable(
                f"cannot be bound ({zmq.strerror(error.errno or 0)})",
                where=bind,
                remedy="stop what uses it, or bind another address",
            ) from error
        self.endpoint = self._socket.get_string(zmq.LAST_ENDPOINT)

    def send(self, kind: Kind, camera: str, attached: Sequence[bytes] = (), **fields: Any) -> None:
        """Publish one message; `fields` are those of its type, without what the publisher knows itself.

        Args:
            kind: of message.
            camera: name.
            attached: the bytes of each of its parts.
            fields: of the message.
        """
        topic = message.topic(kind, self.device, camera)
        self._seq[topic] += 1
        if "t_mono_ns" in fields:
            fields["age_ms"] = round((time.monotonic_ns() - fields["t_mono_ns"]) / 1e6, 3)
        body = message.TYPES[kind](
            schema=message.schema_name(kind),
            device=self.device,
            camera=camera,
            epoch=self.epoch,
            seq=self._seq[topic],
            t_publish_ns=time.time_ns(),
            **fields,
        )
        self._count_subscribers(timeout_ms=0)
        self._socket.send_multipart(message.encode(topic, body, attached))
        self.sent[kind] += 1

    def wait_subscribers(self, count: int, stop: threading.Event) -> None:
        """Return when `count` subscribers are connected and have subscribed, or when `stop` is set."""
        # A subscription follows its connection at once, but not in one packet: wait until nobody else speaks.
        while not stop.is_set() and not self.has_subscribers(count, _SUBSCRIBERS_POLL_MS):
            pass

    def has_subscribers(self, count: int, timeout_ms: int = 0) -> bool:
        """Tell whether so many are connected and have subscribed, and none has come since this was asked last."""
        quiet = not self._count_subscribers(timeout_ms)
        return min(len(self._connections), self._subscriptions) >= count and (quiet or not count)

    def close(self) -> None:
        """Let the last messages leave, at most `LINGER_MS`, and free the address."""
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close()
        self._context.term()

    def _count_subscribers(self, timeout_ms: int) -> bool:
        """Take in who came and went, and tell whether anybody did.

        A subscriber may hold several subscriptions, so connections count too, by their descriptors.
        """
        any_news = False
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while ready := dict(poller.poll(timeout_ms)):
            timeout_ms, any_news = 0, True
            if self._socket in ready:
                joined = self._socket.recv()[:1] == b"\x01"
                self._subscriptions += 1 if joined else -1
            if self._monitor in ready:
                told = recv_monitor_message(self._monitor)
                if told["event"] == zmq.EVENT_ACCEPTED:
                    self._connections.add(told["value"])
                else:
                    self._connections.discard(told["value"])
        return any_news
