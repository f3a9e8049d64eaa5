"""Frames that were not scored: counted by camera and reason, and logged when they are many."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from runtime.monitoring.metrics import DROPPED

WINDOW_S = 10.0
"""Window of the shares, longer than a burst of a stream."""

MANY, FEW = 0.25, 0.05
"""Shares of the frames of a window: from the first on drops are logged, and below the second that they are over."""

OPENING_S = 2.0
"""A stream that is opened first sends what it has kept: what is dropped of it was old, and is not logged."""

LOST = ("newer", "no slot", "too old")
"""Reasons that count as lost frames; the others are logged elsewhere, or are wanted."""


class DropsChanged(NamedTuple):
    """For the log: many frames of a camera are dropped, or no longer.

    Attributes:
        many: whether they are.
        share: of the frames of the last `WINDOW_S`, 0 to 1.
        reasons: number of them, by reason.
    """

    many: bool
    share: float
    reasons: dict[str, int]


@dataclass(slots=True)
class _Camera:
    """Counters of one camera, the totals of the last `WINDOW_S`, and when it was opened."""

    counted: Counter[str] = field(default_factory=Counter)
    past: deque[tuple[float, int, dict[str, int]]] = field(default_factory=deque)
    many: bool = False
    connection: int = -1
    given: int = 0
    opened_s: float = 0.0


class Drops:
    """Counts frames that were not scored. Use it from the main loop's thread."""

    def __init__(self) -> None:
        """Begin without a camera."""
        self._cameras: dict[str, _Camera] = {}

    def count(self, camera: str, reason: str) -> None:
        """Count a frame that no feed counts, such as one that is `too old`."""
        self._of(camera).counted[reason] += 1

    def of(self, camera: str, by_feed: Mapping[str, int]) -> dict[str, int]:
        """Return the number of frames that were not scored, by reason.

        Args:
            camera: its name.
            by_feed: the counters of its feed.
        """
        return {**dict.fromkeys(DROPPED, 0), **by_feed, **self._of(camera).counted}

    def look(
        self, now_s: float, camera: str, captured: int, by_feed: Mapping[str, int], connection: int = 0
    ) -> DropsChanged | None:
        """Process the totals, about once a second; return what is to be logged, if anything.

        Args:
            now_s: monotonic time, seconds.
            camera: its name.
            captured: number of frames that it delivered so far.
            by_feed: those of them that its feed dropped, by reason.
            connection: how often it was reopened.
        """
        mine, total = self._of(camera), self.of(camera, by_feed)
        given = captured + sum(by_feed.values())
        if connection != mine.connection:
            mine.connection, mine.given = connection, given
        if given == mine.given:  # nothing of this connection has come yet
            mine.opened_s = now_s
        if now_s - mine.opened_s < OPENING_S:
            mine.past.clear()
        mine.past.append((now_s, captured, total))
        while now_s - mine.past[0][0] > WINDOW_S:
            mine.past.popleft()
        began_s, captured_then, then = mine.past[0]
        new = {reason: total[reason] - then[reason] for reason in LOST if reason in then}
        reasons = {reason: number for reason, number in new.items() if number}
        lost = sum(reasons.values())
        share = lost / max(1, captured - captured_then, lost)
        settled = now_s - began_s >= WINDOW_S / 2
        if not settled or not (share < FEW if mine.many else share >= MANY):
            return None
        mine.many = not mine.many
        return DropsChanged(mine.many, share, reasons)

    def _of(self, camera: str) -> _Camera:
        return self._cameras.setdefault(camera, _Camera())


def log_drops(camera: str, news: DropsChanged) -> None:
    """Log that many frames of a camera are dropped, or few again."""
    if news.many:
        structlog.get_logger().warning(
            "many frames are dropped", camera=camera, share=round(news.share, 2), reasons=news.reasons
        )
    else:
        structlog.get_logger().info("few frames are dropped again", camera=camera, share=round(news.share, 2))
