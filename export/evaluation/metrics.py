"""Metrics over scores and anomaly maps; None where the pictures do not allow one.

scikit-learn is loaded when the first is computed: it takes a second, and most fits compute none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

PRO_LIMIT = 0.3
"""False-positive rate up to which the area under the PRO curve is taken (Bergmann et al., the usual value)."""

_NEIGHBOURS = 8  # pixels that touch at a corner are one region

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]


def image_auroc(scores: Scores, anomalous: Truth) -> float | None:
    """Return the chance that an anomalous picture scores above a normal one, ties counted half.

    Args:
        scores: float64 [n], larger is stranger.
        anomalous: bool [n].

    Returns:
        0 to 1; None unless there are pictures of both kinds.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(anomalous, scores)) if _has_both(anomalous) else None


def average_precision(scores: Scores, anomalous: Truth) -> float | None:
    """Return the mean precision over the recalls, each step weighted by the recall it adds; arguments as above."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(anomalous, scores)) if _has_both(anomalous) else None


def f1_max(scores: Scores, anomalous: Truth) -> float | None:
    """Return the largest F1 that any threshold reaches; arguments as above."""
    if not _has_both(anomalous):
        return None
    order = np.argsort(-scores)
    caught = np.cumsum(anomalous[order])
    flagged = np.arange(1, len(scores) + 1)
    ends = np.append(np.diff(scores[order]) != 0, True)  # equal scores are flagged together
    return float(np.max(2 * caught[ends] / (flagged[ends] + anomalous.sum())))


def roc_points(scores: Scores, anomalous: Truth) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the corners of the ROC curve, (0, 0) to (1, 1): false-alarm rates and detection rates, float64 [m]."""
    if not _has_both(anomalous):
        return None
    from sklearn.metrics import roc_curve

    false_alarms, detections, _ = roc_curve(anomalous, scores)
    return false_alarms, detections


@dataclass(frozen=True, slots=True, eq=False)
class PixelRanks:
    """For each pixel of a ground-truth region: what it weighs, and how many normal pixels score as high.

    Attributes:
        weight: 1 / (pixels of its region x regions), float64 [n]; they sum to 1.
        above: share of the normal pixels with a higher score, float64 [n].
        not_below: share of the normal pixels with a higher or the same score, float64 [n].
    """

    weight: NDArray[np.float64]
    above: NDArray[np.float64]
    not_below: NDArray[np.float64]


def rank_pixels(maps: Sequence[NDArray[np.float32]], masks: Sequence[Truth]) -> PixelRanks | None:
    """Rank the pixels of all regions among the normal pixels of all pictures.

    Only the normal pixels are sorted, by value: no permutation of all pixels is ever held.

    Args:
        maps: anomaly maps, each float32 [H, W].
        masks: for each map what is anomalous, bool [H, W]; nothing in a normal picture.

    Returns:
        None unless there are pixels of both kinds.
    """
    weights = _region_weights(masks)
    normal_count = sum(int(mask.size) for mask in masks) - len(weights)
    if not len(weights) or not normal_count:
        return None
    normal = np.concatenate([found[~mask] for found, mask in zip(maps, masks, strict=True)])
    normal.sort()
    scores = np.concatenate([found[mask] for found, mask in zip(maps, masks, strict=True)])
    order = np.argsort(scores)  # in order, one look-up lands near the last: several times faster
    scores = scores[order]
    return PixelRanks(
        weight=weights[order],
        above=1 - np.searchsorted(normal, scores, "right") / normal_count,
        not_below=1 - np.searchsorted(normal, scores, "left") / normal_count,
    )


def pixel_auroc(ranks: PixelRanks) -> float:
    """Return the chance that an anomalous pixel scores above a normal one, ties counted half."""
    return float(1 - np.mean((ranks.above + ranks.not_below) / 2))


def aupro(ranks: PixelRanks, limit: float = PRO_LIMIT) -> float:
    """Return the area under the per-region overlap curve up to a false-positive rate, divided by that rate.

    For a threshold t, PRO(t) is the mean over all regions of the share of a region's pixels with a score of at least
    t, and FPR(t) that share of the normal pixels. Every distinct score is a threshold; the curve starts at (0, 0), is
    linear between its points, and is cut at `limit` (Bergmann et al., "The MVTec Anomaly Detection Dataset", 2021).

    PRO is the sum of the weights of the pixels that have been reached, so the area is a sum over pixels: a pixel adds
    nothing before FPR reaches `above`, its weight after `not_below`, and in between, on the way to the next point of
    the curve, a part of it that grows linearly.

    Args:
        ranks: of the pixels of all regions.
        limit: above 0, at most 1.
    """
    ramp = ranks.not_below - ranks.above
    left = np.maximum(limit - ranks.above, 0)
    climbed = np.minimum(left, ramp)
    under_ramp = np.divide(climbed**2, 2 * ramp, out=np.zeros_like(ramp), where=ramp > 0)
    return float(np.sum(ranks.weight * (under_ramp + left - climbed)) / limit)


def _region_weights(masks: Sequence[Truth]) -> NDArray[np.float64]:
    """Weigh the pixels of all masks, row by row and mask by mask, so that every region weighs the same."""
    shares, regions = [np.zeros(0)], 0
    for mask in masks:
        if mask.any():
            count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=_NEIGHBOURS)
            inside = labels[mask]
            shares.append(1 / np.bincount(inside)[inside])
            regions += count - 1  # label 0 is what lies outside
    return np.asarray(np.concatenate(shares) / max(regions, 1))


def _has_both(anomalous: Truth) -> bool:
    return bool(anomalous.any() and not anomalous.all())
