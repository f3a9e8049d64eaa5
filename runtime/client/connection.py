"""The sockets of a client: SUB for published messages and, with a control address, DEALER for requests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import zmq
from zmq.utils.monitor import recv_monitor_message

from edge_config.errors import AddressUnavailable
from runtime.security.keys import Keys, apply_client_keys

MAX_BYTES = 64 << 20
"""Maximum size of a frame: a device that sends more is disconnected before it is in memory."""

HIGH_WATER_MARK = 1000
"""Maximum number of messages queued in a socket; SUB drops further ones, which shows as a gap."""

HEARTBEAT_MS = 5000
"""Heartbeat interval of ZeroMQ, which reconnects if the peer does not respond."""

HEARTBEAT_TIMEOUT_MS = 15000

CONNECT_MS = 3000
"""Time-out of connecting, after which the client retries: TCP's own retries are ever further apart, and a network that
was down for a minute would be up for half a minute before it was noticed."""


class Connection:
    """Connected sockets. ZeroMQ connects and reconnects by itself. Use it from one thread.

    Attributes:
        events: the SUB socket.
        control: the DEALER socket, if there is one.
        before_renewal: is called before the DEALER socket is closed for a new one.
    """

    def __init__(
        self,
        url: str,
        prefixes: Sequence[str],
        *,
        control: str | None = None,
        keys: Keys | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        """Subscribe first, so that nothing is lost between.

        Args:
            url: where the device publishes.
            prefixes: of the topics that are wanted.
            control: where it takes requests.
            keys: files of the keys, if the device wants them.
            context: of the caller; by default one of its own.

        Raises:
            AddressUnavailable: one of the two is not a ZeroMQ address.
        """
        self.before_renewal: Callable[[], object] = lambda: None
        self._keys = keys
        self._control_url = control
        self._own = context is None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context() if context is None else context
        self.events: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self.control: zmq.Socket[bytes] | None = None
        self._connected = False
        self._news = self.events.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        try:
            for prefix in prefixes:
                self.events.subscribe(prefix)
            connect(self.events, url, keys)
            if control is not None:
                self.control = self._context.socket(zmq.DEALER)
                connect(self.control, control, keys)
        except BaseException:
            self.close()
            raise

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What is open."""
        return [self.events] if self.control is None else [self.events, self.control]

    @property
    def connected(self) -> bool:
        """Whether the publisher is connected, as far as ZeroMQ knows (a dead network shows after 15 s)."""
        while _is_ready(self._news):
            self._connected = recv_monitor_message(self._news)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
        return self._connected

    def publish_arrived(self) -> list[bytes] | None:
        """Return what was published, if something is there."""
        return _take(self.events)

    def answer_arrived(self) -> list[bytes] | None:
        """Return what the control socket said, if something is there."""
        return None if self.control is None else _take(self.control)

    def ask(self, body: bytes) -> None:
        """Send a request; where there is no room it is lost, and its answer will be missed."""
        if self.control is not None:
            with contextlib.suppress(zmq.Again):
                self.control.send(body, zmq.NOBLOCK)

    def renew_control(self) -> None:
        """Connect to the control socket anew: a request that was lost with its connection blocks nothing."""
        if self.control is not None and self._control_url is not None:
            self.before_renewal()
            self.control.close(linger=0)
            self.control = self._context.socket(zmq.DEALER)
            connect(self.control, self._control_url, self._keys)

    def is_ready(self) -> bool:
        """Return whether something has arrived."""
        ready = [_is_ready(socket) for socket in self.sockets]  # of all: ZeroMQ wakes only who has looked
        return any(ready)

    def answer_is_ready(self) -> bool:
        """Return whether something has arrived from the control socket."""
        return self.control is not None and _is_ready(self.control)

    def close(self) -> None:
        """Disconnect."""
        self.events.disable_monitor()
        self._news.close(linger=0)
        for socket in self.sockets:
            socket.close(linger=0)
        if self._own:
            self._context.term()


def connect(socket: zmq.Socket[bytes], url: str, keys: Keys | None) -> None:
    """Connect a socket, bounded in all that it holds.

    Raises:
        AddressUnavailable: `url` is not a ZeroMQ address.
    """
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.RCVHWM, HIGH_WATER_MARK),
        (zmq.SNDHWM, HIGH_WATER_MARK),
        (zmq.MAXMSGSIZE, MAX_BYTES),
        (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
        (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
        (zmq.CONNECT_TIMEOUT, CONNECT_MS),
    ):
        socket.set(option, value)
    if keys is not None:
        apply_client_keys(socket, keys)
    try:
        socket.connect(url)
    except zmq.ZMQError as error:
        raise AddressUnavailable(
            f"not an address to connect to ({zmq.strerror(error.errno or 0)})",
            where=url,
            remedy="write tcp://ADDRESS:PORT",
        ) from error


def _take(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    try:
        return socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None


def _is_ready(socket: zmq.Socket[bytes]) -> bool:
    return bool(int(socket.get(zmq.EVENTS)) & zmq.POLLIN)
