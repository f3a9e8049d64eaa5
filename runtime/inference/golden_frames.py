"""Golden frames: test pictures in a bundle, with the scores that they had at export.

Both sides are exact: every distance is that to the true nearest entry, so the HNSW graph, which may miss one, has no
part in the comparison. Patches or entries that are equally far may take each other's place on another machine: compared
are the distances at the places that decided, not the numbers of the places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import arrays
from edge_config.bundle.manifest import Scoring
from edge_config.errors import BundleShapeMismatch
from runtime.frame import Image, Neighbours, Score
from runtime.scene.thumbnail import MIN_SIDE, Thumbnail
from runtime.scoring.scorer import Scorer

SMALLEST = 0.02
"""Share of a feature's length that differences of distances are taken relative to at least. Features of one network
differ by up to 4e-6 of their length between two ways to compute it, by 1e-6 on average, and distances by as much,
however small they are. Scenes that stand still have distances as small as this."""

_SMALLEST_FRAME = 0.01
"""Share of the largest golden distance: relative to less, rounding would look like a difference."""

_FRAME = "frame_"  # and its number: the names of the pictures

_EVERY = 8
"""Of the patches of a golden frame that are compared: a graph or a bank that is wrong is wrong everywhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """A golden frame and its score at export.

    Attributes:
        frame: uint8 [H, W, 3] BGR.
        score: of the bundle's mode.
        distances: to the nearest entries, float32 [patches].
        decided: patch and entry that decide, q* and m*.
    """

    frame: Image
    score: float
    distances: NDArray[np.float32]
    decided: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Differences:
    """Differences of this machine from the one that scored the golden frames.

    Attributes:
        scores: largest difference of a score, as a share of it, or of the distance that decides, as a share of that.
        distances_mean: largest, over the frames, mean difference of patch distances, as a share of the largest one.
    """

    scores: float
    distances_mean: float


def unit(distances: NDArray[np.float32], features: NDArray[np.float32], scorer: Scorer) -> float:
    """Return what differences of distances are a share of: the largest, or what is rounding beside it."""
    return float(np.max([distances.max(), _least(features, scorer)]))


def _least(features: NDArray[np.float32], scorer: Scorer) -> float:
    length = float(np.linalg.norm(features, axis=1).max()) / scorer.least_divisor
    return max(SMALLEST * length, float(np.finfo(np.float32).tiny))


