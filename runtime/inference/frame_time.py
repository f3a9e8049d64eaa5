"""What a frame takes with a bundle on this machine."""

from __future__ import annotations

import statistics
import time

from edge_config.bundle.files import Bundle
from runtime.inference.load import golden_images
from runtime.scoring.scorer import Scorer

_ROUNDS = 3


def frame_ms(bundle: Bundle, scorer: Scorer) -> float:
    """Return the median time of a golden frame from preprocessing to its score, milliseconds."""
    took = []
    for image in golden_images(bundle, scorer.grid) * _ROUNDS:
        start = time.perf_counter()
        scorer(image)
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1000
