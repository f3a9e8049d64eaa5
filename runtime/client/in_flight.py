"""Requests on their way to a device: rate limited, matched with their replies, and sent again when one is lost."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from edge_config.errors import MessageError
from edge_config.wire.replies import Answer, decode_answer
from edge_config.wire.request_base import Request
from edge_config.wire.requests import After, Pending, encode_request
from runtime.process.backoff import Backoff
from runtime.process.token_bucket import Bucket, Rate

ANSWER_S = 3.0
"""Time-out of a reply: it is lost, with the connection. A new one is made, and all is asked again."""

LOST_S = 15.0
"""A single reply that has not come by then is lost, even if others come."""

DOWN_AFTER = 2
"""Number of time-outs in a row after which the device counts as down, and nothing waits for it."""

BUSY_AFTER = 4
"""Number of refusals in a row by a busy device after which it counts as down."""

MAX_MESSAGES = 100
"""Maximum number of messages per request to the journal; fewer if a reply takes too long."""

WINDOW = 8
"""Maximum number of requests in flight. The device accepts 16 per client."""

RATE = 150.0
"""Rate limit, requests per second, below the 200 that a device allows a client."""

BURST = 100.0
"""Maximum burst of requests."""

RETRY_S = (0.5, 10.0)
"""Shortest and longest back-off before a request is retried on a device that is busy or does not respond."""

Done = Callable[[Answer, Sequence[bytes]], None]
"""Receives the reply and its binary parts."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, and the receiver of its reply."""

    request: Request
    done: Done | None
    sent_s: float = 0.0


class Asking:
    """The requests of one client, without a socket and without a clock: time is told, monotonic seconds.

    Attributes:
        failures: how many times in a row the device did not answer.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._refusals = 0
        self._queue: deque[_Asked] = deque()
        self._sent: dict[str, _Asked] = {}
        self._ids = itertools.count(1)
        self._limit = MAX_MESSAGES
        self._heard_s = 0.0  # when something was sent to an idle device, or an answer came
        self._not_before_s = 0.0
        self._backoff = Backoff(*RETRY_S)
        self._bucket = Bucket(Rate(RATE, BURST), 0.0)

    @property
    def is_down(self) -> bool:
        """Whether the device is taken not to answer, or not to get round to it."""
        return self.failures >= DOWN_AFTER or self._refusals >= BUSY_AFTER

    @property
    def room(self) -> int:
        """How many more requests could be sent without waiting for an answer."""
        return max(0, WINDOW - len(self._sent) - len(self._queue))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked."""
        return not self._sent and not self._queue

    def put(self, request: Request, done: Done | None = None) -> None:
        """Ask; without `done` it is asked once, and whatever becomes of it is passed over."""
        self._queue.append(_Asked(request, done))

    def due(self, now_s: float) -> list[bytes]:
        """Return the requests that are to be sent now."""
        bodies = []
        while self._queue and len(self._sent) < WINDOW and now_s >= self._not_before_s:
            if self._bucket.wait_s(now_s):
                break
            self._bucket.take()
            if not self._sent:
                self._heard_s = now_s
            asked, number = self._queue.popleft(), str(next(self._ids))
            self._sent[number] = _Asked(asked.request, asked.done, now_s)
            bodies.append(encode_request(self._fit(msgspec.structs.replace(asked.request, id=number))))
        return bodies

    def answered(self, frames: Sequence[bytes], now_s: float) -> None:
        """Take in a reply; what is none, or is late, is passed over."""
        body, *parts = frames[1:] if frames[:1] == [b""] else frames
        try:
            answer = decode_answer(body)
        except MessageError:
            return
        asked = self._sent.pop(answer.id, None)
        if asked is None:
            return
        self._heard_s = now_s
        self.failures = 0
        if answer.is_busy and asked.done is not None:
            self._refusals += 1
            self._queue.appendleft(asked)
            self._not_before_s = now_s + self._backoff.after(0)
            return
        if not answer.is_busy:
            self._refusals = 0
            self._backoff.reset()
        if isinstance(asked.request, After | Pending):
            self._limit = min(MAX_MESSAGES, 2 * self._limit)
        if asked.done is not None:
            asked.done(answer, parts)

    def overdue(self, now_s: float) -> bool:
        """Return whether the device has not answered in time; then a new socket is needed, and all is asked again."""
        if not self._sent:
            return False
        oldest_s = next(iter(self._sent.values())).sent_s
        if now_s < self._heard_s + ANSWER_S and now_s < oldest_s + LOST_S:
            return False
        self.failures += 1
        if any(isinstance(asked.request, After | Pending) for asked in self._sent.values()):
            self._limit = max(1, self._limit // 4)
        self._queue.extendleft(asked for asked in reversed(self._sent.values()) if asked.done is not None)
        self._sent.clear()
        if self.is_down:
            self._not_before_s = now_s + self._backoff.after(0)
        return True

    def _fit(self, request: Request) -> Request:
        if isinstance(request, After | Pending):
            return msgspec.structs.replace(request, limit=self._limit)
        return request
