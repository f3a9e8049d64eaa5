"""Whether a provider gains by taking pictures of several cameras together, and up to how many."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.files import Bundle
from runtime.inference.batches.same_scores import in_batches
from runtime.inference.golden_check import GoldenCheck
from runtime.inference.load import golden_images
from runtime.inference.providers.choice import TriedProvider
from runtime.scoring.embed import Embed
from runtime.scoring.scorer import Scorer

MAX_TRIED = 16
"""Pictures: a run of more is longer than one of them should wait."""

_ROUNDS = 8

WORTHWHILE = 0.95
"""Share of a frame's time that twice as many pictures together may leave at most, to be chosen: what they gain comes
and goes, and the first of them waits for the last."""

Ratio = Callable[[int], tuple[float, float]]
"""For so many pictures: what the graph takes for each when half as many, and when all go together, milliseconds."""


class BatchChoice(NamedTuple):
    """How many pictures go together.

    Attributes:
        batch: so many.
        graph_ms: what the graph took for each picture, milliseconds: alone, two together, four, as far as was tried.
    """

    batch: int
    graph_ms: tuple[float, ...]


def with_batch(bundle: Bundle, scorer: Scorer, checked: GoldenCheck, alone: TriedProvider) -> TriedProvider:
    """Return a provider with the number of pictures it takes together: doubled while frames gain and no score changes.

    Args:
        bundle: theirs.
        scorer: the stages on it.
        checked: its golden frames.
        alone: what was measured of it.
    """
    embed = in_batches(bundle, scorer, checked, MAX_TRIED).embed
    if not isinstance(embed, Embed) or embed.batch == 1 or alone.frame_ms is None or alone.graph_ms is None:
        return alone
    tensors = [scorer.preprocess(image) for image in golden_images(bundle, scorer.grid)]
    found = double(lambda size: by_turns(embed, tensors, size), embed.batch, alone.frame_ms - alone.graph_ms)
    return msgspec.structs.replace(alone, batch=found.batch, batch_ms=found.graph_ms)


def double(ratio: Ratio, most: int, rest_ms: float) -> BatchChoice:
    """Double for as long as it is worthwhile; `rest_ms` is what a frame takes beside the graph."""
    batch, found = 1, list[float]()
    while batch < most:
        half_ms, ms = ratio(2 * batch)
        found = found or [half_ms]
        found.append(ms * found[-1] / half_ms)
        if rest_ms + found[-1] > WORTHWHILE * (rest_ms + found[-2]):
            break
        batch *= 2
    return BatchChoice(batch, tuple(found))


def by_turns(embed: Embed, tensors: Sequence[NDArray[np.uint8]], size: int) -> tuple[float, float]:
    """Return what the graph takes for each of `size` pictures, in two halves and all together, milliseconds."""
    some = [tensors[number % len(tensors)] for number in range(size)]
    room = np.empty(size * math.prod(embed.output_shape), dtype=np.float32)
    half, took = room[: len(room) // 2], ([], [])  # type: tuple[NDArray[np.float32], tuple[list[float], list[float]]]
    for _ in range(_ROUNDS):
        start_s = time.perf_counter()
        for first in (0, size // 2):
            embed.together(some[first : first + size // 2], half)
        middle_s = time.perf_counter()
        embed.together(some, room)
        took[0].append(middle_s - start_s)
        took[1].append(time.perf_counter() - middle_s)
    halves, whole = (median(times) / size * 1e3 for times in took)
    return halves, whole