def exact(scorer: Scorer, features: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> Neighbours:
    """Return the true nearest entry of each judged patch, of float32 [n, D]; `active`, bool [n], names others."""
    found = scorer.whole(features, active)
    scorer.whole.refine(features, found, 0.0)
    return found


def score_golden(frame: Image, scorer: Scorer) -> Golden:
    """Score a frame, every patch exactly, for the bundle."""
    features = scorer.embed(scorer.preprocess(frame))
    score = scorer.score(features, exact(scorer, features))
    return Golden(frame, score.value, score.distances, (score.patch, score.entry))


def write_golden(path: Path, golden: Sequence[Golden], scene_reference: Thumbnail) -> None:
    """Write golden.safetensors: the frames, and the thumbnail that shows whether the camera was moved.

    Raises:
        OSError: the disk did not take it.
    """
    arrays.write(
        path,
        scores=np.array([one.score for one in golden]),
        distances=np.array([one.distances for one in golden], dtype=np.float32),
        decided=np.array([one.decided for one in golden], dtype=np.int64),
        scene_reference=scene_reference,
        **{f"{_FRAME}{number}": one.frame for number, one in enumerate(golden)},
    )


def read_golden(path: Path, patches: int, entries: int) -> list[Golden]:
    """Read the golden frames of a bundle.

    Args:
        path: of golden.safetensors.
        patches: of a frame.
        entries: of the bank.

    Raises:
        BundleShapeMismatch: these are not the arrays of golden frames.
    """
    found = arrays.read(path)
    count = sum(name.startswith(_FRAME) for name in found)
    frames = [f"{_FRAME}{number}" for number in range(count)]
    if not count or found.keys() != {"scores", "distances", "decided", "scene_reference", *frames}:
        raise BundleShapeMismatch("not the arrays of golden frames", where=str(path))
    pictures = [found[name] for name in frames]
    if any(one.dtype != np.uint8 or one.shape[2:] != (3,) or not one.size for one in pictures):
        raise BundleShapeMismatch("golden frames that are no pictures, uint8 [H, W, 3]", where=str(path))
    kinds = {
        "scores": ("float64", (count,)),
        "distances": ("float32", (count, patches)),
        "decided": ("int64", (count, 2)),
    }
    for name, (kind, shape) in kinds.items():
        if found[name].dtype != kind or found[name].shape != shape:
            raise BundleShapeMismatch(f"golden {name} are not {kind} {shape}", where=str(path))
    scores, distances, decided = (found[name] for name in kinds)
    if (decided < 0).any() or (decided >= (patches, entries)).any():
        raise BundleShapeMismatch(
            f"decided by what is not among {patches} patches or {entries} entries", where=str(path)
        )
    rows = zip(pictures, scores.tolist(), distances, decided.tolist(), strict=True)
    return [Golden(frame, score, row, (patch, entry)) for frame, score, row, (patch, entry) in rows]


def read_scene_reference(path: Path) -> Thumbnail:
    """Read the thumbnail that shows whether the camera was moved, uint8 [h, w].

    Raises:
        BundleShapeMismatch: it is none.
    """
    found: Thumbnail = arrays.read(path, "scene_reference")["scene_reference"]
    if found.dtype != np.uint8 or found.ndim != 2 or min(found.shape) < MIN_SIDE:  # noqa: PLR2004 - rows, columns
        raise BundleShapeMismatch(f"scene_reference {found.dtype} {found.shape} is no thumbnail", where=str(path))
    return found


def compare(golden: Sequence[Golden], scorer: Scorer, scoring: Scoring) -> Differences:
    """Score golden frames on this machine, and compare.

    Args:
        golden: the frames.
        scorer: the stages as this machine runs them.
        scoring: of the manifest.
    """
    least = _SMALLEST_FRAME * max(float(one.distances.max()) for one in golden)
    parts = [_differences(one, scorer, scoring, least) for one in golden]
    # np.max and not max: a NaN must not get lost
    return Differences(*(float(value) for value in np.max(parts, axis=0)))


def _differences(golden: Golden, scorer: Scorer, scoring: Scoring, least: float) -> tuple[float, float]:
    """Return the difference of the score and the mean difference of the distances."""
    features = scorer.embed(scorer.preprocess(golden.frame))
    score = scorer.judge(features)
    one = max(unit(golden.distances, features, scorer), least)
    of_score = max(abs(golden.score), _least(features, scorer), least)
    patch = golden.decided[0]
    judged = np.arange(len(features)) if scorer.judged is None else np.flatnonzero(scorer.judged)
    rows = np.append(judged[::_EVERY], patch)
    here = exact(scorer, features[rows], None if scorer.judged is None else np.ones(len(rows), np.bool_)).distance
    apart = np.abs(here - golden.distances[rows])
    behind = score.distances.max() - here[-1]  # q*, behind what is on top here
    value = _value(golden.decided, features, score, scorer, scoring)
    scores = np.max([abs(value - golden.score) / of_score, apart[-1] / one, behind / one])
    return float(scores), float(apart[:-1].mean()) / one


def _value(
    decided: tuple[int, int], features: NDArray[np.float32], score: Score, scorer: Scorer, scoring: Scoring
) -> float:
    """Return the score as the places that decided make it: of others that are equally far, the re-weighting differs."""
    if scoring.mode == "topk" or decided == (score.patch, score.entry):
        return score.value
    patch, entry = decided
    index = score.found.index.copy()
    index[patch] = entry
    return scorer.score(features, replace(score.found, index=index, active=np.arange(len(index)) == patch)).value
