"""The socket that takes requests while the device runs."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import zmq

from edge_config.control import AnyRequest, decode_request, encode_refusal, encode_reply, request_id
from edge_config.errors import AddressUnavailable, RequestError

ANSWER_S = 180.0
"""A request that the main loop has not answered by then is refused; loading a bundle may take two minutes."""

MAX_WAITING = 16
"""So many requests may wait for an answer at once; another is refused."""

_MAX_BYTES = 1 << 20  # ZeroMQ throws out who sends more, before it is in memory
_LINGER_MS = 200  # for the last reply
_TURN_MS = 1000  # how often overdue answers are looked for


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as the main loop gets it: it answers each by `Control.reply` or `Control.refuse`, once."""

    number: int
    request: AnyRequest


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Whom an answer goes to, and until when it is awaited (monotonic seconds)."""

    route: list[bytes]
    id: str
    until_s: float


class Control:
    """A ROUTER socket in a thread of its own, which alone touches it. Answer and close from one thread."""

    def __init__(self, bind: str, tell: Callable[[Asked], object], *, answer_s: float = ANSWER_S) -> None:
        """Bind the socket and start to listen.

        Args:
            bind: endpoint, such as tcp://127.0.0.1:5557; port * or 0 takes a free one.
            tell: gets every good request, in the socket's thread; it must not wait.
            answer_s: how long an answer is awaited.

        Raises:
            AddressUnavailable: the address is in use, or is not one of this machine.
        """
        self._tell = tell
        self._answer_s = answer_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._answers: SimpleQueue[tuple[int, bytes]] = SimpleQueue()
        self._closing = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, _LINGER_MS)
        self._socket.set(zmq.MAXMSGSIZE, _MAX_BYTES)
        try:
            self._socket.bind(bind)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise AddressUnavailable(
                f"cannot be bound ({zmq.strerror(error.errno or 0)})",
                where=bind,
                remedy="stop what uses it, or set another control.bind",
            ) from error
        self.endpoint = self._socket.get_string(zmq.LAST_ENDPOINT)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def reply(self, asked: Asked, payload: Any) -> None:
        """Answer a request that was done; `payload` is a struct or what JSON can hold."""
        self._answer(asked.number, encode_reply(asked.request.id, payload))

    def refuse(self, asked: Asked, error: str) -> None:
        """Answer a request that was not done; `error` is one line that says why."""
        self._answer(asked.number, encode_refusal(asked.request.id, error))

    def close(self) -> None:
        """Free the address and end the thread; who still waits for an answer is refused."""
        if self._closing:
            return
        self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._context.term()
        os.close(self._wake)

    def _answer(self, number: int, body: bytes) -> None:
        if not self._closing:
            self._answers.put((number, body))
            os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake, zmq.POLLIN)
        while not self._closing:
            ready = dict(poller.poll(_TURN_MS))
            if self._wake in ready:
                os.eventfd_read(self._wake)
            self._send_answers()
            self._refuse_overdue()
            if self._socket in ready:
                self._take(self._socket.recv_multipart())
        self._send_answers()
        for waiting in self._waiting.values():
            self._send(waiting.route, encode_refusal(waiting.id, "the device is stopping"))
        self._socket.close()

    def _take(self, frames: list[bytes]) -> None:
        """Hand a request on, or refuse it; a REQ socket puts an empty frame before it, and wants it back."""
        head = 2 if frames[1:2] == [b""] else 1
        route, parts = frames[:head], frames[head:]
        try:
            request = self._read(parts)
        except RequestError as error:
            self._send(route, encode_refusal(request_id(parts[0]) if parts else "", str(error)))
            return
        number = next(self._numbers)
        self._waiting[number] = _Waiting(route, request.id, time.monotonic() + self._answer_s)
        self._tell(Asked(number, request))

    def _read(self, parts: list[bytes]) -> AnyRequest:
        if len(parts) != 1:
            raise RequestError(f"a message of {len(parts)} parts, a request is one")
        request = decode_request(parts[0])
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError(f"{MAX_WAITING} requests wait for an answer", remedy="ask later")
        return request

    def _send_answers(self) -> None:
        while True:
            try:
                number, body = self._answers.get_nowait()
            except Empty:
                return
            if (waiting := self._waiting.pop(number, None)) is not None:
                self._send(waiting.route, body)

    def _refuse_overdue(self) -> None:
        now_s = time.monotonic()
        for number in [number for number, waiting in self._waiting.items() if waiting.until_s <= now_s]:
            waiting = self._waiting.pop(number)
            self._send(waiting.route, encode_refusal(waiting.id, f"no answer within {self._answer_s:g} s"))

    def _send(self, route: list[bytes], body: bytes) -> None:
        """Send to whom it came from; ROUTER drops what goes to somebody who has left."""
        self._socket.send_multipart([*route, body])
