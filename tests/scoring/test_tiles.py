"""Tiles are cut where the manifest says, and each patch is that of the tile that shows most around it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_config.bundle.manifest import Tiles
from runtime.frame import Grid
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.tiles import Stitch, cut
from tests.support.preprocessing import resized

STEP, STRIDE, CELLS = 4, 2, 8  # pixels of a position, positions of a patch, positions of a tile
TILE = STEP * CELLS


@st.composite
def starts(draw: st.DrawFn) -> tuple[int, ...]:
    """Starts of tiles that overlap or touch."""
    found = [0]
    for _ in range(draw(st.integers(0, 4))):
        found.append(found[-1] + STEP * STRIDE * draw(st.integers(1, CELLS // STRIDE)))
    return tuple(found)


def tiles(tops: tuple[int, ...], lefts: tuple[int, ...]) -> Tiles:
    return Tiles(tops=tops, lefts=lefts, tile_hw=(TILE, TILE), picture_hw=(480, 640))


def sizes(spec: Tiles) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of the picture that tiles cover, and those of its map."""
    crop_hw = spec.tops[-1] + TILE, spec.lefts[-1] + TILE
    return crop_hw, (crop_hw[0] // STEP, crop_hw[1] // STEP)


def coordinates(spec: Tiles) -> np.ndarray:
    """Features of all tiles that say where each patch is: row and column of the picture, number of its tile."""
    corners = enumerate((top, left) for top in spec.tops for left in spec.lefts)
    inside = [(row * STEP, column * STEP) for row in range(0, CELLS, STRIDE) for column in range(0, CELLS, STRIDE)]
    found = [(top + y, left + x, number) for number, (top, left) in corners for y, x in inside]
    return np.array(found, dtype=np.float32)


@given(tops=starts(), lefts=starts(), at_once=st.integers(1, 9))
def test_each_patch_of_the_picture_comes_once_and_from_the_nearest_tile(tops: tuple, lefts: tuple, at_once: int):
    """Whatever tiles are put in at once, patch by patch of the grid has the place that the grid says, and comes from
    the tile whose centre is nearest in rows and in columns.
    """
    spec = tiles(tops, lefts)
    crop_hw, map_hw = sizes(spec)
    stitch = Stitch(spec, crop_hw, map_hw, STRIDE)
    given_ = coordinates(spec)
    found = np.full((stitch.patches, 3), np.nan, dtype=np.float32)
    for first in range(0, stitch.tiles, at_once):
        rows = slice(first * stitch.per_tile, (first + at_once) * stitch.per_tile)
        filled = np.full((at_once * stitch.per_tile, 3), np.nan, dtype=np.float32)
        filled[: len(given_[rows])] = given_[rows]
        stitch.put(found, first, filled)
    rows, columns = Grid(map_hw, STRIDE).centers()
    patches = [(y * crop_hw[0], x * crop_hw[1]) for y in rows for x in columns]
    assert len(patches) == len(found)
    for (y, x), (row, column, number) in zip(patches, found.tolist(), strict=True):
        assert (row, column) == pytest.approx((y - STEP / 2, x - STEP / 2))
        top, left = tops[int(number) // len(lefts)], lefts[int(number) % len(lefts)]
        assert abs(y - top - TILE / 2) == pytest.approx(min(abs(y - other - TILE / 2) for other in tops))
        assert abs(x - left - TILE / 2) == pytest.approx(min(abs(x - other - TILE / 2) for other in lefts))


def test_tiles_are_the_parts_of_the_resized_picture():
    """Row by row, each tile is the picture's own pixels from its top and left."""
    spec = tiles((0, 16), (0, 24, 40))
    picture = np.random.default_rng(0).integers(0, 256, (48, 72, 3), dtype=np.uint8)
    found = cut(picture, spec)
    assert found.shape == (6, TILE, TILE, 3)
    assert (found[4] == picture[16:48, 24:56]).all()
    assert (Preprocess(msgspec.structs.replace(resized((48, 72)), tiles=spec))(picture) == found).all()


@pytest.mark.parametrize(
    "tops",
    [
        pytest.param((4, 16), id="the first rows are in none"),
        pytest.param((0, 8), id="the last rows are in none"),
        pytest.param((0, 12, 16), id="between two patches"),
        pytest.param((16, 0, 16), id="not ascending"),
        pytest.param((0, 40, 16), id="beyond the picture"),
    ],
)
def test_tiles_that_do_not_cover_the_grid_are_refused(tops: tuple[int, ...]):
    """Tiles that leave a part of the picture out, or whose patches lie between those of the grid, are an error."""
    with pytest.raises(ValueError, match="over patches of 48 pixels"):
        Stitch(tiles(tops, (0,)), (48, TILE), (12, CELLS), STRIDE)


def test_a_map_that_does_not_divide_the_picture_is_refused():
    """Patches of such a map lie at no whole pixels."""
    with pytest.raises(ValueError, match="a map of 11 positions over 48 pixels"):
        Stitch(tiles((0, 16), (0,)), (48, TILE), (11, CELLS), STRIDE)
