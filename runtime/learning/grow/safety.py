"""May a bundle that grew serve? What it still finds, measured, and the limits past which a person has to consent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.frame import Image
from runtime.inference.golden_frames import Golden, score_golden
from runtime.learning.gate.faults_lost import MAX_LOST, MIN_FOUND
from runtime.learning.gate.synthetic_faults import Judged, with_faults
from runtime.learning.grow.job import SafetyReport, ScoredTwice, SyntheticFaults
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.scorer import Scorer

FAULTS = 128
"""Synthetic faults that are shown, of four kinds. About half are found, and the share lost varies by the choice of
faults: with half as many, by up to eight points more, so that safe bundles would be refused by chance."""

MIN_EXCESS_LEFT = 0.5
"""Share of its excess over the threshold that a golden frame with a fault keeps. What was learnt is elsewhere in the
scene, so its score hardly changes; at half of it, entries have come near to what the fault looks like."""

MAX_THRESHOLD_GROWTH = 1.25
"""Largest ratio of the new threshold to the old one. The new pictures are learnt, so what is held out of them should
score like any normal picture; where it does not, they differ among themselves more than normal pictures do."""

MAX_TOTAL_GROWTH = 1.5
"""Largest ratio of a threshold that rises to that of the root: many small steps must not add up unnoticed."""

ROUNDING = 1e-3
"""Relative: a score that rises by more than this has risen."""

MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Finder:
    """A scorer with its threshold, and how many of the largest distances its score is the mean of."""

    scorer: Scorer
    threshold: float
    k: int

    def finds(self, score: float) -> bool:
        """Return whether a score is over the threshold."""
        return score > self.threshold


def score_twice(name: str, image: Image, before: Finder, after: Finder) -> ScoredTwice:
    """Score a picture by both bundles."""
    features = before.scorer.embed(before.scorer.preprocess(image))
    return scored(name, before.scorer.judge(features).value, after.scorer.judge(features).value, before, after)


def scored(name: str, one: float, other: float, before: Finder, after: Finder) -> ScoredTwice:
    """Return the scores of a picture by both bundles."""
    found = before.finds(one), after.finds(other)
    return ScoredTwice(name=name, before=one, after=other, found_before=found[0], found_after=found[1])


def check_golden(golden: Sequence[Golden], before: Finder, after: Finder) -> list[ScoredTwice]:
    """Score the golden frames of the parent again."""
    scores = (score_golden(one.frame, after.scorer).score for one in golden)
    pairs = enumerate(zip(golden, scores, strict=True), 1)
    return [scored(f"golden frame {number}", one.score, score, before, after) for number, (one, score) in pairs]


def check_faults(
    pictures: Sequence[tuple[Image, NDArray[np.bool_]]], before: Finder, after: Finder, seed: int, judged: Judged
) -> SyntheticFaults:
    """Show both bundles new normal pictures with synthetic faults.

    What is new in the pictures must not count as a fault that the parent finds. So only the patches of the fault are
    compared: everywhere else the distances of the new bundle count for both, also where a patch was new to the parent
    without a fault.

    Args:
        pictures: each with the patches that are new to the parent, bool [patches].
        before: the parent.
        after: the new bundle.
        seed: of the faults.
        judged: where pictures are judged.
    """
    found = [pair for pair in _each_fault(pictures, before, after, seed, judged) if pair is not None]
    return SyntheticFaults(
        shown=len(found),
        found_before=sum(one for one, _ in found),
        found_after=sum(other for _, other in found),
        lost=sum(one and not other for one, other in found),
    )


def _each_fault(
    pictures: Sequence[tuple[Image, NDArray[np.bool_]]], before: Finder, after: Finder, seed: int, judged: Judged
) -> Iterator[tuple[bool, bool] | None]:
    """Yield for each fault whether it is found before and after; None where all of its patches were new."""
    scorer = after.scorer
    turns = [pictures[number % len(pictures)] for number in range(FAULTS)]
    pairs = with_faults((image for image, _ in turns), seed, judged)
    for (image, damaged), (_, new) in zip(pairs, turns, strict=True):
        own = patches_of((damaged != image).any(axis=2), scorer) & ~new
        own &= True if scorer.judged is None else scorer.judged
        if not own.any():
            yield None
            continue
        features = scorer.embed(scorer.preprocess(damaged))
        elsewhere = ~own if scorer.judged is None else scorer.judged & ~own
        beside = _largest(after, features, elsewhere) if elsewhere.any() else np.empty(0)
        scores = (
            np.sort(np.concatenate([beside, _largest(judge, features, own)]))[-judge.k :].mean()
            for judge in (before, after)
        )
        one, other = (judge.finds(float(score)) for judge, score in zip((before, after), scores, strict=True))
        yield one, other


def _largest(judge: Finder, features: NDArray[np.float32], active: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the largest distances of some patches, float64 [at most k]."""
    distances = judge.scorer.whole(features, active).distance[active]
    return np.sort(distances)[-judge.k :].astype(np.float64)


