"""Where in the picture something is new: boxes that tell a person what is about to become normal."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.learning.grow.job import NewPlace
from runtime.scoring.scorer import Scorer

MIN_PICTURES = 2
"""Pictures in which a patch is new, at least; in a single one it may be chance."""

MAX_PLACES = 8
"""Places in a report, the largest first."""


def new_places(news: Sequence[NDArray[np.bool_]], scorer: Scorer, frame_hw: tuple[int, int]) -> list[NewPlace]:
    """Return the boxes around patches that are new in several pictures, and are side by side.

    Args:
        news: for each picture the patches that are new to the parent, bool [patches].
        scorer: of the parent.
        frame_hw: height and width of the pictures, pixels.
    """
    shown = np.array(news).reshape(len(news), *scorer.grid.hw)
    often = np.asarray(shown.sum(axis=0) >= min(MIN_PICTURES, len(news)), np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(often, connectivity=8)
    ys, xs = scorer.preprocess.on_camera(scorer.grid.edges(), frame_hw)
    found: list[NewPlace] = []
    for number in sorted(range(1, count), key=lambda one: -int(boxes[one, cv2.CC_STAT_AREA]))[:MAX_PLACES]:
        left, top, columns, rows = (int(value) for value in boxes[number, :4])
        edges = xs[left], ys[top], xs[left + columns], ys[top + rows]
        x, y, right, bottom = (round(float(edge)) for edge in edges)
        pictures = int(shown[:, labels == number].any(axis=1).sum())
        found.append(NewPlace(x=x, y=y, width=right - x, height=bottom - y, pictures=pictures))
    return found
