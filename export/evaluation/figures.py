"""Figures of an evaluation: how well scores and anomaly maps tell normal from anomalous, and why one is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.files import Bundle
from export.evaluation import metrics
from export.evaluation.dataset import Dataset, Sample, printable
from export.evaluation.score_dataset import ScoredDataset
from export.intervals import allowed, share
from runtime.learning.progress import bar

STAGES = ("preprocess", "embed", "search", "score")


class KindFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of anomaly fares.

    Attributes:
        count: pictures.
        detected: of them above the threshold.
        detection_interval: of the share that is detected, with 95 % confidence.
        image_auroc: against all normal pictures; null if there is none.
    """

    count: int
    detected: int
    detection_interval: tuple[float, float]
    image_auroc: float | None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The figures. What the pictures do not allow is null, and `notes` says why.

    Attributes:
        bundle: its id.
        dataset: path of the folder or list.
        score_mode, threshold, promised_alpha, upper_alpha: of the bundle; a score above the threshold is anomalous. On
            average over calibrations a normal picture is so at a rate of promised_alpha at most; with 95 % confidence
            this bundle's rate is upper_alpha at most.
        normal, anomalous: pictures that were scored.
        left_out: pictures or rows that were not, because they are neither.
        image_auroc, average_precision, f1_max: of the scores, 0 to 1.
        pixel_auroc, aupro: of the anomaly maps, 0 to 1; aupro up to a false-positive rate of 0.3.
        pixel_pictures: pictures that these two are over.
        false_alarm_rate: share of the normal pictures that are above the threshold.
        detection_rate: share of the anomalous ones.
        false_alarms, detected: the numbers of pictures that these are.
        false_alarm_interval, detection_interval: bounds of the true shares with 95 % confidence (Clopper and Pearson).
        false_alarms_allowed: false alarms that a kept promise exceeds in one of a hundred tests of this size, by the
            beta-binomial distribution; null without normal pictures.
        promise_kept: there are no more than these.
        kinds: of anomalies, by name.
        stage_ms: median time of each stage for a picture, and of the `whole`, milliseconds.
        notes: plain sentences that belong to the figures.
    """

    bundle: str
    dataset: str
    score_mode: str
    threshold: float
    promised_alpha: float
    upper_alpha: float
    normal: int
    anomalous: int
    left_out: int
    image_auroc: float | None
    average_precision: float | None
    f1_max: float | None
    pixel_auroc: float | None
    aupro: float | None
    pixel_pictures: int
    false_alarm_rate: float | None
    detection_rate: float | None
    false_alarms: int
    detected: int
    false_alarm_interval: tuple[float, float]
    detection_interval: tuple[float, float]
    false_alarms_allowed: int | None
    promise_kept: bool | None
    kinds: dict[str, KindFigures]
    stage_ms: dict[str, float]
    notes: list[str]


class ScoredPicture(msgspec.Struct, frozen=True, kw_only=True):
    """What one picture scored: its name, kind and truth, and the label that the device would give it."""

    name: str
    kind: str
    anomalous: bool
    score: float
    label: Literal["normal", "anomalous"]


def figures(bundle: Bundle, dataset: Dataset, scored: ScoredDataset, results: list[ScoredPicture]) -> Evaluation:
    """Return the figures of a data set that was scored."""
    truth = np.array([result.anomalous for result in results])
    flagged = np.array([result.label == "anomalous" for result in results])
    with bar("pixel figures", 1, "step") as moving:
        ranks = metrics.rank_pixels(scored.maps, scored.masks)
        moving(1)
    calibration = bundle.manifest.calibration
    alarms, detected = share(*_count(flagged[~truth])), share(*_count(flagged[truth]))
    most = allowed(calibration, alarms.of) if alarms.of else None
    return Evaluation(
        bundle=bundle.id,
        dataset=printable(dataset.path),
        score_mode=bundle.manifest.scoring.mode,
        threshold=calibration.threshold,
        promised_alpha=calibration.promised_alpha,
        upper_alpha=calibration.upper_alpha,
        normal=int((~truth).sum()),
        anomalous=int(truth.sum()),
        left_out=dataset.left_out,
        image_auroc=metrics.image_auroc(scored.scores, truth),
        average_precision=metrics.average_precision(scored.scores, truth),
        f1_max=metrics.f1_max(scored.scores, truth),
        pixel_auroc=None if ranks is None else metrics.pixel_auroc(ranks),
        aupro=None if ranks is None else metrics.aupro(ranks),
        pixel_pictures=0 if ranks is None else len(scored.maps),
        false_alarm_rate=alarms.rate,
        detection_rate=detected.rate,
        false_alarms=alarms.found,
        detected=detected.found,
        false_alarm_interval=(alarms.low, alarms.high),
        detection_interval=(detected.low, detected.high),
        false_alarms_allowed=most,
        promise_kept=None if most is None else alarms.found <= most,
        kinds=_by_kind(results, scored.scores, truth, flagged),
        stage_ms=_medians(scored.times),
        notes=[*dataset.notes, *_notes(dataset.samples, scored.without_region), *_copies(scored)],
    )


def _by_kind(
    results: list[ScoredPicture], scores: NDArray[np.float64], truth: NDArray[np.bool_], flagged: NDArray[np.bool_]
) -> dict[str, KindFigures]:
    kinds = np.array([result.kind for result in results])
    figures = {}
    for kind in sorted({result.kind for result in results if result.anomalous}):
        own = truth & (kinds == kind)
        among = own | ~truth
        detected = share(*_count(flagged[own]))
        figures[kind] = KindFigures(
            count=detected.of,
            detected=detected.found,
            detection_interval=(detected.low, detected.high),
            image_auroc=metrics.image_auroc(scores[among], truth[among]),
        )
    return figures


def _medians(times: NDArray[np.float64]) -> dict[str, float]:
    stages = dict(zip(STAGES, np.median(times, axis=0).tolist(), strict=True))
    return {**stages, "whole": float(np.median(times.sum(axis=1)))}


def _count(flags: NDArray[np.bool_]) -> tuple[int, int]:
    return int(flags.sum()), len(flags)


def _notes(samples: Iterable[Sample], without_region: int) -> list[str]:
    """Return notes on missing figures, and on pictures that figures leave out."""
    anomalous = [sample for sample in samples if sample.anomalous]
    normal = [sample for sample in samples if not sample.anomalous]
    unmasked = sum(sample.mask is None for sample in anomalous)
    notes = []
    if not normal:
        notes.append(
            "there is no normal picture: no false-alarm rate, and no figure that compares with normal pictures"
        )
    if not anomalous:
        notes.append(
            "there is no anomalous picture: no detection rate, and no figure that compares with anomalous ones"
        )
    elif unmasked == len(anomalous):
        notes.append("no anomalous picture has a mask: no pixel figures")
    elif unmasked:
        notes.append(f"{unmasked} of {len(anomalous)} anomalous pictures have no mask: left out of the pixel figures")
    if without_region:
        notes.append(f"{without_region} masks mark nothing that the network sees: all pixels of these count as normal")
    return notes


def _copies(scored: ScoredDataset) -> list[str]:
    if not scored.copies:
        return []
    said = f"{scored.copies} of {len(scored.scores)} pictures are the same as another one, pixel by pixel"
    return [f"{said}: the figures count them all"]
