"""Leave out held-out pictures by their scores alone, as where a bank is not made again."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Excluded, Outlier
from runtime.learning.normals import words
from runtime.learning.normals.foreign import count_foreign, limit
from runtime.learning.normals.judge import deviations


def leave_out(
    scores: NDArray[np.float64], names: list[str], asked: int | Literal["auto"] | None, before: Excluded | None
) -> tuple[NDArray[np.bool_], Excluded | None]:
    """Choose the pictures to leave out.

    Args:
        scores: of the pictures, float64 [n].
        names: of the pictures.
        asked: number of pictures to leave out, or `auto` for those that are foreign.
        before: what was left out of the bank.

    Returns:
        bool [n], False for those to leave out, and what the manifest says about it: with those left out of the bank.
    """
    if asked is None:
        return np.ones(len(scores), dtype=bool), before
    count = _foreign(scores) if asked == "auto" else min(asked, len(scores))
    order = np.argsort(-scores, kind="stable")[:count]
    apart = deviations(scores)
    out = [
        Outlier(name=names[place], score=float(scores[place]), deviations=round(float(apart[place]), 1), learnt=False)
        for place in order.tolist()
    ]
    learnt = [one for one in before.pictures if one.learnt] if before else []
    kept = np.ones(len(scores), dtype=bool)
    kept[order] = False
    rule = words.RULE if asked == "auto" else words.RULE_COUNT
    return kept, Excluded(asked=asked, rule=rule, pictures=(*learnt, *out))


def held_out_only(excluded: Excluded | None) -> Excluded | None:
    """Return what was left out of the calibration alone."""
    if excluded is None:
        return None
    return msgspec.structs.replace(excluded, pictures=tuple(one for one in excluded.pictures if not one.learnt))


def _foreign(scores: NDArray[np.float64]) -> int:
    """Return how many of the largest scores are foreign, also among those that are left without the first ones."""
    ordered, most, found = np.sort(scores), limit(len(scores)), 0
    while found < most and (more := count_foreign(ordered[: len(ordered) - found], most - found)):
        found += more
    return found
