"""How many pictures one run of the graph may take on this machine, so that the scores are those of single ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.files import Bundle
from edge_config.settings.sections import CPU
from runtime.inference.batches.attempt import attempt
from runtime.inference.golden_check import GoldenCheck, golden_frames
from runtime.inference.golden_frames import compare
from runtime.scoring.embed import Embed
from runtime.scoring.scorer import Scorer


def sizes_up_to(batch: int) -> list[int]:
    """Return the numbers of pictures that are run together: powers of two, as each is a plan of its own."""
    return [1 << power for power in range(1, batch.bit_length())]


def in_batches(bundle: Bundle, scorer: Scorer, checked: GoldenCheck, batch: int) -> Scorer:
    """Return stages that embed up to `batch` pictures together, as far as no score changes; a line says why not more.

    On the CPU the features must be those of single pictures, bit for bit. Other providers add up in another order for
    another number of pictures: their golden frames must be within the bundle's tolerance, wherever they are in a batch.

    Args:
        bundle: it.
        scorer: its stages.
        checked: its golden frames one by one.
        batch: pictures that one run shall take at most.
    """
    embed, good, why = scorer.embed, 1, ""
    sizes = sizes_up_to(batch)
    if sizes and (not isinstance(embed, Embed) or bundle.manifest.preprocessing.tiles):
        sizes, why = [], "its pictures are in tiles"
    for size in sizes:
        why = attempt(partial(_differs, bundle, scorer, checked, size))
        if why:
            break
        good = size
    said = (f"batches of {batch}: {why}",) if why else ()
    there = embed.in_batches(good) if isinstance(embed, Embed) else embed
    return replace(scorer, embed=there, passed_over=(*scorer.passed_over, *said))


def _differs(bundle: Bundle, scorer: Scorer, checked: GoldenCheck, size: int) -> str:
    """Return how the scores of golden frames in batches differ from what is allowed; empty if they do not."""
    embed, golden = scorer.embed, golden_frames(bundle, scorer.grid)
    assert isinstance(embed, Embed)  # noqa: S101 - it is asked for no others
    tensors = [scorer.preprocess(one.frame) for one in golden]
    made = _embedded(embed, tensors, size)
    if all(np.array_equal(one, embed(tensor)) for one, tensor in zip(made, tensors, strict=True)):
        return ""
    if embed.provider == CPU.name:
        return f"features of {size} pictures together are others than of each alone"
    in_turn = iter(made)
    found = compare(golden, replace(scorer.another(), embed=lambda _tensor: next(in_turn)), bundle.manifest.scoring)
    there = replace(checked, scores=found.scores, distances_mean=found.distances_mean)
    return "" if there.good else f"{size} pictures together: {there.differences}"


def _embedded(embed: Embed, tensors: Sequence[NDArray[np.uint8]], size: int) -> list[NDArray[np.float32]]:
    """Embed each in a batch of its own, at another place in each."""
    found = []
    for number in range(len(tensors)):
        place = number % size
        some = [tensors[(number - place + other) % len(tensors)] for other in range(size)]
        made = embed.together(some, np.empty(size * math.prod(embed.output_shape), dtype=np.float32))
        found.append(embed.finish(made[place], np.empty(embed.output_shape, dtype=np.float32)))
    return found
