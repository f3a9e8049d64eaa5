"""Gaps in what was published: counted by topic, and reported to the device."""

from __future__ import annotations

from collections import Counter

from edge_config.wire.requests import ReportGap
from runtime.client.in_flight import Asking
from runtime.client.received import Place, Received, missing

REPORT_EVERY_S = 1.0
"""At most one report of lost messages in so many seconds."""


class Gaps:
    """Counts what is missing, by topic."""

    def __init__(self, asking: Asking, subscriber: str | None) -> None:
        """Begin with nothing.

        Args:
            asking: what reports are put to.
            subscriber: name of the subscriber, if it has one.
        """
        self._asking = asking
        self._subscriber = subscriber
        self._last: dict[str, Place] = {}
        self._unreported: Counter[str] = Counter()
        self._reported_s = 0.0

    def before(self, received: Received) -> int:
        """Count what is missing before a message that was published."""
        missed = missing(self._last.get(received.topic), received.place)
        self._last[received.topic] = received.place
        if missed:
            self._unreported[received.topic] += missed
        return missed

    def report(self, now_s: float) -> None:
        """Tell the device of one topic, if it is time to, and if nothing better is to be asked."""
        asking = self._asking
        may_ask = asking.room and (not asking.failures or asking.is_idle)
        if self._unreported and may_ask and now_s >= self._reported_s + REPORT_EVERY_S:
            self._reported_s = now_s
            topic, missed = self._unreported.popitem()
            asking.put(ReportGap(topic=topic, missed=missed, subscriber=self._subscriber))