def patches_of(pixels: NDArray[np.bool_], scorer: Scorer) -> NDArray[np.bool_]:
    """Return the patches that some pixels of a frame, bool [H, W], are in or beside, bool [patches]."""
    shown = _cells(pixels, scorer.preprocess, scorer)
    wide = np.pad(shown, 1)
    beside = [np.roll(wide, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return np.asarray(np.any(beside, axis=0)[1:-1, 1:-1].ravel())


def _cells(pixels: NDArray[np.bool_], preprocess: Preprocess, scorer: Scorer) -> NDArray[np.bool_]:
    """Return in which cells of the grid some pixels are, bool [rows, columns]."""
    height, width = pixels.shape
    rows, columns = preprocess.on_camera(scorer.grid.edges(), (height, width))
    sums = np.zeros((height + 1, width + 1), np.int64)
    sums[1:, 1:] = pixels.cumsum(axis=0).cumsum(axis=1)
    tops, bottoms = np.floor(rows[:-1]).astype(int).clip(0, height), np.ceil(rows[1:]).astype(int).clip(0, height)
    lefts, rights = np.floor(columns[:-1]).astype(int).clip(0, width), np.ceil(columns[1:]).astype(int).clip(0, width)
    inside = sums[np.ix_(bottoms, rights)] - sums[np.ix_(tops, rights)]
    inside += sums[np.ix_(tops, lefts)] - sums[np.ix_(bottoms, lefts)]
    return np.asarray(inside > 0)


def problems_of(report: SafetyReport, *, full: bool) -> list[str]:
    """Return why a bundle should not serve without a person's consent, a sentence each.

    Args:
        report: what learning has changed.
        full: more entries were needed than may join.
    """
    checks = _over_threshold(report), _threshold(report), _golden(report), _faults(report), _peaks(report)
    found = [one for one in checks if one]
    if full:
        found.append(
            f"The pictures are too new: {report.added} entries have joined, and they need more. Learn this scene from "
            "the beginning, with `patchedge learn`."
        )
    return found


def _over_threshold(report: SafetyReport) -> str:
    over = [one for one in report.learnt if one.found_after]
    return f"{_pictures(over)} still over the threshold, though learnt." if over else ""


def _threshold(report: SafetyReport) -> str:
    before, after, root = report.threshold_before, report.threshold_after, report.threshold_root
    if after <= before:
        return ""
    if after > MAX_THRESHOLD_GROWTH * before:
        much = f"{after / before:.2f} times (at most {MAX_THRESHOLD_GROWTH:g} is expected)"
    elif after > MAX_TOTAL_GROWTH * root:
        much = f"{after / root:.2f} times the first one, {root:.4g} (at most {MAX_TOTAL_GROWTH:g} is expected)"
    else:
        return ""
    highest = sorted(report.held_out, key=lambda one: -one.after)[:MAX_NAMED]
    named = ", ".join(f"{one.name} ({one.after:.4g})" for one in highest)
    return (
        f"The threshold would rise from {before:.4g} to {after:.4g}, {much}, by the held-out pictures {named}: are "
        "they normal, and were enough pictures of this kind learnt?"
    )


def _golden(report: SafetyReport) -> str:
    # Where entries were dropped scores may rise again, to those of the root at most.
    risen = [] if report.dropped else [one for one in report.golden if one.after > one.before * (1 + ROUNDING)]
    normal = [one for one in report.golden if one.found_after and not one.found_before]
    lost = [one for one in report.golden if one.lost or _excess_lost(one, report)]
    if risen:
        return f"{_pictures(risen)} now over its old score, which must not happen: report it."
    if normal:
        return f"{_pictures(normal)} now over the threshold, and was normal: what it needs was dropped."
    if not lost:
        return ""
    fallen = ", ".join(f"{one.name} from {one.before:.4g} to {one.after:.4g}" for one in lost[:MAX_NAMED])
    return f"A known fault is found no longer, or hardly: {fallen}, with a threshold of {report.threshold_after:.4g}."


def _excess_lost(one: ScoredTwice, report: SafetyReport) -> bool:
    left = one.after - report.threshold_after
    return one.found_before and left < MIN_EXCESS_LEFT * (one.before - report.threshold_before)


def _faults(report: SafetyReport) -> str:
    faults = report.faults
    if faults.found_before < MIN_FOUND or faults.lost <= MAX_LOST * faults.found_before:
        return ""
    return (
        f"{faults.lost} of {faults.found_before} synthetic faults on the new pictures would be found no longer (of "
        f"{faults.shown} shown, {faults.found_before} were found before and {faults.found_after} are now)."
    )


def _peaks(report: SafetyReport) -> str:
    lost = [one for one in report.peaks if one.lost]
    if not lost:
        return ""
    named = ", ".join(one.name for one in lost[:MAX_NAMED])
    more = f" and {len(lost) - MAX_NAMED} more" if len(lost) > MAX_NAMED else ""
    return (
        f"{len(lost)} of {len(report.peaks)} alerts that nobody called false would not be raised again: {named}{more}. "
        "Mark them as false alarms if they are, too."
    )


def _pictures(some: Sequence[ScoredTwice]) -> str:
    named = ", ".join(f"{one.name} ({one.after:.4g})" for one in some[:MAX_NAMED])
    more = f" and {len(some) - MAX_NAMED} more" if len(some) > MAX_NAMED else ""
    return f"{named}{more} {'is' if len(some) == 1 else 'are'}"
