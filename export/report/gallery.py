"""Pictures of the page of a fit, read once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from export.thumbnail import Thumbnail, thumbnail
from runtime.frame import Image
from runtime.learning.normals.judge import Strange
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.regions import Looked
from runtime.scoring.score import anomaly_map
from runtime.scoring.scorer import Scorer

VIEW = 480
"""Longer side of the picture with the regions, pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Pictures of the page.

    Attributes:
        strangest: of the strangest pictures, in their order.
        view: a picture with the regions drawn into it, uint8 [H, W, 3] BGR; None without regions.
    """

    strangest: Sequence[Thumbnail] = ()
    view: Image | None = None


def show(pictures: Pictures, looked: Looked, strangest: Sequence[Strange], scorer: Scorer) -> Gallery:
    """Read the pictures that the page shows.

    Args:
        pictures: the normal pictures.
        looked: where they are judged.
        strangest: the strangest of them.
        scorer: the stages as the device runs them.
    """
    return Gallery(
        strangest=_strangest(pictures, strangest, scorer),
        view=None if looked.hw is None else _view(next(iter(pictures.again([0]))), looked),
    )


def _strangest(pictures: Pictures, strangest: Sequence[Strange], scorer: Scorer) -> list[Thumbnail]:
    """Return the thumbnails in the order of the strangest; the pictures are read in their own."""
    places = {name: place for place, name in enumerate(pictures.names())}
    by_place = {places[one.name]: one for one in strangest}
    shown = {}
    for (_, one), image in zip(sorted(by_place.items()), pictures.again(by_place), strict=True):
        distances = np.array(one.distances(), dtype=np.float32)
        heat = anomaly_map(distances, scorer.grid, scorer.preprocess.seen(image).shape[:2])
        shown[one.name] = thumbnail(image, scorer.preprocess, heat)
    return [shown[one.name] for one in strangest]


def _view(picture: Image, looked: Looked) -> Image:
    drawn = looked.draw(picture)
    factor = min(1.0, VIEW / max(drawn.shape[:2]))
    size = max(1, round(drawn.shape[1] * factor)), max(1, round(drawn.shape[0] * factor))
    return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
