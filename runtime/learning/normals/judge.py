"""How strange every picture is, and which are foreign: found before the threshold, named in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Outlier
from runtime.learning.normals.foreign import count_foreign
from runtime.learning.normals.strangeness import Strangeness, Table

SHOWN = 10
"""Number of the strangest pictures that are listed."""

_DIGITS = 4
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Normals:
    """How strange the pictures are that are left.

    Attributes:
        numbers: of the pictures, the strangest first, int64 [n].
        scores: of these, float64 [n].
        deviations: how far each is above the median, in median absolute deviations, float64 [n].
        foreign: how many of the first are foreign.
    """

    numbers: NDArray[np.int64]
    scores: NDArray[np.float64]
    deviations: NDArray[np.float64]
    foreign: int


@dataclass(frozen=True, slots=True)
class Strange:
    """One of the strangest pictures, for the report.

    Attributes:
        name: of the picture, below the folder of the pictures.
        score: how strange it is.
        deviations: how far that is above the median, in median absolute deviations.
        learnt: it is in the bank; false for a held-out picture.
        foreign: the rule calls it foreign.
        excluded: it was left out.
        distances: measures the distance of each patch of the grid to the other pictures, row by row; 0 where none is
            judged. Only a report needs them.
    """

    name: str
    score: float
    deviations: float
    learnt: bool
    foreign: bool
    excluded: bool
    distances: Callable[[], list[float]]


def judge(features: Table, kept: NDArray[np.bool_], others: Strangeness, k: int, most: int) -> Normals:
    """Judge pictures by the bank of the others.

    Args:
        features: of all pictures.
        kept: bool [pictures], True for those to judge.
        others: the bank, by pictures.
        k: number of patch distances whose mean is the score.
        most: number of pictures that may be foreign.
    """
    judged = np.flatnonzero(kept)
    scores = others.scores(features, judged, k)
    order = np.argsort(-scores, kind="stable")
    return Normals(judged[order], scores[order], deviations(scores)[order], count_foreign(scores, most))


def deviations(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far scores are above their median, in median absolute deviations."""
    apart = scores - np.median(scores)
    return np.asarray(apart / max(float(np.median(np.abs(apart))), _TINY))


def as_pictures(normals: Normals, count: int, names: list[str], held: NDArray[np.bool_]) -> tuple[Outlier, ...]:
    """Return the strangest pictures as the manifest names them."""
    return tuple(
        Outlier(name=names[number], score=score, deviations=round(apart, 1), learnt=not held[number])
        for number, score, apart in _first(normals, count)
    )


def as_strange(
    normals: Normals,
    count: int,
    names: list[str],
    held: NDArray[np.bool_],
    features: Table,
    others: Strangeness,
    *,
    excluded: bool = False,
) -> list[Strange]:
    """Return the strangest pictures for the report, with the distances of their patches."""

    def measure(number: int) -> list[float]:
        return _over_grid(others.distances(features, number), features.judged)

    def measuring(number: int) -> Callable[[], list[float]]:
        if not excluded:
            return partial(measure, number)
        found = measure(number)  # now: the features will be scaled anew without this picture
        return lambda: found

    return [
        Strange(
            name=names[number],
            score=score,
            deviations=round(apart, 1),
            learnt=not held[number],
            foreign=place < normals.foreign,
            excluded=excluded,
            distances=measuring(number),
        )
        for place, (number, score, apart) in enumerate(_first(normals, count))
    ]


def _over_grid(distances: NDArray[np.float32], judged: NDArray[np.bool_] | None) -> list[float]:
    """Put the distances of the judged patches in their places."""
    grid = np.zeros(len(distances) if judged is None else judged.size)
    grid[... if judged is None else judged.reshape(-1)] = distances
    rounded: list[float] = np.round(grid, _DIGITS).tolist()
    return rounded


def _first(normals: Normals, count: int) -> Iterable[tuple[int, float, float]]:
    first = slice(0, count)
    return zip(
        normals.numbers[first].tolist(),
        normals.scores[first].tolist(),
        normals.deviations[first].tolist(),
        strict=True,
    )
