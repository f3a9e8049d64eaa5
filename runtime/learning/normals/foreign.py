"""The rule for scores that are foreign: so far above all others that they can hardly be the tail of the same scores.

The logarithms of the scores above their median are taken for exponentially distributed, as those of a power law are: no
scores of normal pictures that we have seen have a heavier tail, and with a lighter one the rule errs more rarely. In
such a tail the gap between the f-th largest score and the next is independent of all scores below it (Renyi), and the
chance of a gap as wide has a closed form, exact for few pictures too:

    (1 + f gap / W) ** -(m - f)

with m scores above the median, f of them above the gap, and W the sum of how far the scores are above the median, where
the f count as if they were at the lower end of the gap. Nothing has to be estimated. And as the gap says nothing about
where the scores below it end, a threshold there keeps the promise of its rank.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHANCE = 1e-2
"""Chance that any score of a set without foreign ones is called foreign, at most, with a tail as heavy as assumed. Of
this, a gap below the f largest scores has a share in proportion to 1 / f: one foreign picture is likelier than ten."""

MAX_SHARE = 0.15
"""Share of the scores that may be foreign at most: what more of them show is not a handful. Of five and more scores
one may be."""
MIN_SCORES = 5

MIN_RATIO = 1.1
"""A foreign score is at least this multiple of the largest that is not: less hardly lifts a threshold."""

_TINY = 1e-12
_WIDEST = 50.0  # its exponential is a number


def count_foreign(scores: NDArray[np.float64], most: int | None = None) -> int:
    """Return how many of the largest scores are foreign; 0 for most sets.

    Args:
        scores: float64 [n], at least 0.
        most: that may be foreign; by default the share `MAX_SHARE` of them.
    """
    most = limit(len(scores)) if most is None else most
    chances, ratios = gaps(scores, most)
    shares = 1 / np.arange(1, len(chances) + 1)
    found = np.flatnonzero((chances < CHANCE * shares / max(shares.sum(), 1)) & (ratios >= MIN_RATIO))
    return int(found[-1]) + 1 if len(found) else 0


def limit(scores: int) -> int:
    """Return how many of some scores may be foreign."""
    return max(1, int(MAX_SHARE * scores)) if scores >= MIN_SCORES else 0


def gaps(scores: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the chance of a gap as wide as that below the f largest scores, and the ratio of its ends.

    Both for f = 1, 2, ... at most `most`, and as long as there is a score between the gap and the median.
    """
    logs = np.log(np.maximum(np.sort(scores), _TINY))
    middle = (len(logs) - 1) // 2
    above = logs[middle + 1 :] - logs[middle]
    f = np.arange(1, min(most, len(above) - 1) + 1)
    rest = len(above) - f
    wide = above[rest] - above[rest - 1]
    spread = np.cumsum(above)[rest - 1] + f * above[rest - 1]
    return np.exp(-rest * np.log1p(f * wide / np.maximum(spread, _TINY))), np.exp(np.minimum(wide, _WIDEST))
