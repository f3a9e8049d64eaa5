"""Pictures of the page of a fit, read once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from export.pictures.images import Pictures
from export.pictures.regions import Looked
from export.thumbnail import Thumbnail
from runtime.frame import Image

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


def show(pictures: Pictures, looked: Looked) -> Gallery:
    """Read the pictures that the page shows."""
    return Gallery(view=None if looked.hw is None else _view(next(iter(pictures.again([0]))), looked))


def _view(picture: Image, looked: Looked) -> Image:
    drawn = looked.draw(picture)
    factor = min(1.0, VIEW / max(drawn.shape[:2]))
    size = max(1, round(drawn.shape[1] * factor)), max(1, round(drawn.shape[0] * factor))
    return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
