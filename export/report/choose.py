"""Measure what the choice of a threshold rests on: scores, rates of false alarms, synthetic faults, a test set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Calibration, Manifest, Preprocessing
from export.evaluation.dataset import open_dataset
from export.evaluation.metrics import image_auroc
from export.gate.score_faults import MAX_HOSTS, FaultScores, JudgeFaults, score_faults
from export.gate.sized_faults import CONTRASTS, KINDS, SizedFault, cell_hw, pixels, scratch_width
from export.intervals import Share, share
from export.options import Options
from export.report.facts import Choice, Faults, Found, Histogram, LabelledSet, Patch, TradeOff
from runtime.frame import Grid
from runtime.learning.calibrate import pictures_needed
from runtime.learning.pictures.images import Pictures, evenly
from runtime.learning.pictures.regions import Looked
from runtime.learning.pictures.survey import Survey
from runtime.learning.progress import progress
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.scorer import Scorer

ALPHAS = (0.001, 0.003, 0.01, 0.03, 0.05)
"""Rates of the trade-off table."""

BINS = 30

LIKELY = 0.8
"""Share of the synthetic faults of a size that must be found for "likely found"."""

Labelled = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Scores, and whether each picture is anomalous."""


def choose(
    pictures: Pictures,
    held: NDArray[np.bool_],
    scores: NDArray[np.float64],
    learnt: NDArray[np.float64],
    calibrated: Callable[[float], Calibration],
    scorer: Scorer,
    judge: JudgeFaults,
    manifest: Manifest,
    survey: Survey,
    looked: Looked,
    options: Options,
) -> Choice:
    """Measure what the choice of a threshold rests on.

    Args:
        pictures: the normal pictures.
        held: which of them are held out, bool [pictures].
        scores: of these, in order, float64 [n].
        learnt: leave-one-out scores of the others; empty if they were not scored.
        calibrated: calibration for a false-alarm rate, from the same scores as the bundle's.
        scorer: the stages as the device runs them.
        judge: scores synthetic faults with them.
        manifest: of the bundle.
        survey: findings about the pictures.
        looked: where pictures are judged: there the faults are.
        options: test set, if there is one, and random seed.

    Raises:
        UsageError: the test set cannot be used.
    """
    threshold = manifest.calibration.threshold
    below = np.flatnonzero(held)[scores <= threshold]  # a fault on a picture that is over it anyway would be found
    hosts = [int(below[number]) for number in evenly(len(below), MAX_HOSTS)]
    first, hosts_hw = next(pictures.again(hosts[:1])), {host: survey.each_hw[host] for host in hosts}
    faults = score_faults(first, hosts_hw, scorer, judge, options.seed, looked.pixels)
    depth = manifest.preprocessing.depth
    labelled = score_labelled(Path(options.test_set), scorer, depth) if options.test_set else None
    return Choice(
        scores=histogram(scores, learnt, threshold),
        rates=trade_off(calibrated, faults, labelled),
        faults=summarise(faults, threshold, len(hosts)),
        patch=patch_seen(survey.sizes, manifest.preprocessing, scorer.grid),
        test_set=None if labelled is None else _test_set(*labelled),
    )


def histogram(held: NDArray[np.float64], learnt: NDArray[np.float64], threshold: float) -> Histogram:
    """Return the numbers of pictures in bins from the lowest score to the highest, the threshold included."""
    both = np.r_[held, learnt, threshold]
    edges = np.histogram_bin_edges(both, BINS)
    counts = (np.histogram(scores, edges)[0].tolist() for scores in (held, learnt))
    of_held, of_learnt = counts
    return Histogram(edges=edges.tolist(), held_out=of_held, learnt=of_learnt if len(learnt) else [])


def trade_off(
    calibrated: Callable[[float], Calibration], faults: FaultScores, labelled: Labelled | None
) -> list[TradeOff]:
    """Return what each rate of `ALPHAS` would mean; `labelled` is the test set, if there is one."""
    return [_rate(alpha, calibrated(alpha), faults, labelled) for alpha in ALPHAS]


