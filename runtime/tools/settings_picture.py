"""Draw settings on a picture: regions, ignored areas, and what the bundle does not see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Preprocessing
from edge_config.polygons import Polygon
from edge_config.settings.sections import Camera
from runtime.frame import Image
from runtime.scoring.draw_regions import add_outlines, line_width, scaled, tint
from runtime.view import View

SEEN = 0, 220, 255
"""Yellow, BGR."""

_DIMMED = 0.4  # of the brightness, where nothing is seen


class Learnt(NamedTuple):
    """Regions of a bundle, and height and width of the pictures that they belong to; None without any."""

    regions: Sequence[Polygon] = ()
    ignore: Sequence[Polygon] = ()
    hw: tuple[int, int] | None = None


NOWHERE = Learnt()


def outline(
    image: Image, camera: Camera, seen: Preprocessing | None, learnt: Learnt = NOWHERE
) -> tuple[Image, tuple[str, ...]]:
    """Draw the polygons of a camera into a copy of its picture.

    Args:
        image: uint8 [H, W, 3] BGR.
        camera: its settings.
        seen: how the bundle cuts its input out of the picture; None if that is not known.
        learnt: regions of the bundle, which are used where the camera has none of its own.

    Returns:
        The picture, and its legend: what is drawn, and what is odd about it, a line each.
    """
    view = View.of(camera)
    regions, ignore = (list(map(_points, polygons)) for polygons in (view.regions, view.ignore))
    of_bundle = not view.own and learnt.hw is not None
    if not view.own and learnt.hw is not None:
        picture_hw = image.shape[0], image.shape[1]
        regions, ignore = (scaled(polygons, learnt.hw, picture_hw) for polygons in (learnt.regions, learnt.ignore))
    drawn = tint(image, ignore)
    legend: list[str] = []
    window = None if seen is None else _window(seen, image.shape[:2])
    if window is not None:
        dimmed = (_DIMMED * drawn).astype(np.uint8)
        dimmed[window] = drawn[window]
        drawn = dimmed
    add_outlines(drawn, regions, ignore)
    whose = " of the bundle" if of_bundle else ""
    if regions:
        legend.append(f"green: {_many(regions, 'region')}{whose}; only what lies inside is judged")
    if ignore:
        legend.append(f"red: {_many(ignore, 'polygon')}{whose} that is not judged")
    if window is not None:
        rows, columns = window
        ends = (columns.start, rows.start), (columns.stop - 1, rows.stop - 1)
        cv2.rectangle(drawn, *ends, color=SEEN, thickness=line_width(image))
        size = f"{columns.stop - columns.start} x {rows.stop - rows.start}"
        legend.append(f"yellow: what the bundle sees, {size} pixels of {image.shape[1]} x {image.shape[0]}")
    for name, polygons in (("region", view.regions), ("ignore", view.ignore)):
        for number, polygon in enumerate(polygons, 1):
            legend += (f"{name} {number} {odd}" for odd in _odd(polygon, image, window))
    return drawn, tuple(legend)


def _window(seen: Preprocessing, frame_hw: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of the frame that the input of the graph is cut out of."""
    ends = []
    for resized, crop, frame in zip(seen.resize_hw, seen.crop_hw, frame_hw, strict=True):
        first = (resized - crop) // 2
        ends.append(slice(round(first * frame / resized), round((first + crop) * frame / resized)))
    return ends[0], ends[1]


def _odd(polygon: Polygon, image: Image, window: tuple[slice, slice] | None) -> list[str]:
    """Return what is odd about the place of a polygon."""
    height, width = image.shape[:2]
    mask = _mask([polygon], image)
    if not mask.any():
        return [f"lies outside of the picture of {width} x {height} pixels"]
    said = []
    if any(x > width or y > height for x, y in polygon):
        said.append(f"reaches beyond the picture of {width} x {height} pixels")
    if window is not None and not mask[window].any():
        said.append("lies where the bundle sees nothing")
    return said


def _mask(polygons: Sequence[Polygon], image: Image) -> NDArray[np.bool_]:
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, list(map(_points, polygons)), 1)
    return mask.astype(np.bool_)


def _points(polygon: Polygon) -> NDArray[np.int32]:
    return np.array(polygon, dtype=np.int32)


def _many(polygons: Sequence[object], name: str) -> str:
    return f"{len(polygons)} {name}" + ("s" if len(polygons) > 1 else "")
