"""The control socket, which takes requests while the device runs."""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import structlog
import zmq

from edge_config.errors import AddressUnavailable, RequestError
from edge_config.wire.replies import encode_refusal, encode_reply
from edge_config.wire.request_base import Role
from edge_config.wire.requests import AnyRequest, decode_request, name_of, request_id
from runtime.events import Asked
from runtime.messaging import reply_address
from runtime.messaging.listener import Guard, Listener
from runtime.messaging.rate_limit import Rates

ANSWER_S = 180.0
"""Time-out of a request, after which it is refused; loading a bundle may take two minutes."""

MAX_WAITING = 16
"""Maximum number of pending requests of one peer; further ones are refused."""

MAX_WAITING_ALL = 256
"""Maximum number of pending requests of all peers."""

_OPTIONS: dict[int, int] = {
    zmq.LINGER: 200,  # ms, for the last reply
    zmq.MAXMSGSIZE: 1 << 17,  # bytes of a part: ZeroMQ disconnects a peer that sends more, before it is in memory
    zmq.RCVHWM: MAX_WAITING,  # requests of one peer that ZeroMQ keeps
    zmq.SNDHWM: 2 * MAX_WAITING,  # replies to one peer; further ones to a peer that does not read are dropped
}
_TURN_MS = 1000  # poll interval for overdue answers
_MAX_LOGGED = 100  # requests and keys whose refusal is logged; more are only counted
_BRAKE = 5  # after this many requests over the rate limit none is read for a millisecond


@dataclass(frozen=True, slots=True)
class _PendingRequest:
    """A pending request: the route of its answer, and its deadline (monotonic seconds)."""

    route: list[bytes]
    id: str
    until_s: float


