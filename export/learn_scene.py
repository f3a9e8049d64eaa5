"""Learn what normal pictures look like (light, sharpness, position), so that the device can detect a changed camera."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edge_config.bundle.manifest import Scene
from runtime.frame import Image
from runtime.scene.inspect import is_moved
from runtime.scene.thumbnail import Placed, Thumbnail, measure, shrink, size_for

MAX_PICTURES = 200
"""Maximum number of pictures to learn from, spread evenly: more add nothing about light and sharpness."""

ODD = 0.02
"""Share of outliers at each end that are ignored: a black picture must not make black normal."""

DARKEST = 0.25
"""Pictures down to this share of the darkest normal luminance can be judged; likewise for the distance to white."""
WHITE, BRIGHTEST = 255.0, 250.0
"""A luminance below the latter is never too bright."""

SOFTEST = 0.5
"""Pictures down to this share of the lowest normal sharpness can be judged. Measured on five scenes: people over half
of the view leave 0.7 and damaged objects 0.9, defocus of one percent of the width at most 0.4."""
BAREST = 0.35
"""Pictures down to this share of the lowest normal detail can be judged: half a view leaves 0.5, no view 0.1."""

STILL = 0.6
"""Minimum correlation of normal pictures with their median for a fixed scene. Fixed cameras have 0.8 and more, objects
in slightly different positions 0.3, a conveyor belt 0.1."""
CROWDED = 0.1
"""Share of the normal pictures that may be below it, as people may stand in the view."""

SHIFT = 0.04
"""Maximum displacement of a fixed camera, relative to the width."""


def learn(pictures: Iterable[Image], reference: Thumbnail | None = None) -> tuple[Scene, Thumbnail]:
    """Learn from normal pictures, uint8 [H, W, 3] BGR, at least one.

    Args:
        pictures: the normal pictures.
        reference: reference for displacements; None uses the median of the pictures.
    """
    thumbnails: list[Thumbnail] = []
    size = None if reference is None else (reference.shape[0], reference.shape[1])
    for image in pictures:
        size = size or size_for(*image.shape[:2])
        thumbnails.append(shrink(image, size))
    looks = np.array([measure(thumbnail) for thumbnail in thumbnails])
    least = np.quantile(looks, ODD, axis=0)
    most = np.quantile(looks, 1 - ODD, axis=0)
    if reference is None:
        reference = np.median(np.stack(thumbnails), axis=0).astype(np.uint8)
    scene = Scene(
        luminance=(DARKEST * float(least[0]), max(BRIGHTEST, WHITE - DARKEST * (WHITE - float(most[0])))),
        sharpness=SOFTEST * float(least[2]),
        detail=BAREST * float(least[3]),
        shift=SHIFT if _is_still(thumbnails, reference) else None,
    )
    return scene, reference


def widened(old: Scene, new: Scene) -> Scene:
    """Return limits that allow what either allows: the bank knows the old pictures, the threshold the new ones."""
    return Scene(
        luminance=(min(old.luminance[0], new.luminance[0]), max(old.luminance[1], new.luminance[1])),
        sharpness=min(old.sharpness, new.sharpness),
        detail=min(old.detail, new.detail),
        shift=None if old.shift is None or new.shift is None else max(old.shift, new.shift),
    )


def _is_still(thumbnails: list[Thumbnail], reference: Thumbnail) -> bool:
    """Return whether the pictures show a fixed scene, so that a displacement can be measured."""
    place = Placed.of(reference)
    shifts = [place.shift_of(Placed.of(thumbnail)) for thumbnail in thumbnails]
    alike = np.quantile([shift.here for shift in shifts], CROWDED) >= STILL
    return bool(alike and np.mean([is_moved(shift, SHIFT) for shift in shifts]) <= ODD)
