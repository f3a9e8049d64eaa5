"""What a frame takes with a bundle on this machine."""

from __future__ import annotations

import statistics
import timeit
from functools import partial

from edge_config.bundle.files import Bundle
from runtime.inference.load import golden_images
from runtime.scoring.scorer import Scorer

_ROUNDS = 3


def frame_ms(bundle: Bundle, scorer: Scorer) -> float:
    """Return the median time of a golden frame from preprocessing to its score, milliseconds."""
    images = golden_images(bundle, scorer.grid) * _ROUNDS
    return statistics.median(timeit.timeit(partial(scorer, image), number=1) for image in images) * 1000
