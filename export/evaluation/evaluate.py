"""Measure how good a bundle is on labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge_config.bundle.files import Bundle
from export.evaluation.dataset import Dataset, Sample
from export.evaluation.figures import Evaluation, ScoredPicture, figures
from export.evaluation.score_dataset import map_of, mask_of, score_dataset
from export.thumbnail import Thumbnail, thumbnail
from runtime.scoring.scorer import Scorer

EXAMPLES = 6
"""Pictures of each kind that are kept to be looked at: those that the bundle judges worst."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture to be looked at: what it scored, and how it looks."""

    result: ScoredPicture
    thumbnail: Thumbnail


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
    results: list[ScoredPicture]
    places: list[int] | None
    weakest: list[Example]
    loudest: list[Example]


def evaluate(bundle: Bundle, scorer: Scorer, dataset: Dataset) -> Outcome:
    """Score every picture of a data set.

    Args:
        bundle: the bundle, for its threshold and preprocessing.
        scorer: its stages, as `runtime.inference.load.load` gives them.
        dataset: pictures and truth.

    Raises:
        UsageError: a picture or a mask cannot be used.
    """
    scored = score_dataset(bundle, scorer, dataset)
    threshold = bundle.manifest.calibration.threshold
    results = [_result(*pair, threshold) for pair in zip(dataset.samples, scored.scores.tolist(), strict=True)]
    truth = np.array([sample.anomalous for sample in dataset.samples])
    upwards = np.argsort(scored.scores, kind="stable")
    weakest = [int(number) for number in upwards if truth[number]][:EXAMPLES]
    loudest = [int(number) for number in upwards[::-1] if not truth[number]][:EXAMPLES]
    shown = _show(bundle, scorer, dataset, results, {*weakest, *loudest})
    return Outcome(
        evaluation=figures(bundle, dataset, scored, results),
        results=results,
        places=[sample.place for sample in dataset.samples] if dataset.in_time else None,
        weakest=[shown[number] for number in weakest],
        loudest=[shown[number] for number in loudest],
    )


def _result(sample: Sample, score: float, threshold: float) -> ScoredPicture:
    label: Literal["normal", "anomalous"] = "anomalous" if score > threshold else "normal"
    return ScoredPicture(name=sample.name, kind=sample.kind, anomalous=sample.anomalous, score=score, label=label)


def _show(
    bundle: Bundle, scorer: Scorer, dataset: Dataset, results: list[ScoredPicture], numbers: set[int]
) -> dict[int, Example]:
    """Look at a few pictures once more: keeping all of them for the few that turn out worst would fill the memory."""
    spec = bundle.manifest.preprocessing
    shown = {}
    for number, image in dataset.pictures(numbers, depth=spec.depth):
        sample, picture_hw = dataset.samples[number], (image.shape[0], image.shape[1])
        heat = map_of(scorer, bundle, scorer.embed(scorer.preprocess(image)))
        mask = mask_of(sample, bundle, picture_hw) if sample.mask else None
        shown[number] = Example(results[number], thumbnail(image, scorer.preprocess, heat, mask))
    return shown
