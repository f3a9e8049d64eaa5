"""Do the first half of several frames with as few runs of the graph as possible; each is as if it were alone."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from runtime.inference.batches.attempt import attempt
from runtime.inference.stages import Half
from runtime.scoring.embed import Embed, GraphRun


class EmbedTogether:
    """Embeds frames that were looked at, and whose bundles have the same network. For one thread."""

    def __init__(self) -> None:
        """Begin without memory."""
        self._memory = np.empty(0, dtype=np.float32)

    def __call__(self, looked: Sequence[Half | str]) -> Iterator[Half | str]:
        """Yield the frames one after the other, embedded where that is due; text says why one cannot be.

        Take each at once: the next one may wait for the memory of its features. If the graph fails for several
        together, each is run alone, so that only those fail that must.
        """
        tensors = [_tensor(half) for half in looked]
        due = [place for place, tensor in enumerate(tensors) if isinstance(tensor, np.ndarray)]
        runs: dict[int, GraphRun] = {}
        for place, (half, tensor) in enumerate(zip(looked, tensors, strict=True)):
            if isinstance(half, str) or tensor is None:
                yield half
            elif isinstance(tensor, str):
                yield tensor
            else:
                if place not in runs:
                    rest = due[len(runs) :]
                    runs |= self._run(rest[: _power(len(rest))], looked, tensors)
                yield attempt(partial(half.stages.embedded, half, runs[place]))

    def _run(
        self, some: Sequence[int], looked: Sequence[Half | str], tensors: Sequence[NDArray[np.uint8] | str | None]
    ) -> dict[int, GraphRun]:
        """Run the graph once for some of the frames, and return what has their features; where it fails, runs alone."""
        halves = [half for place in some if isinstance(half := looked[place], Half)]
        inputs = [tensor for place in some if isinstance(tensor := tensors[place], np.ndarray)]
        alone = [partial(half.stages.scorer.embed, tensor) for half, tensor in zip(halves, inputs, strict=True)]
        embeds = [embed for half in halves if isinstance(embed := half.stages.scorer.embed, Embed)]
        if len(some) == 1 or len(embeds) < len(some):
            return dict(zip(some, alone, strict=True))
        size = len(some) * math.prod(embeds[0].output_shape)
        if len(self._memory) < size:
            self._memory = np.empty(size, dtype=np.float32)
        start = time.perf_counter()
        made = attempt(partial(embeds[0].together, inputs, self._memory[:size]))
        if isinstance(made, str):
            return dict(zip(some, alone, strict=True))
        for half in halves:
            half.seconds["embed"] = (time.perf_counter() - start) / len(some)
        return {place: partial(embed.finish, one) for place, embed, one in zip(some, embeds, made, strict=True)}


def _tensor(half: Half | str) -> NDArray[np.uint8] | str | None:
    """Return the input of a frame that is to be embedded; None for one that is not."""
    if isinstance(half, str) or not half.is_due:
        return None
    return attempt(partial(half.stages.preprocessed, half))


def _power(count: int) -> int:
    """Return the largest power of two that is at most `count`."""
    return 1 << (count.bit_length() - 1)
