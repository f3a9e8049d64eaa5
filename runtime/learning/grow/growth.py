"""Let a bank grow: farthest first, continued over new patches (the old bank is the beginning of the new one).

Distances are those that scores are made of, by the same loop. What the bank holds already is never changed: neither its
entries nor their spacings, nor the mean that is added to them. So no distance ever grows, and every score of the modes
`max` and `topk` that was measured before is an upper bound of what it is now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.measure import NEAREST
from runtime.search.full import distances
from runtime.search.measure import Measure

_MARGIN = 1e-4
"""Relative: more than the rounding of a distance in float32. What is this close to the eighth nearest entry is compared
in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Growing:
    """A bank and its measure.

    Attributes:
        bank: float32 [k, D].
        measure: of its distances.
    """

    bank: NDArray[np.float32]
    measure: Measure

    def select(self, rows: NDArray[np.int64]) -> Growing:
        """Return the bank of some entries; their spacings stay."""
        return Growing(self.bank[rows], replace(self.measure, spacing=self.measure.spacing[rows]))


class NewPictures:
    """The patches of new pictures that may join, and how far they are from the bank.

    Only patches beyond `limit` are kept: others need no entry.
    """

    def __init__(self, dimension: int, k: int, threshold: float, usual: float, limit: float) -> None:
        """Begin without pictures.

        Args:
            dimension: D.
            k: the number of largest distances whose mean is the score; 1 for the largest.
            threshold: what a picture may score that was not over it before.
            usual: what the others may score: up to the threshold, more pictures of the kind would lie around it.
            limit: distance up to which a patch needs no entry; at most `usual`.
        """
        self._k = k
        self._threshold, self._usual, self._limit = threshold, usual, limit
        self._wanted: list[float] = []
        self._features = [np.empty((0, dimension), np.float32)]
        self._distances = [np.empty(0, np.float32)]
        self._pictures = [np.empty(0, np.int64)]
        self._below: list[NDArray[np.float32]] = []

    def add(self, features: NDArray[np.float32], found: NDArray[np.float32]) -> None:
        """Add the patches of a picture, float32 [n, D], with their exact distances to the bank, float32 [n]."""
        far = found > self._limit
        self._features.append(features[far])
        self._distances.append(found[far])
        self._pictures.append(np.full(int(far.sum()), len(self._below)))
        self._below.append(np.sort(found[~far])[-self._k :])
        was = np.sort(found)[-self._k :].mean(dtype=np.float64)
        self._wanted.append(self._usual if was > self._threshold else self._threshold)

    @property
    def features(self) -> NDArray[np.float32]:
        """The patches that may join, float32 [n, D]."""
        return np.concatenate(self._features)

    @property
    def distances(self) -> NDArray[np.float32]:
        """Their distances to the bank, float32 [n]."""
        return np.concatenate(self._distances)

    @property
    def pictures(self) -> NDArray[np.int64]:
        """The number of the picture that each of them belongs to, int64 [n]."""
        return np.concatenate(self._pictures)

    @property
    def wanted(self) -> NDArray[np.float64]:
        """What each picture may score, float64."""
        return np.array(self._wanted)

    def scores(self, pictures: NDArray[np.int64], now: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores of all pictures, float64, when their patches that may join are at distances `now`.

        They are upper bounds: the other patches may be nearer than at the beginning.
        """
        far = (now[pictures == number] for number in range(len(self._below)))
        both = (np.concatenate(pair) for pair in zip(far, self._below, strict=True))
        return np.array([np.sort(one)[-self._k :].mean(dtype=np.float64) for one in both])


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """How a bank grew.

    Attributes:
        grown: the bank.
        joined: which patches joined, in order: rows of the patches that may, int64 [added].
        full: it stopped because no more entries may join.
        radius: the largest distance of a new patch that is left.
    """

    grown: Growing
    joined: NDArray[np.int64]
    full: bool
    radius: float


def grow(
    start: Growing,
    new: NewPictures,
    *,
    radius: float,
    most: int,
    added: Callable[[int], object] = lambda _: None,
) -> Growth:
    """Let the farthest new patch join, until none is beyond `radius` and no picture scores more than it may.

    Args:
        start: the bank.
        new: the new pictures.
        radius: distance to the bank up to which its own training patches were.
        most: maximum number of entries that may join.
        added: receives the number of entries that have joined, repeatedly.
    """
    features, left, pictures = new.features, new.distances.copy(), new.pictures
    entries = _Room(start, most)
    joined: list[int] = []
    while True:
        place = _next(new, left, pictures, radius)
        if place is None or len(joined) == most:
            break
        divisor = entries.join(features[place])
        np.minimum(left, _distances_to(features, features[place], divisor), out=left)
        joined.append(place)
        added(len(joined))
    return Growth(entries.grown(), np.array(joined, np.int64), place is not None, float(left.max(initial=0.0)))


def _next(new: NewPictures, left: NDArray[np.float32], pictures: NDArray[np.int64], radius: float) -> int | None:
    """Return the patch that joins next; None if none needs to. Of patches that are equally far, the first."""
    if not len(left):
        return None
    place = int(np.argmax(left))
    if left[place] > radius:
        return place
    over = new.scores(pictures, left) > new.wanted
    if not over.any():
        return None
    return int(np.argmax(np.where(over[pictures], left, -1)))


class _Room:
    """A bank with room for entries that join."""

    def __init__(self, start: Growing, most: int) -> None:
        self._start = start
        self._size = len(start.bank)
        room = self._size + most
        self._bank = np.empty((room, start.bank.shape[1]), np.float32)
        self._spacing = np.empty(room, np.float32)
        self._bank[: self._size], self._spacing[: self._size] = start.bank, start.measure.spacing
        self._cap = start.measure.spacing.max()

    def join(self, entry: NDArray[np.float32]) -> np.float32:
        """Add an entry float32 [D], and return what distances to it are divided by."""
        measure = self._start.measure
        spacing = np.float32(0)
        if not measure.undivided:
            spacing = np.float32(min(spacing_of(entry, self._bank[: self._size]), self._cap))
        self._bank[self._size], self._spacing[self._size] = entry, spacing
        self._size += 1
        return np.float32(spacing + measure.mean)

    def grown(self) -> Growing:
        """Return the bank as it is now."""
        spacing = self._spacing[: self._size].copy()
        return Growing(self._bank[: self._size].copy(), replace(self._start.measure, spacing=spacing))


def spacing_of(entry: NDArray[np.float32], bank: NDArray[np.float32]) -> float:
    """Return the mean distance of an entry float32 [D] to its nearest ones in a bank float32 [k, D] without it."""
    near = distances(entry, bank)
    count = min(NEAREST, len(bank))
    limit = np.partition(near, count - 1)[count - 1] * (1 + _MARGIN)
    some = bank[near <= limit].astype(np.float64)
    return float(np.sort(np.linalg.norm(some - entry, axis=1))[:count].mean())


def _distances_to(
    features: NDArray[np.float32], entry: NDArray[np.float32], divisor: np.float32
) -> NDArray[np.float32]:
    """Return the distances of patches float32 [n, D] to an entry, as a search measures them."""
    rows = np.zeros(len(features), np.int64)
    return distances(features, entry[None], rows, None if divisor == 1 else np.array([divisor], np.float32))
