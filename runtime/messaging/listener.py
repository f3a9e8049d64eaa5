"""A bound ZeroMQ socket and its peers: limits on their number, and on what each may send.

ZeroMQ takes any number of connections, and every subscription costs memory: peers that open too many, or send too much,
are disconnected. Connections are identified by their descriptors, from the socket's monitor.
"""

from __future__ import annotations

import errno
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import zmq
from zmq.utils.monitor import recv_monitor_message

from edge_config.errors import AddressUnavailable

Guard = Callable[[zmq.Socket[bytes]], None]
"""Prepares a socket before it is bound, such as `Access.guard`."""

MAX_CONNECTIONS = 128
"""Maximum number of connections of a socket. Beyond it the oldest silent one is closed."""

REBIND_S = 2.0
"""Time-out for an address that was just unbound to become free."""

_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
_SHORT_S = 0.01

OPTIONS: dict[int, int] = {
    zmq.HEARTBEAT_IVL: 5_000,  # ms: detects peers that vanished silently
    zmq.HEARTBEAT_TIMEOUT: 15_000,
    zmq.HEARTBEAT_TTL: 15_000,
    zmq.HANDSHAKE_IVL: 5_000,  # ms: time-out of the handshake; the peer may retry
}
"""Options of every socket of the device."""


MAX_KNOWN = 512
"""Topics of a subscriber that are recognised when it names them again: that takes no more memory, and one that switches
previews on and off all day is no flood."""


@dataclass(slots=True)
class Peer:
    """A connected peer.

    Attributes:
        said: bytes received; of a topic that it has named before, one.
        last_s: when the last were, monotonic seconds.
        known: topics that it named, where they are limited.
    """

    said: int = 0
    last_s: float = 0.0
    known: set[bytes] = field(default_factory=set)


_REMEDIES = {errno.ENOENT: "create its folder", errno.EACCES: "let this user write into its folder"}
"""Remedies for an address that cannot be bound, by error; by default it is in use."""


class Listener:
    """A bound socket. Use it from one thread.

    Attributes:
        socket: the socket; another one after `rebind`.
        endpoint: its address, with the port.
        connections: peers by descriptor.
        refused: number of failed connections and handshakes, by reason.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]] | None,
        kind: int,
        bind: str,
        options: Mapping[int, int],
        *,
        key: str,
        guard: Guard | None = None,
        most_bytes: int | None = None,
    ) -> None:
        """Bind.

        Args:
            context: a shared context; None: one of its own, which ends with it.
            kind: type of the socket, such as zmq.ROUTER.
            bind: endpoint; port * or 0 takes a free one.
            options: options of the socket, beside `OPTIONS`.
            key: key of the settings, for the error.
            guard: prepares each socket before it is bound.
            most_bytes: maximum bytes of a connection, which is closed beyond it; None: no limit.

        Raises:
            AddressUnavailable: the address is in use, or is not one of this machine.
        """
        self._own = context is None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context() if context is None else context
        self._kind, self._options, self._key = kind, {**OPTIONS, **options}, key
        self._guard, self._most_bytes = guard, most_bytes
        self.connections: dict[int, Peer] = {}
        self.refused: Counter[str] = Counter()
        self._open()
        try:
            self._bind(bind)
        except AddressUnavailable:
            self.close(linger_ms=0)
            raise
        self.endpoint = self.socket.get_string(zmq.LAST_ENDPOINT)

    def rebind(self) -> None:
        """Disconnect all peers, and bind again at the same endpoint; ZeroMQ's peers reconnect by themselves.

        Raises:
            AddressUnavailable: another program has taken the address meanwhile; retry later.
        """
        until_s = time.monotonic() + REBIND_S
        while not self._bind_anew(last=time.monotonic() >= until_s):
            time.sleep(_SHORT_S)

    def watch(self) -> None:
        """Process new and closed connections; close those beyond the maximum."""
        with suppress(zmq.Again):
            while True:
                told = recv_monitor_message(self._monitor, zmq.NOBLOCK)
                if told["event"] == zmq.EVENT_ACCEPTED:
                    self._accepted(int(told["value"]))
                elif told["event"] == zmq.EVENT_DISCONNECTED:
                    self.connections.pop(int(told["value"]), None)
                else:
                    self.refused["handshake"] += 1

    def heard(self, frame: zmq.Frame) -> None:
        """Count the bytes of a peer, and disconnect one that sends too much."""
        self.watch()  # a descriptor may have been reused: its events came before its data
        try:
            connection = int(frame.get(zmq.SRCFD))
        except zmq.ZMQError:  # the peer has left
            return
        if (peer := self.connections.get(connection)) is None:
            return
        peer.last_s = time.monotonic()
        if self._most_bytes is None:
            peer.said += max(1, len(frame))
            return
        topic = bytes(frame.buffer[1:])
        peer.said += 1 if topic in peer.known else max(1, len(frame))
        if len(peer.known) < MAX_KNOWN:
            peer.known.add(topic)
        if peer.said > self._most_bytes:
            self._cut(connection, "too much said")

    def wait(self, timeout_ms: int, also: int | None = None) -> bool:
        """Wait until a peer connects, disconnects or sends something, or the descriptor `also` can be read.

        Returns:
            Whether `also` can be read.
        """
        if also is not None:
            self._poller.register(also, zmq.POLLIN)
        return also in dict(self._poller.poll(timeout_ms))

    def close(self, linger_ms: int | None = None) -> None:
        """Close the socket; unsent messages have `linger_ms`, by default that of the options."""
        self._close_socket(linger_ms)
        if self._own:
            self._context.term()

    def _close_socket(self, linger_ms: int | None) -> None:
        if self.socket.closed:
            return
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=linger_ms)
        self.connections.clear()

    def _open(self) -> None:
        """Create the socket and its monitor, whose queue must never be full, or ZeroMQ's thread would wait for us."""
        self.socket = self._context.socket(self._kind)
        for option, value in self._options.items():
            self.socket.set(option, value)
        address = f"inproc://monitor-{uuid.uuid4()}"
        self.socket.monitor(address, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | _FAILED)
        self._monitor = self._context.socket(zmq.PAIR)
        self._monitor.set(zmq.RCVHWM, 0)
        self._monitor.connect(address)
        self._poller = zmq.Poller()
        self._poller.register(self.socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        if self._guard is not None:
            self._guard(self.socket)

    def _bind(self, endpoint: str) -> None:
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise AddressUnavailable(
                f"cannot be bound ({zmq.strerror(error.errno or errno.EINVAL)})",
                where=endpoint,
                remedy=f"{_REMEDIES.get(error.errno or 0, 'stop what uses it')}, or set another {self._key}",
            ) from error

    def _bind_anew(self, *, last: bool) -> bool:
        """Take another socket, and tell whether it is bound: ZeroMQ frees an address some moments after `close`."""
        self._close_socket(linger_ms=0)
        self._open()
        try:
            self._bind(self.endpoint)
        except AddressUnavailable:
            if last:
                raise
            return False
        return True

    def _accepted(self, connection: int) -> None:
        self.connections[connection] = Peer()
        if len(self.connections) > MAX_CONNECTIONS:
            silent = (one for one, peer in self.connections.items() if not peer.said)
            self._cut(next(silent, connection), "too many connections")

    def _cut(self, connection: int, reason: str) -> None:
        """Close a connection, which ZeroMQ cannot. If the descriptor was reused, that peer reconnects."""
        self.refused[reason] += 1
        del self.connections[connection]
        with suppress(OSError), socket.fromfd(connection, socket.AF_INET, socket.SOCK_STREAM) as one:
            one.shutdown(socket.SHUT_RDWR)
