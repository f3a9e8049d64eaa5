"""Learn what normal pictures look like (light, sharpness, position), so that the device can detect a changed camera."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Scene
from edge_config.bundle.may_vary import NOTHING, MayVary, Range, Usual
from runtime.frame import Image
from runtime.learning.vary.strengths import displacement, looks
from runtime.measures import Measures
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

ALTERED = 0.8
"""Pictures altered as declared can be judged down to this share of their lowest; likewise for the distance to white.
The margins above, over the pictures as they are, allow more than most declarations."""

STILL = 0.6
"""Minimum correlation of normal pictures with their median for a fixed scene. Fixed cameras have 0.8 and more, objects
in slightly different positions 0.3, a conveyor belt 0.1."""
CROWDED = 0.1
"""Share of the normal pictures that may be below it, as people may stand in the view."""

SHIFT = 0.04
"""Maximum displacement of a fixed camera, relative to the width."""


def learn(
    pictures: Iterable[Image], reference: Thumbnail | None = None, may_vary: MayVary = NOTHING
) -> tuple[Scene, Thumbnail]:
    """Learn from normal pictures, uint8 [H, W, 3] BGR, at least one.

    Args:
        pictures: the normal pictures.
        reference: reference for displacements; None uses the median of the pictures.
        may_vary: what is no fault: the limits allow as much more.
    """
    thumbnails: list[Thumbnail] = []
    size = None if reference is None else (reference.shape[0], reference.shape[1])
    allowed: float | None = 0.0
    for image in pictures:
        size = size or size_for(*image.shape[:2])
        thumbnails.append(shrink(image, size))
        more = displacement(may_vary, *image.shape[:2])
        allowed = None if allowed is None or more is None else max(allowed, more)
    altered = [change(thumbnail) for change in looks(may_vary) for thumbnail in thumbnails]
    measured = [measure(thumbnail) for thumbnail in thumbnails + altered]
    seen = np.array(measured).reshape(-1, len(thumbnails), len(measured[0]))
    (least, most), (lowest, highest) = _bounds(seen[:1]), _bounds(seen)
    if reference is None:
        reference = np.median(np.stack(thumbnails), axis=0).astype(np.uint8)
    scene = Scene(
        luminance=(
            float(min(DARKEST * least[0], ALTERED * lowest[0])),
            float(max(BRIGHTEST, WHITE - DARKEST * (WHITE - most[0]), WHITE - ALTERED * (WHITE - highest[0]))),
        ),
        sharpness=float(min(SOFTEST * least[2], ALTERED * lowest[2])),
        detail=float(min(BAREST * least[3], ALTERED * lowest[3])),
        shift=SHIFT + allowed if allowed is not None and _is_still(thumbnails, reference) else None,
        usual=_usual(measured, len(thumbnails)),
    )
    return scene, reference


def _bounds(seen: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lowest and highest measures without outliers, of the alteration where they are lowest and highest.

    Args:
        seen: measures, float64 [alterations, pictures, measures].
    """
    return np.quantile(seen, ODD, axis=1).min(axis=0), np.quantile(seen, 1 - ODD, axis=1).max(axis=0)


def _usual(measured: list[Measures], pictures: int) -> Usual:
    """Return the range of the pictures, as they are and altered as declared.

    Args:
        measured: of the pictures, and then of each of their alterations.
        pictures: number of the pictures.
    """
    looks = np.array([(one.luminance, one.highlights, one.edges) for one in measured]).reshape(-1, pictures, 3)
    ranges = [(float(low), float(high)) for low, high in zip(*_bounds(looks), strict=True)]
    return Usual(luminance=ranges[0], highlights=ranges[1], edges=ranges[2])


def widened(old: Scene, new: Scene) -> Scene:
    """Return limits that allow what either allows: the bank knows the old pictures, the threshold the new ones."""
    return Scene(
        luminance=(min(old.luminance[0], new.luminance[0]), max(old.luminance[1], new.luminance[1])),
        sharpness=min(old.sharpness, new.sharpness),
        detail=min(old.detail, new.detail),
        shift=None if old.shift is None or new.shift is None else max(old.shift, new.shift),
        usual=None if old.usual is None or new.usual is None else _joined(old.usual, new.usual),
    )


def _joined(one: Usual, other: Usual) -> Usual:
    def join(one: Range, other: Range) -> Range:
        return min(one[0], other[0]), max(one[1], other[1])

    return Usual(
        luminance=join(one.luminance, other.luminance),
        highlights=join(one.highlights, other.highlights),
        edges=join(one.edges, other.edges),
    )


def _is_still(thumbnails: list[Thumbnail], reference: Thumbnail) -> bool:
    """Return whether the pictures show a fixed scene, so that a displacement can be measured."""
    place = Placed.of(reference)
    shifts = [place.shift_of(Placed.of(thumbnail)) for thumbnail in thumbnails]
    alike = np.quantile([shift.here for shift in shifts], CROWDED) >= STILL
    return bool(alike and np.mean([is_moved(shift, SHIFT) for shift in shifts]) <= ODD)
