"""Polygons in pictures, as settings, bundles and requests hold them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Coordinate = Annotated[int, Meta(ge=0, le=65535)]
Polygon = Annotated[
    tuple[tuple[Coordinate, Coordinate], ...],
    Meta(min_length=3, max_length=256, description="a list of at least 3 corners [x, y]"),
]
"""Corners [x, y] in pixels of the camera frame; the polygon is closed from the last to the first."""
Polygons = Annotated[tuple[Polygon, ...], Meta(max_length=64)]
