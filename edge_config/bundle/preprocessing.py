"""From a camera frame to the input of the graph: section `preprocessing` of the manifest."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edge_config.bundle.fields import HeightWidth, ManifestPart, Side, Starts, Triple

FULL_DEPTH = 16
"""Default depth of 16-bit pictures, bits."""


class Tiles(ManifestPart, frozen=True):
    """Overlapping tiles of the resized picture, row by row: each is one input of the graph, whose first axis they are.

    A patch that several tiles show is that of the tile whose centre is nearest, in rows and in columns; of two that are
    equally near, the first.

    Attributes:
        tops, lefts: first row of each row of tiles, and first column of each column, pixels of the resized picture;
            ascending from 0, each a multiple of the distance between two patches, and the last tile ends the picture.
        tile_hw: height and width of a tile, pixels: the input of the graph.
        picture_hw: height and width of the pictures that the tiles were chosen for, pixels. Others are resized the
            same way, so that each tile shows the same share of them.
        smallest_fault: shorter side of the smallest fault that the tiles were chosen for, pixels of such a picture;
            null if their number was given.
    """

    tops: Starts
    lefts: Starts
    tile_hw: HeightWidth
    picture_hw: HeightWidth
    smallest_fault: Side | None = None


class Preprocessing(ManifestPart, frozen=True):
    """From a camera frame to the input of the graph.

    Attributes:
        resize: `area` averages the covered pixels if the picture shrinks in both directions, rounded half to even;
            otherwise it is bilinear.
        resize_hw: height and width after resizing, pixels; the aspect ratio is not kept.
        crop_hw: height and width of the centre crop, pixels: the input of the graph, or what the tiles are cut from.
        color_order: channel order of the input of the graph.
        mean, std: normalisation inside the graph, RGB, on the scale 0 to 255: (x - mean) / std.
        depth: bits in use in 16-bit pictures, default 16: the high 8 of these are kept, and larger values are white.
            8-bit pictures are not changed.
        tiles: how the picture becomes several inputs of the graph; null if it is one.
    """

    resize: Literal["area"]
    resize_hw: HeightWidth
    crop_hw: HeightWidth
    color_order: Literal["bgr"]
    mean: Triple
    std: Triple
    depth: Annotated[int, Meta(ge=8, le=16)] = FULL_DEPTH
    tiles: Tiles | None = None
