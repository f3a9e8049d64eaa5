"""Scores over a time as few points, for a curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.page.store.frames import ScoreRun
from runtime.page.store.tens import TEN_MS, Tens

_MS = 1_000_000  # nanoseconds


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Points in the order of time; where nothing was scored there is none.

    Attributes:
        t_ms: begin of each.
        highest, mean: scores.
        threshold: in force at its end.
    """

    t_ms: NDArray[np.int64]
    highest: NDArray[np.float64]
    mean: NDArray[np.float64]
    threshold: NDArray[np.float64]


class Gather:
    """Puts scores into points of equal length."""

    def __init__(self, from_ms: int, to_ms: int, points: int) -> None:
        """Begin with nothing: so many `points` from one time to another."""
        self._from_ms = from_ms
        self._step_ms = max(1.0, (to_ms - from_ms) / points)
        self._highest = np.full(points, -np.inf)
        self._total, self._count = np.zeros(points), np.zeros(points)
        self._threshold = np.zeros(points)

    def add_run(self, run: ScoreRun) -> None:
        """Take in frames."""
        good = ~np.isnan(run.scores) & ~run.repeated
        thresholds = np.full(int(np.count_nonzero(good)), run.threshold)
        scores = run.scores[good]
        self._add(run.wall_ns[good] / _MS, scores, scores, np.ones(len(scores)), thresholds)

    def add_tens(self, t_ms: NDArray[np.int64], tens: Tens) -> None:
        """Take in ten seconds each."""
        highest, mean, threshold = (tens[name].astype(np.float64) for name in ("max", "mean", "threshold"))
        self._add(t_ms + TEN_MS / 2, highest, mean, tens["count"].astype(np.float64), threshold)

    def curve(self) -> Curve:
        """Return the points that have something."""
        there = np.flatnonzero(self._count)
        return Curve(
            np.round(self._from_ms + there * self._step_ms).astype(np.int64),
            self._highest[there],
            self._total[there] / self._count[there],
            self._threshold[there],
        )

    def _add(
        self,
        t_ms: NDArray[np.floating[Any]],
        highest: NDArray[np.float64],
        mean: NDArray[np.float64],
        counts: NDArray[np.float64],
        thresholds: NDArray[np.float64],
    ) -> None:
        at = np.clip(((t_ms - self._from_ms) / self._step_ms).astype(np.int64), 0, len(self._count) - 1)
        np.maximum.at(self._highest, at, highest)
        np.add.at(self._total, at, mean * counts)
        np.add.at(self._count, at, counts)
        self._threshold[at] = thresholds  # the last one stays
