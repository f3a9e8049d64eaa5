"""Drop learnt entries where there are too many: the least useful first, never one of the root.

An entry is as useful as the number of patches that it is the nearest entry of, over all pictures at hand: the new ones,
and the held-out ones of earlier rounds. Of equally useful entries the older ones are dropped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KEPT = 0.75
"""Share of the largest number of learnt entries that is left where there were too many, so that not every round has to
drop some: after it the index is built from scratch."""


def most_learnt(root: int) -> int:
    """Return the largest number of learnt entries: as many as the root has. So a bank at most doubles."""
    return root


def kept(root: int, uses: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the entries to keep, int64 [n], ascending: all, or the root's and the most useful of the others.

    Args:
        root: number of entries of the root, which come first.
        uses: of each entry, how many patches it is the nearest of, int64 [k].
    """
    if len(uses) - root <= most_learnt(root):
        return np.arange(len(uses))
    room = max(1, int(KEPT * most_learnt(root)))
    newest_first = np.arange(len(uses) - 1, root - 1, -1)
    best = newest_first[np.argsort(-uses[newest_first], kind="stable")][:room]
    return np.concatenate([np.arange(root), np.sort(best)])