def summarise(scored: FaultScores, threshold: float, pictures: int) -> Faults:
    """Return how many faults of each kind, size and contrast are above a threshold."""
    over = scored.scores > threshold
    groups: dict[tuple[str, float, int], list[bool]] = {}
    for fault, found in sorted(zip(scored.faults, over.tolist(), strict=True), key=lambda pair: _order(pair[0])):
        groups.setdefault((fault.kind, fault.cells, fault.contrast), []).append(found)
    rows = [_found(*key, share(sum(of), len(of)), scored.cell) for key, of in groups.items()]
    return Faults(
        frames=len(over),
        pictures=pictures,
        sizes=[pixels(cells, scored.cell) for cells in _cells(scored)],
        contrasts=list(CONTRASTS),
        found=rows,
        smallest=_smallest(rows),
    )


def patch_seen(sizes: dict[str, int], spec: Preprocessing, grid: Grid) -> Patch:
    """Return what one patch sees of a picture of the most frequent size; `sizes` are counts by "WIDTH x HEIGHT"."""
    (most, _), *_ = Counter(sizes).most_common(1)
    width, height = map(int, most.split(" x "))
    return Patch(picture_hw=(height, width), cell_hw=cell_hw((height, width), Preprocess(spec), grid))


def score_labelled(path: Path, scorer: Scorer, depth: int) -> Labelled:
    """Score a test set with the search of the device.

    Raises:
        UsageError: it is not one, or a picture is damaged.
    """
    dataset = open_dataset(path)
    walk = progress(dataset.pictures(depth=depth), "test set", total=len(dataset.samples), unit="picture")
    scores = [scorer(image).value for _, image in walk]
    return np.array(scores), np.array([sample.anomalous for sample in dataset.samples])


def _rate(alpha: float, calibration: Calibration, faults: FaultScores, labelled: Labelled | None) -> TradeOff:
    over = faults.scores > calibration.threshold
    cells = np.array([fault.cells for fault in faults.faults])
    contrasts = np.array([fault.contrast for fault in faults.faults])
    detected, alarms = (None, None) if labelled is None else _counted(*labelled, calibration.threshold)
    return TradeOff(
        alpha=alpha,
        threshold=calibration.threshold,
        promised_alpha=calibration.promised_alpha,
        upper_alpha=calibration.upper_alpha,
        pictures_needed=pictures_needed(alpha),
        by_size=[float(over[cells == size].mean()) for size in _cells(faults)],
        by_contrast=[float(over[contrasts == contrast].mean()) for contrast in CONTRASTS],
        detected=detected,
        false_alarms=alarms,
    )


def _counted(scores: NDArray[np.float64], anomalous: NDArray[np.bool_], threshold: float) -> tuple[Share, Share]:
    over = scores > threshold
    found, alarms = (share(int(over[own].sum()), int(own.sum())) for own in (anomalous, ~anomalous))
    return found, alarms


def _test_set(scores: NDArray[np.float64], anomalous: NDArray[np.bool_]) -> LabelledSet:
    return LabelledSet(
        normal=int((~anomalous).sum()), anomalous=int(anomalous.sum()), image_auroc=image_auroc(scores, anomalous)
    )


def _found(kind: str, cells: float, contrast: int, counted: Share, cell: float) -> Found:
    size = pixels(cells, cell)
    width = scratch_width(size) if kind == "scratch" else size
    return Found(kind=kind, size=size, width=width, contrast=contrast, share=counted)


def _smallest(rows: Sequence[Found]) -> list[Found]:
    """Return, of each kind, the smallest size from which on at least `LIKELY` are found at the strongest contrast."""
    smallest: dict[str, Found] = {}
    missed: set[str] = set()
    for row in sorted((row for row in rows if row.contrast == max(CONTRASTS)), key=lambda row: -row.size):
        if row.share.found < LIKELY * row.share.of:
            missed.add(row.kind)
        if row.kind not in missed:
            smallest[row.kind] = row
    return [smallest[kind] for kind in dict.fromkeys(row.kind for row in rows) if kind in smallest]


def _cells(scored: FaultScores) -> list[float]:
    return sorted({fault.cells for fault in scored.faults})


def _order(fault: SizedFault) -> tuple[int, float, int]:
    return KINDS.index(fault.kind), fault.cells, fault.contrast
