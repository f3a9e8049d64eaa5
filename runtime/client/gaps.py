"""What was lost of messages that cannot be had again, and what the device is told of it."""

from __future__ import annotations

from collections import Counter

from edge_config.wire.requests import ReportGap
from runtime.client.received import Place, Received
from runtime.client.requests import Asking

REPORT_EVERY_S = 1.0
"""At most one report of lost messages in so many seconds."""


class Gaps:
    """Counts what is missing, by topic."""

    def __init__(self, asking: Asking, subscriber: str | None) -> None:
        """Begin with nothing.

        Args:
            asking: what reports are put to.
            subscriber: the name of who misses something, if it has one.
        """
        self._asking = asking
        self._subscriber = subscriber
        self._last: dict[str, Place] = {}
        self._unreported: Counter[str] = Counter()
        self._reported_s = 0.0

    def before(self, received: Received) -> int:
        """Count what is missing before a message. What went out before the very first one was never ours."""
        place = received.place
        last = self._last.get(received.topic, Place(place.epoch, place.seq - 1))
        self._last[received.topic] = place
        return max(0, place.seq - 1 - (last.seq if last.epoch == place.epoch else 0))

    def add(self, topic: str, missed: int) -> None:
        """Note that messages of a topic did not arrive."""
        if missed:
            self._unreported[topic] += missed

    def report(self, now_s: float) -> None:
        """Tell the device of one topic, if it is time to, and if nothing better is to be asked."""
        asking = self._asking
        may_ask = asking.room and (not asking.failures or asking.is_idle)
        if self._unreported and may_ask and now_s >= self._reported_s + REPORT_EVERY_S:
            self._reported_s = now_s
            topic, missed = self._unreported.popitem()
            asking.put(ReportGap(topic=topic, missed=missed, subscriber=self._subscriber))
