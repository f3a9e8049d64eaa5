"""Tiles are chosen so that the smallest fault is seen, cover the picture, and cost no more than is allowed."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_config.errors import UsageError
from export.network.tiles import MAX_TILES, OVERLAP, SEEN, Patches, choose, smallest_seen, takes_several
from runtime.scoring.tiles import Stitch

TILE = 320
LITE = Patches((TILE, TILE), (80, 80), 2)
"""EfficientNet-lite0: a position covers 4 pixels, a patch 8."""

PITCH = 8
LARGE = 3000, 4000


@given(
    height=st.integers(100, 5000),
    width=st.integers(100, 5000),
    fault=st.integers(1, 60),
    stride=st.integers(1, 4),
)
def test_the_smallest_fault_is_seen(height: int, width: int, fault: int, stride: int):
    """Whatever the picture, a fault of the given size covers two pixels of the input, or the picture is enlarged
    twice; tiles overlap enough, cover the picture, and their patches are those of one grid.
    """
    one = Patches(LITE.input_hw, LITE.map_hw, stride)
    try:
        cut = choose(None, fault, (height, width), one)
    except UsageError:
        assert 4 * height * width / (TILE - 2 * OVERLAP) ** 2 > MAX_TILES
        return
    needed = min(SEEN / fault, 2.0)
    if cut is None:
        assert needed * max(height, width) <= TILE
        return
    assert all(seen >= needed * side - 1 for seen, side in zip(cut.hw, (height, width), strict=True))
    # no larger than needed, but for whole patches and for a picture that is smaller than a tile
    for seen, side in zip(cut.hw, (height, width), strict=True):
        assert seen <= max(TILE, needed * side + 4 * stride)
    for starts in (cut.tiles.tops, cut.tiles.lefts):
        assert all(TILE - apart >= OVERLAP for apart in np.diff(starts).tolist())
    Stitch(cut.tiles, cut.hw, cut.map_hw, stride)  # refuses what does not cover
    if needed < 2:
        assert smallest_seen(cut.hw, (height, width)) <= fault * (1 + 1 / (needed * min(height, width)))


def test_twelve_megapixels_and_four_pixels():
    """For a scratch of 4 pixels a picture of 4000 x 3000 is judged at half its size, in 6 x 8 tiles."""
    cut = choose("auto", 4, LARGE, LITE)
    assert cut is not None
    assert (len(cut.tiles.tops), len(cut.tiles.lefts)) == (6, 8)
    assert cut.hw == (PITCH * math.ceil(1500 / PITCH), 2000)
    assert (cut.tiles.picture_hw, cut.tiles.smallest_fault, cut.tiles.tile_hw) == (LARGE, 4, (TILE, TILE))


@pytest.mark.parametrize(
    ("wanted", "hw", "grid"),
    [
        pytest.param("3x4", LARGE, (3, 4), id="the proportions of the picture"),
        pytest.param("2x2", LARGE, (2, 2), id="proportions are kept: more overlap in one direction"),
        pytest.param("1x4", (480, 640), (1, 2), id="columns that nothing is left for"),
    ],
)
def test_a_given_grid_keeps_the_proportions(wanted: str, hw: tuple[int, int], grid: tuple[int, int]):
    """The picture is as large as the grid allows without being squashed."""
    cut = choose(wanted, None, hw, LITE)
    assert cut is not None
    assert (len(cut.tiles.tops), len(cut.tiles.lefts)) == grid
    assert cut.hw[1] / cut.hw[0] == pytest.approx(hw[1] / hw[0], abs=2 * PITCH / min(cut.hw))
    assert cut.tiles.smallest_fault is None


def test_one_input_is_enough_for_a_large_fault():
    """Where the whole picture as one input shows the fault, there are no tiles; nor with 1 x 1 of them."""
    assert choose(None, 40, LARGE, LITE) is None
    assert choose("1x1", None, LARGE, LITE) is None


def test_too_many_tiles_are_refused():
    """A fault of one pixel in 12 megapixels is refused, and says why."""
    with pytest.raises(UsageError, match="24 x 31 tiles for pictures of 4000 x 3000 pixels, which faults of 1 pixels"):
        choose(None, 1, LARGE, LITE)


def test_a_network_without_whole_pixels_is_refused():
    """Patches of different tiles would lie between each other."""
    with pytest.raises(UsageError, match="26 x 26 positions for 101 x 101 pixels"):
        choose("2x2", None, LARGE, Patches((101, 101), (26, 26), 1))


def graph(shape: list[int]) -> bytes:
    """Write a graph from uint8 [tiles, 2, 2, 3] to float32 [n, 3], with a shape of its own."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "shape"], ["features"]),
    ]
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["tiles", 2, 2, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])],
        [numpy_helper.from_array(np.array(shape, dtype=np.int64), "shape")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_networks_for_one_picture_are_found_out():
    """A graph with the number of pictures in one of its shapes does not take several; one without does."""
    assert takes_several(graph([-1, 3]), (2, 2))
    assert not takes_several(graph([4, 3]), (2, 2))
