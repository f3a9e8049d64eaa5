"""Judge the pictures by the bank of the others, and learn again without those that shall be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Calibration, Excluded, Outlier
from edge_config.errors import TooFewImages
from runtime.learning.normals import words
from runtime.learning.normals.foreign import limit
from runtime.learning.normals.judge import SHOWN, Strange, as_pictures, as_strange, judge
from runtime.learning.normals.strangeness import Strangeness, Table

MAX_ROUNDS = 3
"""Number of times that `auto` looks for foreign pictures: without the first ones, those that they covered show."""

Memory = TypeVar("Memory")


@dataclass(frozen=True, slots=True)
class Judged(Generic[Memory]):
    """What was learnt, and from which pictures.

    Attributes:
        memory: what was learnt from those that are kept.
        kept: bool [pictures], False for those that were left out.
        foreign: pictures that are kept though they are foreign, the strangest first.
        strange: the strangest pictures for the report, those that were left out first.
        excluded: what was left out; None if it was not asked for.
        learnt: how strange each picture is that was learnt from, float64 [n], in no order.
    """

    memory: Memory
    kept: NDArray[np.bool_]
    foreign: tuple[Outlier, ...]
    strange: list[Strange]
    excluded: Excluded | None

    learnt: NDArray[np.float64]

    @property
    def strange_held(self) -> int:
        """Number of held-out pictures that are kept though they are foreign."""
        return sum(not one.learnt for one in self.foreign)


def learn_without_strange(
    learn: Callable[[NDArray[np.bool_]], tuple[Memory, Strangeness]],
    features: Table,
    names: list[str],
    held: NDArray[np.bool_],
    *,
    asked: int | Literal["auto"] | None,
    k: int,
    where: str,
) -> Judged[Memory]:
    """Learn, judge all pictures, and learn again without those that shall be left out.

    Args:
        learn: from the pictures that are True, bool [pictures].
        features: of all pictures.
        names: of all pictures.
        held: bool [pictures], True for held out.
        asked: number of pictures to leave out, or `auto` for those that are foreign.
        k: number of patch distances whose mean says how strange a picture is.
        where: path of the pictures.

    Raises:
        TooFewImages: no picture would be left to learn from, or to hold out.
    """
    kept = np.ones(len(held), dtype=bool)
    memory, others = learn(kept)
    normals = judge(features, kept, others, k, limit(len(kept)))
    out: list[Outlier] = []
    strange: list[Strange] = []
    for _ in range(MAX_ROUNDS if asked == "auto" else 1):
        count = normals.foreign if asked == "auto" else min(asked or 0, len(held))
        if not count:
            break
        out += as_pictures(normals, count, names, held)
        strange += as_strange(normals, min(count, SHOWN - len(strange)), names, held, features, others, excluded=True)
        kept[normals.numbers[:count]] = False
        _require(kept, held, asked, where)
        memory, others = learn(kept)
        normals = judge(features, kept, others, k, limit(len(kept)) - len(out))
    strange += as_strange(normals, SHOWN - len(strange), names, held, features, others)
    rule = words.RULE if asked == "auto" else words.RULE_COUNT
    excluded = Excluded(asked=asked, rule=rule, pictures=tuple(out)) if asked else None
    foreign, learnt = as_pictures(normals, normals.foreign, names, held), normals.scores[~held[normals.numbers]]
    return Judged(memory, kept, foreign, strange, excluded, learnt)


def warn(
    found: Judged[Memory],
    calibration: Calibration,
    scores: NDArray[np.float64],
    names: list[str],
    held: NDArray[np.bool_],
) -> list[str]:
    """Return what a person should know before trusting the bundle, and print it at once.

    Args:
        found: what was found about the pictures.
        calibration: the threshold.
        scores: of the held-out pictures, float64 [n].
        names: of all pictures.
        held: bool [pictures], True for those n.
    """
    named = [names[number] for number in np.flatnonzero(held).tolist()]
    return words.warn(found.foreign, found.excluded, calibration, list(zip(named, scores.tolist(), strict=True)))


def _require(kept: NDArray[np.bool_], held: NDArray[np.bool_], asked: object, where: str) -> None:
    if (kept & held).any() and (kept & ~held).any():
        return
    raise TooFewImages(
        f"--exclude {asked} leaves {int((kept & ~held).sum())} pictures to learn from and {int((kept & held).sum())} "
        f"held out; at least one of each is needed",
        where=where,
        remedy="take more pictures, or leave out fewer",
    )
