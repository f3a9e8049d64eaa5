"""What a frame takes with a bundle on this machine."""

from __future__ import annotations

import statistics
import timeit
from functools import partial

import numpy as np

from edge_config.bundle.files import Bundle
from runtime.inference.load import golden_images
from runtime.scoring.scorer import Scorer

_ROUNDS = 3
_PICTURES, _TURNS = 3, 6
"""Where two bundles are compared: of few pictures often, as a short time is one without other work."""


def frame_ms(bundle: Bundle, scorer: Scorer) -> float:
    """Return the median time of a golden frame from preprocessing to its score, milliseconds."""
    images = golden_images(bundle, scorer.grid) * _ROUNDS
    return statistics.median(timeit.timeit(partial(scorer, image), number=1) for image in images) * 1000


def frame_ms_of_both(bundle: Bundle, now: Scorer | None, candidate: Scorer) -> tuple[float, float]:
    """Return what a golden frame of the candidate takes with two bundles, by turns, while other frames are scored.

    It is the median, over the golden frames, of the shortest time of each: what else is done only makes it longer.

    Args:
        bundle: the candidate.
        now: the stages with the bundle in service; None if there is none: its time is 0.
        candidate: the stages with the candidate.
    """
    images = golden_images(bundle, candidate.grid)[:_PICTURES]
    both = [scorer.another() for scorer in (now, candidate) if scorer is not None]
    rounds = [
        [[timeit.timeit(partial(one, image), number=1) for one in both] for image in images] for _ in range(_TURNS)
    ]
    least = np.min(rounds, axis=0)  # [images, bundles]
    times = [float(value) * 1000 for value in np.median(least, axis=0)]
    return (times[0], times[1]) if now is not None else (0.0, times[0])
