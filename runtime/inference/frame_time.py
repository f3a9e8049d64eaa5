"""What a frame takes with a bundle on this machine."""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Sequence
from functools import partial

from edge_config.bundle.files import Bundle
from runtime.frame import Image
from runtime.inference.load import golden_images
from runtime.scoring.scorer import Scorer

_ROUNDS = 3


def frame_ms(bundle: Bundle, scorer: Scorer) -> float:
    """Return the median time of a golden frame from preprocessing to its score, milliseconds."""
    return _medians(golden_images(bundle, scorer.grid), [scorer])[0]


def frame_ms_of_both(bundle: Bundle, now: Scorer | None, candidate: Scorer) -> tuple[float, float]:
    """Return the same of two bundles on the golden frames of the candidate, by turns: both share what else is done.

    Args:
        bundle: the candidate.
        now: the stages with the bundle in service; None if there is none: its time is 0.
        candidate: the stages with the candidate.
    """
    images = golden_images(bundle, candidate.grid)
    if now is None:
        return 0.0, _medians(images, [candidate])[0]
    both = _medians(images, [now.another(), candidate.another()])
    return both[0], both[1]


def _medians(images: Sequence[Image], scorers: Sequence[Scorer]) -> list[float]:
    """Return the median time of a picture with each of some stages, milliseconds."""
    shown = [image for _ in range(_ROUNDS) for image in images]
    times = [[timeit.timeit(partial(scorer, image), number=1) for scorer in scorers] for image in shown]
    return [statistics.median(column) * 1000 for column in zip(*times, strict=True)]
