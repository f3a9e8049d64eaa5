"""Frames that were not scored: counted by camera and reason, and logged when they are many."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from runtime.monitoring.metrics import DROPPED

WINDOW_S = 10.0
"""Looked at together: longer than a burst of a stream, that a share of it means something."""

MANY, FEW = 0.25, 0.05
"""Shares of the frames of a window: from the first on drops are said, and below the second that they are over."""

OPENING_S = 2.0
"""A stream that is opened sends at once what it has kept: what is dropped of it was old, and is not looked at."""

LOST = ("newer", "no slot", "too old")
"""Reasons that say that a frame was in vain; the others have a line of their own, or are wanted."""


class News(NamedTuple):
    """What the log says of a camera: many frames are dropped, or no longer.

    Attributes:
        many: whether they are.
        share: of the frames of the last `WINDOW_S`, 0 to 1.
        reasons: how many of them for which reason.
    """

    many: bool
    share: float
    reasons: dict[str, int]


@dataclass(slots=True)
class _Camera:
    """Of one camera: what was counted here, what the totals were in the last `WINDOW_S`, and when it was opened."""

    counted: Counter[str] = field(default_factory=Counter)
    past: deque[tuple[float, int, dict[str, int]]] = field(default_factory=deque)
    many: bool = False
    connection: int = -1
    given: int = 0
    opened_s: float = 0.0


class Drops:
    """Counts frames that were not scored. Use it from the main loop's thread."""

    def __init__(self) -> None:
        """Know of no camera yet."""
        self._cameras: dict[str, _Camera] = {}

    def count(self, camera: str, reason: str) -> None:
        """Count a frame that no feed counts, such as one that is `too old`."""
        self._of(camera).counted[reason] += 1

    def of(self, camera: str, by_feed: Mapping[str, int]) -> dict[str, int]:
        """Return how many frames were not scored, by reason.

        Args:
            camera: its name.
            by_feed: what its feed has counted.
        """
        return {**dict.fromkeys(DROPPED, 0), **by_feed, **self._of(camera).counted}

    def look(
        self, now_s: float, camera: str, captured: int, by_feed: Mapping[str, int], connection: int = 0
    ) -> News | None:
        """Take note of the totals, about once a second; return what is new, if anything is.

        Args:
            now_s: monotonic time, seconds.
            camera: its name.
            captured: frames that it gave so far.
            by_feed: those of them that its feed has dropped.
            connection: how often it was opened anew.
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
        return News(mine.many, share, reasons)

    def _of(self, camera: str) -> _Camera:
        return self._cameras.setdefault(camera, _Camera())
