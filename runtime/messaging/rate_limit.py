"""Rate limits on requests: of each peer, and of all together."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

MAX_PEERS = 1024
"""So many peers are remembered; who has not asked for longest is forgotten, and begins anew."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and so many at once after a pause."""

    per_s: float
    burst: float


class Bucket:
    """A token bucket: each thing done takes a token, and tokens come back with time. Times are monotonic seconds."""

    def __init__(self, rate: Rate, now_s: float) -> None:
        """Begin with as many tokens as fit."""
        self._rate = rate
        self._tokens = rate.burst
        self._at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Tell how long it takes until there is a token, seconds; 0 if there is one."""
        self._tokens = min(self._rate.burst, self._tokens + (now_s - self._at_s) * self._rate.per_s)
        self._at_s = now_s
        return max(0.0, (1 - self._tokens) / self._rate.per_s)

    def take(self) -> None:
        """Take a token that `wait_s` found."""
        self._tokens -= 1


EACH, ALL = Rate(200, 400), Rate(1000, 1000)
SILENT = 10
"""A peer that goes on at more than so many times its rate is not even refused."""


class Rates:
    """The rates of one socket. Use it from one thread."""

    def __init__(self, each: Rate = EACH, all_: Rate = ALL) -> None:
        """Take the rate of each peer, and that of all together."""
        self._each, self._all = each, all_
        self._refusals = Rate(each.per_s * SILENT, each.burst)
        self._together: Bucket | None = None
        self._peers: OrderedDict[bytes, tuple[Bucket, Bucket]] = OrderedDict()

    def ask(self, peer: bytes, now_s: float) -> float:
        """Return whether a peer may ask now.

        Args:
            peer: what it is known by.
            now_s: monotonic clock, seconds.

        Returns:
            0: it may. Otherwise the seconds until it may, to be told; infinity: it has been told too often.
        """
        if self._together is None:
            self._together = Bucket(self._all, now_s)
        if peer not in self._peers:
            self._peers[peer] = Bucket(self._each, now_s), Bucket(self._refusals, now_s)
        self._peers.move_to_end(peer)
        own, refusals = self._peers[peer]
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        wait_s = own.wait_s(now_s) or self._together.wait_s(now_s)  # who is over its own rate takes nothing of others
        if not wait_s:
            own.take()
            self._together.take()
            return 0.0
        if refusals.wait_s(now_s):
            return math.inf
        refusals.take()
        return wait_s
