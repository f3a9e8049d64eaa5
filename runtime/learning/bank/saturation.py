"""When is the bank large enough? `--coreset auto`: when twice the entries hardly change the scores of normal pictures.

The bank is chosen farthest first, so every beginning of it is a bank as well, and the scores of a few held-out pictures
are computed along the way, each entry once. They fall as the bank grows: fast while it still lacks kinds of patches,
slowly once only noise is learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.in_slices import workers

CHANGE = 0.03
"""Twice the entries are not worth it where they lower the scores by less: the median over the pictures."""

FIRST = 1024
"""Entries of the smallest bank that is judged; the next ones have twice as many."""

MAX_ENTRIES = 1 << 13
"""Where scores do not settle. With 8,192 entries the search takes a tenth of a frame's time, with 16,384 a third more;
no real set that we have lost a detection by it."""

MAX_SHARE = 0.25
"""Of the training patches: the largest share in the paper."""

MAX_CANDIDATES = 1 << 20
"""Patches to choose from. With more, this many at random: 650 pictures of 1,600 patches are chosen from in full."""

JUDGED = 16
"""Held-out pictures, spread evenly."""

TOP = 5
"""A picture's score is the mean of its largest distances, as that of `topk`."""

_ROWS, _ENTRIES = 512, 2048  # compared at a time: 4 MB


def largest(patches: int) -> int:
    """Return the largest bank that is selected from so many patches."""
    return min(MAX_ENTRIES, max(1, round(MAX_SHARE * patches)))


class Saturation:
    """Judges growing banks by the scores of held-out pictures.

    Attributes:
        change: what the last doubling lowered the scores by, 0 to 1; None before the first.
        reached: whether it was less than `CHANGE`.
    """

    steps = tuple(FIRST << power for power in range((MAX_ENTRIES // FIRST).bit_length()))

    def __init__(
        self,
        take: Callable[[NDArray[np.int64]], NDArray[np.float32]],
        judged: Sequence[NDArray[np.float32]],
    ) -> None:
        """Take what gives the features of rows, and those of held-out pictures, each float32 [patches, D]."""
        self.change: float | None = None
        self.reached = False
        self._take = take
        self._entries: list[NDArray[np.float32]] = []
        self._judged = judged
        self._squares = [np.full(len(picture), np.inf, dtype=np.float32) for picture in judged]
        self._count = 0
        self._last: NDArray[np.float64] | None = None

    def __call__(self, rows: NDArray[np.int64]) -> bool:
        """Return whether the bank with these entries is large enough."""
        self._entries.append(self._take(rows[self._count :]))
        self._compare(self._entries[-1])
        doubled = len(rows) == 2 * self._count
        self._count = len(rows)
        scores = np.array([_score(squares) for squares in self._squares])
        if self._last is not None and doubled:
            falls = np.divide(self._last - scores, self._last, out=np.zeros_like(scores), where=self._last > 0)
            self.change = float(np.median(falls))
            self.reached = self.change < CHANGE
        self._last = scores
        return self.reached

    @property
    def entries(self) -> NDArray[np.float32]:
        """Features of the entries that were judged, float32 [k, D]."""
        return np.concatenate(self._entries)

    def _compare(self, entries: NDArray[np.float32]) -> None:
        """Lower the distances of the pictures to those from further entries, float32 [n, D]."""
        for start in range(0, len(entries), _ENTRIES):
            some = entries[start : start + _ENTRIES]
            norms = np.einsum("nd,nd->n", some, some)
            columns = -2 * some.T
            with workers() as pool:
                pairs = zip(self._judged, self._squares, strict=True)
                list(pool.map(partial(_lower, columns, norms), pairs))


def _lower(
    columns: NDArray[np.float32], norms: NDArray[np.float32], pair: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> None:
    """Lower a picture's squared distances to those from entries with these squared norms, -2 times as columns."""
    picture, squares = pair
    for row in range(0, len(picture), _ROWS):
        part = picture[row : row + _ROWS]
        products = part @ columns
        products += norms
        apart = products.min(axis=1) + np.einsum("nd,nd->n", part, part)
        np.minimum(squares[row : row + _ROWS], apart, out=squares[row : row + _ROWS])


def _score(squares: NDArray[np.float32]) -> float:
    top = min(TOP, len(squares))
    return float(np.sqrt(np.maximum(np.partition(squares, -top)[-top:], 0).astype(np.float64)).mean())