class Control:
    """A ROUTER socket, used only by a thread of its own. Answers may come from any thread.

    Attributes:
        endpoint: its address, with the port.
        refused: number of refused requests and failed connections, by reason.
    """

    def __init__(
        self,
        bind: str,
        tell: Callable[[Asked], object],
        *,
        answer_s: float = ANSWER_S,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        guard: Guard | None = None,
        rates: Rates | None = None,
        role_of: Callable[[str], Role | None] | None = None,
    ) -> None:
        """Bind the socket and start listening.

        Args:
            bind: endpoint, such as tcp://127.0.0.1:5557; port * or 0 takes a free one.
            tell: receives every valid request, in the socket's thread; it must not wait.
            answer_s: time-out of a request.
            context: a shared context; by default one of its own, which is closed with it.
            guard: prepares each socket before it is bound, such as `Access.guard`.
            rates: rate limits.
            role_of: returns the role of a public key (Z85); None: there are no keys, and all clients may send all
                requests.

        Raises:
            AddressUnavailable: the address is in use, or is not one of this machine.
        """
        self._tell = tell
        self._answer_s = answer_s
        self._rates = rates or Rates()
        self._role_of = role_of
        self._denied: set[tuple[str, str]] = set()
        self._over = 0
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _PendingRequest] = {}
        self._answers: SimpleQueue[tuple[int, list[bytes]]] = SimpleQueue()
        self._listener = Listener(context, zmq.ROUTER, bind, _OPTIONS, key="control.bind", guard=guard)
        self.endpoint = self._listener.endpoint
        self.refused: Counter[str] = self._listener.refused
        self._lock = threading.Lock()  # of the two that follow, and of the waking
        self._closing = False
        self._rebind = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def reply(self, asked: Asked, payload: Any, parts: Sequence[bytes] = ()) -> None:
        """Answer a request: `payload` is a struct or a value that JSON can hold, `parts` are further frames."""
        self._answer(asked.number, [encode_reply(asked.request.id, payload), *parts])

    def refuse(self, asked: Asked, error: str, *, denied: bool = False) -> None:
        """Refuse a request: `error` is the reason, one line; `denied`: the client's key lacks the role."""
        self._answer(asked.number, [encode_refusal(asked.request.id, error, denied=denied)])

    def rebind(self) -> None:
        """Disconnect all clients; authorised ones reconnect by themselves. Pending answers are lost."""
        with self._lock:
            self._rebind = True
            self._rouse()

    def close(self) -> None:
        """Stop the thread and free the address (with a shared context a moment later); pending requests are refused."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._rouse()
        self._thread.join()
        os.close(self._wake)

    def _answer(self, number: int, frames: list[bytes]) -> None:
        with self._lock:
            if not self._closing:
                self._answers.put((number, frames))
                self._rouse()

    def _rouse(self) -> None:
        if not self._closing or self._thread.is_alive():
            os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        wake = zmq.Poller()
        wake.register(self._wake, zmq.POLLIN)
        while not self._closing:
            if self._over >= _BRAKE:  # reading everything of a flooding client would starve the others
                self._over = 0
                wake.poll(1)
            try:
                self._turn()
            except zmq.ContextTerminated:
                break
            except Exception:  # noqa: BLE001 - a failure of one request must not stop the others
                self.refused["internal"] += 1
                structlog.get_logger().exception("request failed")
        self._send_answers()
        for waiting in self._waiting.values():
            self._send(waiting.route, [encode_refusal(waiting.id, "the device is stopping")])
        self._listener.close()

    def _turn(self) -> None:
        if self._listener.wait(_TURN_MS, self._wake):
            os.eventfd_read(self._wake)
        self._listener.watch()
        self._send_answers()
        self._refuse_overdue()
        if self._rebind:
            self._cut_off()
        self._take()

    def _cut_off(self) -> None:
        self._rebind = False
        self._waiting.clear()
        try:
            self._listener.rebind()
        except AddressUnavailable as error:
            self._rebind = True  # until it is free again
            structlog.get_logger().error("the control socket is closed", problem=str(error), next="retry")

    def _take(self) -> None:
        """Pass a request on, or refuse it; the answer is sent in the envelope of the request."""
        try:
            frames, count, key = self._receive()
        except zmq.Again:
            return
        route, parts = reply_address.split(frames)
        now_s = time.monotonic()
        if wait_s := self._rates.ask(route[0], now_s):
            self._over += 1
            self.refused["rate"] += 1
            if not math.isinf(wait_s):
                self._refuse(route, parts, f"too many requests, retry in {wait_s * 1000:.0f} ms")
            return
        try:
            request, part = self._read(route[0], parts, count - len(route))
        except RequestError as error:
            self._refuse(route, parts, str(error))
            return
        if denial := self._deny(request, key):
            self._send(route, [encode_refusal(request.id, denial, denied=True)])
            return
        number = next(self._numbers)
        self._waiting[number] = _PendingRequest(route, request.id, now_s + self._answer_s)
        self._tell(Asked(number, request, key, part))

    def _deny(self, request: AnyRequest, key: str) -> str:
        """Return the reason why a key may not send a request; empty if it may."""
        role = "operate" if self._role_of is None else self._role_of(key)
        if role in {request.role, "operate"}:
            return ""
        name = name_of(request)
        self.refused["role"] += 1
        if (name, key) not in self._denied and len(self._denied) < _MAX_LOGGED:
            self._denied.add((name, key))
            structlog.get_logger().warning("request refused: its key has the role view", request=name, public_key=key)
        return (
            f"`{name}` needs a key of the role {request.role}; on the device, move this key to clients/{request.role}"
        )

    def _receive(self) -> tuple[list[bytes], int, str]:
        """Receive a message; return its first frames, the number of its frames, and the client's public key."""
        frames: list[bytes] = []
        for count in itertools.count(1):
            frame = self._listener.socket.recv(zmq.NOBLOCK, copy=False)
            if count == 1:
                self._listener.heard(frame)
            if count <= reply_address.KEPT:
                frames.append(frame.bytes)
            if not frame.more:
                break
        return frames, count, "" if self._role_of is None else str(frame.get("User-Id"))

    def _read(self, peer: bytes, parts: list[bytes], count: int) -> tuple[AnyRequest, bytes]:
        """Return a request, and the bytes that came with it."""
        try:
            request = _decode(parts, count)
        except RequestError:
            self.refused["malformed"] += 1
            raise
        own = sum(waiting.route[0] == peer for waiting in self._waiting.values())
        if own >= MAX_WAITING or len(self._waiting) >= MAX_WAITING_ALL:
            self.refused["busy"] += 1
            wait = MAX_WAITING if own >= MAX_WAITING else MAX_WAITING_ALL
            raise RequestError(f"{wait} requests wait for an answer", remedy="retry later")
        return request, parts[1] if request.has_part else b""

    def _send_answers(self) -> None:
        while True:
            try:
                number, frames = self._answers.get_nowait()
            except Empty:
                return
            if (waiting := self._waiting.pop(number, None)) is not None:
                self._send(waiting.route, frames)

    def _refuse_overdue(self) -> None:
        now_s = time.monotonic()
        for number in [number for number, waiting in self._waiting.items() if waiting.until_s <= now_s]:
            waiting = self._waiting.pop(number)
            self.refused["unanswered"] += 1
            self._send(waiting.route, [encode_refusal(waiting.id, f"no answer within {self._answer_s:g} s")])

    def _refuse(self, route: list[bytes], parts: list[bytes], error: str) -> None:
        self._send(route, [encode_refusal(request_id(parts[0]) if parts else "", error)])

    def _send(self, route: list[bytes], frames: list[bytes]) -> None:
        """Send frames back; ROUTER drops them if the peer is gone or does not read."""
        self._listener.socket.send_multipart([*route, *frames], zmq.NOBLOCK)


def _decode(parts: list[bytes], count: int) -> AnyRequest:
    """Decode the request of a message of so many parts after its envelope."""
    if count not in {1, 2}:
        raise RequestError(f"a message of {count} parts, a request has one")
    request = decode_request(parts[0])
    if count != 1 + request.has_part:
        raise RequestError(f"a message of {count} parts, this request has {1 + request.has_part}")
    return request
