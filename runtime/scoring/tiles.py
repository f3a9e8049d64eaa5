"""Tiles: overlapping parts of a picture, each an input of the graph, whose patches become one grid.

Neighbouring tiles show the same patches where they overlap. Of these the one is kept whose tile has its centre nearest:
it has the most of the picture around it. So a frame has each patch once, and nothing behind the graph knows of tiles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Tiles
from runtime.frame import Image


def cut(picture: Image, tiles: Tiles) -> NDArray[np.uint8]:
    """Return the tiles of a resized picture, row by row, uint8 [N, H, W, 3]."""
    height, width = tiles.tile_hw
    found = np.empty((len(tiles.tops) * len(tiles.lefts), height, width, 3), dtype=np.uint8)
    corners = ((top, left) for top in tiles.tops for left in tiles.lefts)
    for room, (top, left) in zip(found, corners, strict=True):
        room[:] = picture[top : top + height, left : left + width]
    return found


class Stitch:
    """Where the patches of all tiles are in the one grid of the picture.

    Attributes:
        tiles: number of tiles, N.
        per_tile: patches of a tile.
        patches: patches of the picture.
    """

    def __init__(self, tiles: Tiles, crop_hw: tuple[int, int], map_hw: tuple[int, int], stride: int) -> None:
        """Compute the places.

        Args:
            tiles: section of the manifest.
            crop_hw: height and width of the picture that they are cut from, pixels.
            map_hw: height and width of the map over that picture, positions.
            stride: every s-th row and column of it is a patch.

        Raises:
            ValueError: the tiles do not cover that picture, or their patches are not those of one grid.
        """
        axes = zip((tiles.tops, tiles.lefts), tiles.tile_hw, crop_hw, map_hw, strict=True)
        rows, columns = (_Axis(starts, tile, crop, cells, stride) for starts, tile, crop, cells in axes)
        self.tiles = len(tiles.tops) * len(tiles.lefts)
        self.per_tile = rows.per_tile * columns.per_tile
        self.patches = len(rows.owner) * len(columns.owner)
        numbers = np.arange(self.patches).reshape(len(rows.owner), len(columns.owner))
        self._places: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for row in range(len(tiles.tops)):
            for column in range(len(tiles.lefts)):
                own = np.ix_(rows.owner == row, columns.owner == column)
                inside = rows.local[own[0]] * columns.per_tile + columns.local[own[1]]
                self._places.append((inside.ravel(), numbers[own].ravel()))

    def put(self, features: NDArray[np.float32], first: int, some: NDArray[np.float32]) -> None:
        """Put the patches of some tiles into those of the picture, in place.

        Args:
            features: of the picture, float32 [patches, D].
            first: number of the first of these tiles.
            some: of consecutive tiles, float32 [n * per_tile, D]; what is beyond the last tile is left out.
        """
        for number, (inside, places) in enumerate(self._places[first : first + len(some) // self.per_tile]):
            features[places] = some[number * self.per_tile + inside]


class _Axis:
    """The tiles along rows or columns.

    Attributes:
        per_tile: patches of a tile along this axis.
        owner: of each patch of the picture the tile that it is taken from, int64 [n].
        local: and its number there, int64 [n].
    """

    def __init__(self, starts: tuple[int, ...], tile: int, crop: int, cells: int, stride: int) -> None:
        if crop % cells:
            raise ValueError(f"a map of {cells} positions over {crop} pixels")
        step = crop // cells
        at = np.array(starts, dtype=np.int64)
        ends_right = at[0] == 0 and at[-1] == crop - tile and tile % step == 0
        if not ends_right or (at % (step * stride)).any() or (np.diff(at) <= 0).any() or (np.diff(at) > tile).any():
            raise ValueError(f"tiles of {tile} pixels from {starts} are not over patches of {crop} pixels")
        self.per_tile = -(-(tile // step) // stride)
        patches = np.arange(0, cells, stride)
        middles = (patches + 0.5) * step
        away = np.abs(middles[:, None] - (at + tile / 2))
        shown = (middles[:, None] > at) & (middles[:, None] < at + tile)
        self.owner = np.argmin(np.where(shown, away, np.inf), axis=1)
        self.local = (patches - at[self.owner] // step) // stride
