"""Light and sharpness that leave the range of the normal pictures and what was declared, and do not come back."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal

from edge_config.bundle.may_vary import Usual
from runtime.measures import Measures

LookChange = Literal["brighter", "darker", "sharper", "softer"]

BLOCK_S = 2.0
"""The median over this time counts."""
MARGIN = 0.01
"""Beyond the range by this share of its bound."""
BEGIN_S, END_S = 10.0, 60.0
"""Time outside of the range after which it is a change, and inside after which it is over, ..."""
MIN_BLOCKS = 5
"""... and at least so many blocks, for cameras with few frames."""


@dataclass(slots=True)
class _Lasting:
    """One kind of change with its hysteresis.

    Attributes:
        is_on: it is a change.
        since_ns: wall clock of the first block outside of the range.
        blocks: number of blocks in a row that contradict `is_on`.
        first_ns: clock of the first of them.
    """

    is_on: bool = False
    since_ns: int = 0
    blocks: int = 0
    first_ns: int = 0

    def __call__(self, clock_ns: int, wall_ns: int, *, outside: bool) -> None:
        """Take a block."""
        if outside == self.is_on:
            self.blocks = 0
            return
        if not self.blocks:
            self.first_ns = clock_ns
            if outside:
                self.since_ns = wall_ns
        self.blocks += 1
        lasted_s = (clock_ns - self.first_ns) / 1e9
        if self.blocks >= MIN_BLOCKS and lasted_s >= (BEGIN_S if outside else END_S):
            self.is_on, self.blocks = outside, 0


class SceneChange:
    """Compares what is measured of one camera's pictures with their usual range. Use it from one thread.

    Attributes:
        latches: kinds of change.
    """

    def __init__(self, usual: Usual) -> None:
        """Begin without a change."""
        self._usual = usual
        self.latches: dict[LookChange, _Lasting] = {
            "brighter": _Lasting(),
            "darker": _Lasting(),
            "sharper": _Lasting(),
            "softer": _Lasting(),
        }
        self._begun_ns: int | None = None
        self._wall_ns = 0
        self._seen: list[Measures] = []

    def __call__(self, clock_ns: int, wall_ns: int, measures: Measures) -> None:
        """Take what was measured of a frame that is in no alert; clocks as of `Evidence`."""
        if self._begun_ns is None or not 0 <= clock_ns - self._begun_ns < BLOCK_S * 1e9:
            self._close()
            self._begun_ns, self._wall_ns = clock_ns, wall_ns
        if not self._seen or measures != self._seen[-1]:  # it is measured less often than frames come
            self._seen.append(measures)

    def _close(self) -> None:
        """Compare the block that is over."""
        if not self._seen or self._begun_ns is None:
            return
        light = statistics.median(one.luminance for one in self._seen)
        highlights = statistics.median(one.highlights for one in self._seen)
        edges = statistics.median(one.edges for one in self._seen)
        self._seen.clear()
        usual, at = self._usual, (self._begun_ns, self._wall_ns)
        brighter = _is_above(light, usual.luminance[1]) or _is_above(highlights, usual.highlights[1])
        darker = _is_below(light, usual.luminance[0]) or _is_below(highlights, usual.highlights[0])
        self.latches["brighter"](*at, outside=brighter)
        self.latches["darker"](*at, outside=darker)
        self.latches["sharper"](*at, outside=_is_above(edges, usual.edges[1]))
        self.latches["softer"](*at, outside=_is_below(edges, usual.edges[0]))


def _is_above(value: float, bound: float) -> bool:
    return value > bound * (1 + MARGIN)


def _is_below(value: float, bound: float) -> bool:
    return value < bound * (1 - MARGIN)
