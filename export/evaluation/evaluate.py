"""Score labelled pictures with the stages of the device, and measure how good the bundle is."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.files import Bundle
from export.evaluation import metrics
from export.evaluation.dataset import Dataset, Sample, printable, read_mask
from export.pictures.images import fingerprint
from export.progress import bar, progress
from runtime.frame import Image, Score
from runtime.scoring.score import anomaly_map
from runtime.scoring.scorer import Scorer

STAGES = ("preprocess", "embed", "search", "score")

SHOWN = 6
"""Pictures of each kind that are kept to be looked at: those that the bundle judges worst."""

SHOWN_SIDE = 240
"""Their longer side, pixels: two dozen of them stay below a few MB."""


class KindFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of anomaly fares.

    Attributes:
        count: pictures.
        detected: of them above the threshold.
        image_auroc: against all normal pictures; null if there is none.
    """

    count: int
    detected: int
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
    kinds: dict[str, KindFigures]
    stage_ms: dict[str, float]
    notes: list[str]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one picture scored: its name, kind and truth, and the label that the device would give it."""

    name: str
    kind: str
    anomalous: bool
    score: float
    label: Literal["normal", "anomalous"]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A picture to be looked at, in its own proportions, cropped to what the network sees.

    Attributes:
        result: what it scored.
        image: uint8 [H, W, 3] BGR.
        heat: its anomaly map, float32 [H, W].
        mask: its ground truth, bool [H, W]; None where there is none.
    """

    result: Result
    image: Image
    heat: NDArray[np.float32]
    mask: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """All that an evaluation found.

    Attributes:
        evaluation: the figures.
        results: picture by picture, in the order of the data set.
        places: of the results, in time; None where the order is not that of time.
        weakest: the anomalous pictures with the lowest scores, the lowest first.
        loudest: the normal pictures with the highest scores, the highest first.
    """

    evaluation: Evaluation
    results: list[Result]
    places: list[int] | None
    weakest: list[Shown]
    loudest: list[Shown]


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """What a walk over the pictures gives: scores, times float64 [n, stages] in ms, and the maps and masks that count.

    Attributes:
        without_region: masks that show nothing of an anomaly where the network looks.
        copies: pictures that equal an earlier one, pixel by pixel.
    """

    scores: NDArray[np.float64]
    times: NDArray[np.float64]
    maps: list[NDArray[np.float32]]
    masks: list[NDArray[np.bool_]]
    without_region: int
    copies: int


def evaluate(bundle: Bundle, scorer: Scorer, dataset: Dataset) -> Outcome:
    """Score every picture of a data set.

    Args:
        bundle: the bundle, for its threshold and preprocessing.
        scorer: its stages, as `runtime.inference.load.load` gives them.
        dataset: pictures and truth.

    Raises:
        UsageError: a picture or a mask cannot be used.
    """
    walk = _walk(bundle, scorer, dataset)
    threshold = bundle.manifest.calibration.threshold
    results = [_result(*pair, threshold) for pair in zip(dataset.samples, walk.scores.tolist(), strict=True)]
    truth = np.array([sample.anomalous for sample in dataset.samples])
    upwards = np.argsort(walk.scores, kind="stable")
    weakest = [int(number) for number in upwards if truth[number]][:SHOWN]
    loudest = [int(number) for number in upwards[::-1] if not truth[number]][:SHOWN]
    shown = _show(bundle, scorer, dataset, results, {*weakest, *loudest})
    return Outcome(
        evaluation=_figures(bundle, dataset, walk, results),
        results=results,
        places=[sample.place for sample in dataset.samples] if dataset.in_time else None,
        weakest=[shown[number] for number in weakest],
        loudest=[shown[number] for number in loudest],
    )


def _walk(bundle: Bundle, scorer: Scorer, dataset: Dataset) -> _Walk:
    has_masks = any(sample.mask for sample in dataset.samples)
    scores, times, maps, masks, without_region = [], [], [], [], 0
    pictures, seen = dataset.pictures(depth=bundle.manifest.preprocessing.depth), set()
    for number, image in progress(pictures, "evaluate", total=len(dataset.samples), unit="picture"):
        seen.add(fingerprint(image))
        sample = dataset.samples[number]
        score, features, spent = _score(scorer, image)
        scores.append(score.value)
        times.append(spent)
        if has_masks and _counts_in_pixels(sample):
            mask = _mask_of(sample, bundle, (image.shape[0], image.shape[1]))
            without_region += sample.anomalous and not mask.any()
            maps.append(_map_of(scorer, bundle, features))
            masks.append(mask)
    return _Walk(np.array(scores), np.array(times), maps, masks, without_region, len(scores) - len(seen))


def _score(scorer: Scorer, image: Image) -> tuple[Score, NDArray[np.float32], NDArray[np.float64]]:
    """Score a picture as `Scorer` does; give its features too, and the time of the stages, milliseconds."""
    clock = [time.perf_counter()]
    tensor = scorer.preprocess(image)
    clock.append(time.perf_counter())
    features = scorer.embed(tensor)
    clock.append(time.perf_counter())
    found = scorer.search(features)
    clock.append(time.perf_counter())
    score = scorer.score(features, found)
    clock.append(time.perf_counter())
    return score, features, np.diff(clock) * 1e3


