"""Rate limits on requests: of each peer, and of all together."""

from __future__ import annotations

import math
from collections import OrderedDict

from runtime.process.token_bucket import Bucket, Rate

MAX_PEERS = 1024
"""Maximum number of peers that are tracked; the one idle for longest is forgotten, and starts with a full bucket."""

EACH, ALL = Rate(200, 400), Rate(1000, 1000)
SILENT = 10
"""A peer at more than this multiple of its rate limit gets no refusals, either."""


class Rates:
    """The rate limits of one socket. Use it from one thread."""

    def __init__(self, each: Rate = EACH, all_: Rate = ALL) -> None:
        """Set the rate limits of each peer and of all together."""
        self._each, self._all = each, all_
        self._refusals = Rate(each.per_s * SILENT, each.burst)
        self._together: Bucket | None = None
        self._peers: OrderedDict[bytes, tuple[Bucket, Bucket]] = OrderedDict()

    def ask(self, peer: bytes, now_s: float) -> float:
        """Count a request of a peer.

        Args:
            peer: identity of the peer.
            now_s: monotonic clock, seconds.

        Returns:
            0 if it is allowed. Otherwise the time until it is, seconds, for the refusal; infinity: send no refusal.
        """
        if self._together is None:
            self._together = Bucket(self._all, now_s)
        if peer not in self._peers:
            self._peers[peer] = Bucket(self._each, now_s), Bucket(self._refusals, now_s)
        self._peers.move_to_end(peer)
        own, refusals = self._peers[peer]
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        wait_s = own.wait_s(now_s) or self._together.wait_s(now_s)  # a peer over its own limit costs others none
        if not wait_s:
            own.take()
            self._together.take()
            return 0.0
        if refusals.wait_s(now_s):
            return math.inf
        refusals.take()
        return wait_s
