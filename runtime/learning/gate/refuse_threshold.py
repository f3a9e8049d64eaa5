"""Refuse a useless threshold: one that is only rounding, or a new one that misses faults.

A new threshold follows the highest scores of the new pictures. One person among them, or a scene unknown to the bank,
lifts it over everything that the bundle was made to find. A handful of foreign ones is put aside before
(`runtime.learning.normals.foreign`): what is refused here are many, or ones that are not far enough from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_config.errors import BlindThreshold, UsageError
from runtime.learning.gate.differences import ROUNDING
from runtime.learning.gate.faults_lost import FaultsLost

MAX_GROWTH = 2.0
"""Maximum ratio of the new threshold to the old one. Light and wear of a day move it by tenths; a person among 100
frames of an empty room by 5.5, twenty pictures of another scene by 2.6."""

MAX_NAMED = 5
"""Maximum number of pictures that are named, the highest first."""


def refuse_rounding(threshold: float, lengths: NDArray[np.float64], where: str, least_divisor: float = 1.0) -> None:
    """Refuse a threshold that is only rounding, as to the network the held-out pictures equal the training pictures.

    Args:
        threshold: threshold from the held-out pictures.
        lengths: of the longest feature of each of them, float64 [n].
        where: path of the pictures.
        least_divisor: smallest number that distances are divided by.

    Raises:
        UsageError: it is only rounding.
    """
    if threshold * least_divisor <= ROUNDING * lengths.max():
        raise _all_the_same(len(lengths), where)


def refuse_copies(
    held: Iterable[NDArray[np.float32]], has_copy: Callable[[NDArray[np.float32]], bool], where: str
) -> None:
    """Refuse held-out pictures that to the network all equal training pictures; what may vary would hide it later.

    Args:
        held: features of the held-out pictures, each float32 [patches, D].
        has_copy: whether a training picture has the same features (`same_as`).
        where: path of the pictures.

    Raises:
        UsageError: they differ by rounding only.
    """
    copies = 0
    for picture in held:
        if not has_copy(picture):
            return
        copies += 1
    raise _all_the_same(copies, where)


def same_as(picture: NDArray[np.float32], others: Iterable[NDArray[np.float32]]) -> bool:
    """Return whether one of some other pictures has the same features, but for rounding."""
    limit = ROUNDING * float(np.linalg.norm(picture, axis=1).max())
    return any(float(np.linalg.norm(other - picture, axis=1).max()) <= limit for other in others)


def _all_the_same(count: int, where: str) -> UsageError:
    return UsageError(
        f"to the network all {count} held-out pictures are the same as pictures that were learnt from, so the "
        "threshold would be 0 and every new frame an alarm",
        where=where,
        remedy="take pictures that differ, not copies of one, nor repeated frames of a video (--max-images spreads "
        "them); where they do differ, the network sees nothing of it: check --layers, --mean and --std",
    )


def refuse_blinding(
    before: float,
    after: float,
    golden: Sequence[float],
    scores: Sequence[tuple[str, float]],
    *,
    where: str,
    force: bool,
    faults: FaultsLost | None = None,
) -> str | None:
    """Return the problem of a new threshold; None if there is none.

    Args:
        before: the old threshold.
        after: the new one.
        golden: scores of the bundle's golden frames; those above the old threshold are known faults.
        scores: name and score of each new picture.
        where: path of the new pictures.
        force: return the problem instead of raising.
        faults: synthetic faults that both thresholds find; None if they were not counted.

    Raises:
        BlindThreshold: the new one misses a golden fault or too many synthetic ones, or is more than `MAX_GROWTH` times
            the old one, without `force`.
    """
    found = [score for score in golden if score > before]
    lost = min((score for score in found if score <= after), default=None)
    grown = after > MAX_GROWTH * before
    losing = faults is not None and faults.too_many
    if lost is None and not grown and not losing:
        return None
    by_what = f", {after / before:.1f} times (at most {MAX_GROWTH:g} are expected)" if grown and before > 0 else ""
    fault = f"; a golden fault of the bundle, score {lost:.4g}, would not be found any more" if lost is not None else ""
    many = f"; {faults}" if losing else ""
    limit = min([*([] if lost is None else [lost]), *([MAX_GROWTH * before] if grown else []), after])
    culprits = _culprits(scores, limit)
    problem = f"the threshold would rise from {before:.4g} to {after:.4g}{by_what}{fault}{many}; {culprits}"
    if not force:
        remedy = "remove those that are not normal; if the scene is new, learn it with fit; or give --force"
        raise BlindThreshold(problem, where=where, remedy=remedy)
    return problem


def _culprits(scores: Sequence[tuple[str, float]], limit: float) -> str:
    """Name the pictures that lifted the threshold over the limit, the highest first."""
    above = sorted((one for one in scores if one[1] >= limit), key=lambda one: -one[1])
    named = ", ".join(f"{name} ({score:.4g})" for name, score in above[:MAX_NAMED])
    more = f" and {len(above) - MAX_NAMED} more" if len(above) > MAX_NAMED else ""
    return f"{len(above)} of {len(scores)} pictures did it: {named}{more}"