def _map_of(scorer: Scorer, bundle: Bundle, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the anomaly map over the input of the graph, float32 [H, W], from every patch."""
    return anomaly_map(scorer.whole(features).distance, scorer.grid, bundle.manifest.preprocessing.crop_hw)


def _mask_of(sample: Sample, bundle: Bundle, picture_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the truth over the input of the graph, bool [H, W]: resized and cropped as the picture is."""
    spec = bundle.manifest.preprocessing
    if sample.mask is None:
        return np.zeros(spec.crop_hw, dtype=bool)
    mask = read_mask(sample.mask, picture_hw).astype(np.uint8)
    # The plain nearest kernel of OpenCV takes the corner of a pixel, this one its centre, as the picture's kernels do.
    resized = cv2.resize(mask, spec.resize_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    rows, columns = _centre(spec.resize_hw, spec.crop_hw)
    return np.asarray(resized[rows, columns] > 0, dtype=np.bool_)


def _centre(resize_hw: tuple[int, int], crop_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns that `Preprocess` keeps."""
    top, left = ((resized - crop) // 2 for resized, crop in zip(resize_hw, crop_hw, strict=True))
    return slice(top, top + crop_hw[0]), slice(left, left + crop_hw[1])


def _counts_in_pixels(sample: Sample) -> bool:
    return sample.mask is not None or not sample.anomalous


def _result(sample: Sample, score: float, threshold: float) -> Result:
    label: Literal["normal", "anomalous"] = "anomalous" if score > threshold else "normal"
    return Result(name=sample.name, kind=sample.kind, anomalous=sample.anomalous, score=score, label=label)


def _figures(bundle: Bundle, dataset: Dataset, walk: _Walk, results: list[Result]) -> Evaluation:
    truth = np.array([result.anomalous for result in results])
    flagged = np.array([result.label == "anomalous" for result in results])
    with bar("pixel figures", 1, "step") as moving:
        ranks = metrics.rank_pixels(walk.maps, walk.masks)
        moving.update(1)
    calibration = bundle.manifest.calibration
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
        image_auroc=metrics.image_auroc(walk.scores, truth),
        average_precision=metrics.average_precision(walk.scores, truth),
        f1_max=metrics.f1_max(walk.scores, truth),
        pixel_auroc=None if ranks is None else metrics.pixel_auroc(ranks),
        aupro=None if ranks is None else metrics.aupro(ranks),
        pixel_pictures=0 if ranks is None else len(walk.maps),
        false_alarm_rate=_share(flagged[~truth]),
        detection_rate=_share(flagged[truth]),
        kinds=_by_kind(results, walk.scores, truth, flagged),
        stage_ms=_medians(walk.times),
        notes=[*dataset.notes, *_notes(dataset.samples, walk.without_region), *_copies(walk)],
    )


def _by_kind(
    results: list[Result], scores: NDArray[np.float64], truth: NDArray[np.bool_], flagged: NDArray[np.bool_]
) -> dict[str, KindFigures]:
    kinds = np.array([result.kind for result in results])
    figures = {}
    for kind in sorted({result.kind for result in results if result.anomalous}):
        own = truth & (kinds == kind)
        among = own | ~truth
        figures[kind] = KindFigures(
            count=int(own.sum()),
            detected=int(flagged[own].sum()),
            image_auroc=metrics.image_auroc(scores[among], truth[among]),
        )
    return figures


def _medians(times: NDArray[np.float64]) -> dict[str, float]:
    stages = dict(zip(STAGES, np.median(times, axis=0).tolist(), strict=True))
    return {**stages, "whole": float(np.median(times.sum(axis=1)))}


def _share(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _notes(samples: Iterable[Sample], without_region: int) -> list[str]:
    """Say why figures are missing, or what they are not over."""
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


def _copies(walk: _Walk) -> list[str]:
    if not walk.copies:
        return []
    said = f"{walk.copies} of {len(walk.scores)} pictures are the same as another one, pixel by pixel"
    return [f"{said}: the figures count them all"]


def _show(
    bundle: Bundle, scorer: Scorer, dataset: Dataset, results: list[Result], numbers: set[int]
) -> dict[int, Shown]:
    """Look at a few pictures once more: keeping all of them for the few that turn out worst would fill the memory."""
    spec = bundle.manifest.preprocessing
    shown = {}
    for number, image in dataset.pictures(numbers, depth=spec.depth):
        sample, picture_hw = dataset.samples[number], (image.shape[0], image.shape[1])
        heat = _map_of(scorer, bundle, scorer.embed(scorer.preprocess(image)))
        size = _shown_size(picture_hw, spec.resize_hw, spec.crop_hw)
        mask = _mask_of(sample, bundle, picture_hw).astype(np.uint8) if sample.mask else None
        shown[number] = Shown(
            result=results[number],
            image=np.asarray(
                cv2.resize(scorer.preprocess(image)[0], size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8
            ),
            heat=np.asarray(cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32),
            mask=None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT) > 0,
        )
    return shown


def _shown_size(picture_hw: tuple[int, int], resize_hw: tuple[int, int], crop_hw: tuple[int, int]) -> tuple[int, int]:
    """Return width and height in which what the network sees has the proportions of the picture again."""
    height, width = (own * crop / resized for own, crop, resized in zip(picture_hw, crop_hw, resize_hw, strict=True))
    factor = SHOWN_SIDE / max(height, width)
    return max(1, round(width * factor)), max(1, round(height * factor))
