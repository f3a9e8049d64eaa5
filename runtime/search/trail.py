"""Bank entries that were near in the last frames, carried on by the motion of the scene.

They are for scenes that move as a whole, such as a belt. A shift by whole patches is rare. But where a belt moves by
five eighths of a patch from frame to frame, it moves by five patches in eight frames, and by nearly two in three. So of
the last frames those are taken since which the scene moved by nearly whole patches: what a patch shows now, another one
showed there in the same position.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.search.motion import CLEAR, Correlate, Spectrum

LENGTH = 8
"""Frames that are remembered: in so many a speed of whole pixels reaches whole patches, if a patch has 8 pixels."""

_ALIKE = 2
"""Frames, beside the last one, whose entries are used. With 7 a belt needs as many comparisons as with 2."""

_COLUMNS = 1 + _ALIKE + 1  # the best of those three, the other two, and of the patch itself

_LOOK = 4
"""Useless frames in a row, until it rests, as in more than that a belt that is worth following moves by a patch; and
useful ones until its next rest is a short one."""

_LONGEST_REST = 32  # frames, until it is tried again

_TRUSTED = 3  # frames that are not measured, after one in which the scene moved as foreseen

_ASTRAY = 0.5  # patches: a scene that is farther from where it was foreseen does not move as before

_FARTHEST = 0.5  # share of the picture: a longer way is the shorter one around the edge

_Place = tuple[float, float]


class _FollowedFrame(NamedTuple):
    spectrum: Spectrum | None  # None if it was not measured
    place: _Place  # of the scene, rows and columns
    entries: NDArray[np.int64]  # [rows, columns]


class _Step(NamedTuple):
    lag: int  # place of the earlier frame in the list
    way: _Place

    @property
    def whole(self) -> tuple[int, int]:
        return round(self.way[0]), round(self.way[1])

    def astray(self, foreseen: _Place) -> bool:
        return max(abs(self.way[0] - foreseen[0]), abs(self.way[1] - foreseen[1])) > _ASTRAY


class Trail:
    """Entries of the last frames of one camera, for a scene that moves."""

    def __init__(self, grid_hw: tuple[int, int], axes: NDArray[np.floating]) -> None:
        """Begin empty, for a grid of `rows` x `columns` patches; motion is seen along the first axes of [D, a]."""
        self._hw = grid_hw
        self._correlate = Correlate(grid_hw, axes)
        self._kept: list[_FollowedFrame] = []  # the newest first
        self._now: tuple[Spectrum | None, _Place] | None = None  # of the frame that is looked at
        self._row = 0  # useful frames in a row; below 0: useless ones
        self._rest = 0  # remaining frames that are not looked at
        self._last_rest = 0
        self._trusted = 0  # remaining frames that need not be measured

    def follow(
        self, features: NDArray[np.float32], own: NDArray[np.int64], active: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64] | None:
        """Look at a frame, and return what is known where the scene was, the best first.

        Args:
            features: float32 [patches, D].
            own: what is known at each patch itself, int64 [patches]: for what was outside the picture.
            active: bool [patches], the patches that count; None: all.

        Returns:
            Entries, int64 [patches, 4]; None if the scene did not move by a patch, or it is not clear how far.
        """
        self._now = None
        if self._rest:
            self._rest -= 1
            return None
        if self._trusted:
            self._trusted -= 1
            self._now = None, self._foreseen()
            return self._carried(self._steps_to(self._now[1]), own)
        spectrum = self._correlate.spectrum(features, active)
        steps = self._steps(spectrum)
        if not steps:
            self._kept.clear()
            self._now = spectrum, (0.0, 0.0)
            return None
        self._now = spectrum, self._place(steps[0])
        return self._carried(steps, own)

    def keep(self, index: NDArray[np.int64], *, useful: bool) -> None:
        """Remember the entries of the frame that was looked at, int64 [patches], and whether that was of use."""
        if self._now is None:
            return
        self._kept = [_FollowedFrame(*self._now, index.reshape(self._hw).copy()), *self._kept[: LENGTH - 1]]
        self._trusted = self._trusted if useful else 0
        self._row = max(self._row, 0) + 1 if useful else min(self._row, 0) - 1
        if self._row > _LOOK:
            self._last_rest = 0
        elif self._row < -_LOOK:
            self._row = 0
            self._kept.clear()
            self._rest = self._last_rest = min(2 * self._last_rest + 1, _LONGEST_REST)

    def _steps(self, spectrum: Spectrum) -> list[_Step]:
        """Return how far the scene moved since the last frame and others, the best first; none if that is unclear.

        While it moves as before, one of these ways is measured, and the others follow from it.
        """
        seen = [lag for lag, one in enumerate(self._kept) if one.spectrum is not None]
        if len(self._kept) > _ALIKE + 1:
            foreseen = self._ways(self._foreseen())
            seen = self._best(foreseen, seen)
            measured = self._measured(spectrum, seen[:1])
            if measured and not measured[0].astray(foreseen[seen[0]]):
                self._trusted = _TRUSTED
                return self._steps_to(self._place(measured[0]))
        return sorted(self._measured(spectrum, seen), key=lambda step: _off_the_grid(step.way))

    def _steps_to(self, place: _Place) -> list[_Step]:
        """Return the ways to a place since the last frame, and since those that it is whole patches away from."""
        ways = self._ways(place)
        lags = [*self._best(ways, range(1, len(ways)))[:_ALIKE], 0]
        return sorted((_Step(lag, ways[lag]) for lag in lags), key=lambda step: _off_the_grid(step.way))

    def _best(self, ways: list[_Place], lags: Iterable[int]) -> list[int]:
        """Return those of the earlier frames that have something in common with the scene, the most useful first."""
        ranked = sorted((self._cost(ways[lag]), lag) for lag in lags)
        return [lag for cost, lag in ranked if cost < np.inf]

    def _measured(self, spectrum: Spectrum, lags: Iterable[int]) -> list[_Step]:
        """Return how far the scene moved since some of the last frames, where that is clear."""
        steps = []
        for lag in lags:
            before = self._kept[lag].spectrum
            shift = None if before is None else self._correlate.shift(spectrum, before)
            if shift is not None and shift.peak > CLEAR:
                steps.append(_Step(lag, (shift.rows, shift.columns)))
        return steps

    def _place(self, step: _Step) -> _Place:
        """Return where the scene is after a step."""
        (row, column), (down, right) = self._kept[step.lag].place, step.way
        return row + down, column + right

    def _foreseen(self) -> _Place:
        """Return where the scene will be, if it moves on as in the last frames."""
        (row, column), (old_row, old_column) = self._kept[0].place, self._kept[-1].place
        steps = len(self._kept) - 1
        return row + (row - old_row) / steps, column + (column - old_column) / steps

    def _ways(self, place: _Place) -> list[_Place]:
        """Return how far it is to a place since each of the last frames."""
        return [(place[0] - one.place[0], place[1] - one.place[1]) for one in self._kept]

    def _cost(self, way: _Place) -> float:
        """Return what speaks against a frame since which the scene will have moved so far."""
        shares = abs(way[0]) / self._hw[0], abs(way[1]) / self._hw[1]  # of the patches, of which it shows nothing
        return _off_the_grid(way) + sum(shares) if max(shares) < _FARTHEST else np.inf

    def _carried(self, steps: list[_Step], own: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return the entries of earlier frames, moved on by whole patches; None if none moved by any."""
        if all(step.whole == (0, 0) for step in steps):
            return None
        height, width = self._hw
        known = np.repeat(own, _COLUMNS).reshape(height, width, _COLUMNS)
        for column, step in reversed(list(enumerate(steps[: _ALIKE + 1]))):
            (down, right), entries = step.whole, self._kept[step.lag].entries
            to = slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right))
            came = entries[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
            known[(*to, 0)] = came
            if column:
                known[(*to, column)] = came
        return known.reshape(height * width, _COLUMNS)


def _off_the_grid(way: _Place) -> float:
    """Return how far a shift is from whole patches, in both directions together."""
    return abs(way[0] - round(way[0])) + abs(way[1] - round(way[1]))
