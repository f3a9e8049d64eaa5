"""Golden frames: test pictures in a bundle, with the scores that they had at export.

Both sides are exact: every distance is that to the true nearest entry, so the HNSW graph, which may miss one, has no
part in the comparison. Patches or entries that are equally far may take each other's place on another machine: compared
are the distances at the places that decided, not the numbers of the places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Scoring
from edge_config.errors import BundleShapeMismatch
from runtime.frame import Image, Neighbours, Score
from runtime.inference.untrusted_arrays import read_archive
from runtime.scoring.scorer import Scorer

NOT_GOLDEN = (OSError, ValueError, KeyError, IndexError, TypeError)
"""What reading golden.npz can raise."""

SMALLEST = 0.02
"""Share of a feature's length that differences of distances are taken relative to at least. Features of one network
differ by up to 4e-6 of their length between two ways to compute it, by 1e-6 on average, and distances by as much,
however small they are. Scenes that stand still have distances as small as this."""

_SMALLEST_FRAME = 0.01
"""Share of the largest golden distance: relative to less, rounding would look like a difference."""

_EVERY = 8
"""Of the patches of a golden frame that are compared: a graph or a bank that is wrong is wrong everywhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """A golden frame, and what it scored.

    Attributes:
        frame: uint8 [H, W, 3] BGR.
        score: of the bundle's mode.
        distances: to the nearest entries, float32 [patches].
        decided: patch and entry that decide, q* and m*; None in a bundle of an older version, whose distances may be
            those to entries that the graph took for the nearest.
    """

    frame: Image
    score: float
    distances: NDArray[np.float32]
    decided: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Differences:
    """How far this machine is from where the golden frames were scored.

    Attributes:
        scores: largest difference of a score, as a share of it, or of the distance that decides, as a share of that.
        distances_mean: largest, over the frames, mean difference of patch distances, as a share of the largest one.
    """

    scores: float
    distances_mean: float


def unit(distances: NDArray[np.float32], features: NDArray[np.float32]) -> float:
    """Return what differences of distances are a share of: the largest, or what is rounding beside it."""
    return float(np.max([distances.max(), _least(features)]))


def _least(features: NDArray[np.float32]) -> float:
    length = float(np.linalg.norm(features, axis=1).max())
    return max(SMALLEST * length, float(np.finfo(np.float32).tiny))


def exact(scorer: Scorer, features: NDArray[np.float32]) -> Neighbours:
    """Return the true nearest entry of each patch float32 [n, D]."""
    found = scorer.whole(features)
    scorer.whole.refine(features, found, 0.0)
    return found


def score_golden(frame: Image, scorer: Scorer) -> Golden:
    """Score a frame, every patch exactly, for the bundle."""
    features = scorer.embed(scorer.preprocess(frame))
    score = scorer.score(features, exact(scorer, features))
    return Golden(frame, score.value, score.distances, (score.patch, score.entry))


def write_golden(path: Path, golden: Sequence[Golden], **more: NDArray[Any]) -> None:
    """Write golden.npz, with further arrays beside the frames."""
    decided = [one.decided for one in golden if one.decided is not None]
    np.savez_compressed(
        path,
        allow_pickle=False,
        scores=np.array([one.score for one in golden]),
        distances=np.array([one.distances for one in golden], dtype=np.float32),
        decided=np.array(decided, dtype=np.int64),
        **more,
        **{f"frame_{number}": one.frame for number, one in enumerate(golden)},
    )


def read_golden(path: Path, patches: int) -> list[Golden]:
    """Read golden.npz of a bundle with so many patches.

    Raises:
        BundleShapeMismatch: it holds no golden frames.
    """
    try:
        arrays = read_archive(path)
        distances, decided = arrays["distances"], arrays.get("decided")
        found = [
            Golden(arrays[f"frame_{number}"], float(score), distances[number], _places(decided, number))
            for number, score in enumerate(arrays["scores"])
        ]
    except NOT_GOLDEN as error:
        raise BundleShapeMismatch(f"not golden frames ({error})", where=str(path)) from error
    if not found or any(one.frame.dtype != np.uint8 or one.frame.shape[2:] != (3,) for one in found):
        raise BundleShapeMismatch("not golden frames, uint8 [H, W, 3]", where=str(path))
    if distances.shape != (len(found), patches) or distances.dtype != np.float32:
        raise BundleShapeMismatch(f"distances {distances.shape}, not {(len(found), patches)}", where=str(path))
    if any(one.decided and not 0 <= one.decided[0] < patches for one in found):
        raise BundleShapeMismatch(f"decided by patches that are not among {patches}", where=str(path))
    return found


def compare(golden: Sequence[Golden], scorer: Scorer, scoring: Scoring, entries: int) -> Differences:
    """Score golden frames on this machine, and compare.

    Args:
        golden: the frames.
        scorer: the stages as this machine runs them.
        scoring: of the manifest.
        entries: of the bank.

    Raises:
        BundleShapeMismatch: a frame was decided by an entry that the bank does not have.
    """
    if any(one.decided and not 0 <= one.decided[1] < entries for one in golden):
        raise BundleShapeMismatch(f"golden frames decided by entries that are not among {entries}")
    least = _SMALLEST_FRAME * max(float(one.distances.max()) for one in golden)
    parts = [_differences(one, scorer, scoring, least) for one in golden]
    # np.max and not max: a NaN must not get lost
    return Differences(*(float(value) for value in np.max(parts, axis=0)))


def _places(decided: NDArray[Any] | None, number: int) -> tuple[int, int] | None:
    if decided is None:
        return None
    if decided.dtype != np.int64:
        raise TypeError(f"decided {decided.dtype}")
    patch, entry = decided[number].tolist()
    return patch, entry


def _differences(golden: Golden, scorer: Scorer, scoring: Scoring, least: float) -> tuple[float, float]:
    """Return the difference of the score and the mean difference of the distances."""
    features = scorer.embed(scorer.preprocess(golden.frame))
    score = scorer.judge(features)
    one = max(unit(golden.distances, features), least)
    of_score = max(abs(golden.score), _least(features), least)
    if golden.decided is None:
        distances = _beyond_bounds(golden, features, scorer)
        return abs(score.value - golden.score) / of_score, float(distances.mean()) / one
    patch = golden.decided[0]
    rows = np.append(np.arange(0, len(features), _EVERY), patch)
    here = exact(scorer, features[rows]).distance
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


def _beyond_bounds(golden: Golden, features: NDArray[np.float32], scorer: Scorer) -> NDArray[np.float64]:
    """Return how far the distances of an older bundle lie outside of what they may be, float64 [some patches].

    They are those to the nearest entries, or to the ones that the graph finds.
    """
    stored = golden.distances[::_EVERY].astype(np.float64)
    bounds = scorer.whole(features).distance[::_EVERY]
    nearest = exact(scorer, features[::_EVERY]).distance
    return np.asarray(np.abs(stored - np.clip(stored, nearest, np.maximum(nearest, bounds))))
