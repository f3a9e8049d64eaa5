"""From a camera frame to the input of the graph, and a patch's way back."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from edge_config.manifest import Preprocessing
from runtime.preprocess import Preprocess
from tests import reference

HALF_LEVEL = 0.5  # a mean is rounded to a whole level
SPOT_PX = 2  # the bright spot is 3 pixels wide, and pixel numbers are rounded down
FIXED_POINT = 1.0  # OpenCV's bilinear weights for uint8 have 11 bits: up to one level beside the rounded value


def preprocess(resize_hw: tuple[int, int], crop_hw: tuple[int, int] | None = None) -> Preprocess:
    """Give the stage, without a crop unless told otherwise."""
    one = (127.0,) * 3
    return Preprocess(
        Preprocessing(
            resize="area", resize_hw=resize_hw, crop_hw=crop_hw or resize_hw, color_order="bgr", mean=one, std=one
        )
    )


def noise(height: int, width: int) -> np.ndarray:
    """Give a frame in which no two pixels are alike."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("frame_hw", [(480, 640), (64, 96), (20, 31), (500, 70), (40, 900)])
def test_any_frame_becomes_the_input_of_the_graph(frame_hw: tuple[int, int]):
    """Frames of any size and proportions become one contiguous uint8 tensor of the crop's size."""
    found = preprocess((64, 96), (48, 80))(noise(*frame_hw))
    assert found.shape == (1, 48, 80, 3)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous


def test_a_frame_of_the_right_size_passes_unchanged():
    """A frame that has the size already keeps every value and the order of its channels."""
    image = noise(64, 96)
    assert (preprocess((64, 96))(image)[0] == image).all()


@pytest.mark.parametrize(("down", "across"), [(2, 2), (3, 3), (4, 2), (1, 5), (7, 6)])
def test_shrinking_averages_the_covered_pixels(down: int, across: int):
    """Shrinking by whole factors gives the mean of each block."""
    image = noise(24 * down, 32 * across)
    blocks = image.reshape(24, down, 32, across, 3).mean(axis=(1, 3))
    found = preprocess((24, 32))(image)[0]
    assert np.abs(found - blocks).max() <= HALF_LEVEL


@pytest.mark.parametrize("frame_hw", [(16, 16), (20, 31), (39, 40)])
def test_enlarging_is_bilinear(frame_hw: tuple[int, int]):
    """Enlarging interpolates bilinearly between pixel centres."""
    image = noise(*frame_hw)
    smooth = reference.resize_bilinear(image.transpose(2, 0, 1).astype(np.float64), (40, 56)).transpose(1, 2, 0)
    assert np.abs(preprocess((40, 56))(image)[0] - smooth).max() <= HALF_LEVEL + FIXED_POINT


@pytest.mark.parametrize(("crop_hw", "top_left"), [((20, 30), (10, 5)), ((40, 40), (0, 0)), ((20, 21), (10, 9))])
def test_crop_keeps_the_centre(crop_hw: tuple[int, int], top_left: tuple[int, int]):
    """The crop takes the middle of the resized frame; of an odd margin the smaller half is above and left."""
    image = noise(40, 40)
    found = preprocess((40, 40), crop_hw)(image)[0]
    top, left = top_left
    assert (found == image[top : top + crop_hw[0], left : left + crop_hw[1]]).all()


def test_to_camera_gives_the_centre_of_the_patch():
    """Without a crop, patch (row, column) of the grid lies at (column + 1/2, row + 1/2) cells, given as (x, y)."""
    stage = preprocess((224, 224))
    assert stage.to_camera(0, (28, 28), (480, 640)) == (11, 8)
    assert stage.to_camera(27, (28, 28), (480, 640)) == (628, 8)
    assert stage.to_camera(28 * 27, (28, 28), (480, 640)) == (11, 471)
    assert stage.to_camera(14, (28, 28), (224, 224)) == (116, 4)


def test_to_camera_adds_what_the_crop_cut_off():
    """With a crop, the first patch lies within the frame by the margin, in camera pixels."""
    stage = preprocess((256, 256), (224, 224))
    assert stage.to_camera(0, (28, 28), (256, 512)) == (40, 20)


@pytest.mark.parametrize("frame_hw", [(300, 500), (97, 211), (128, 160)])
def test_to_camera_points_at_what_the_patch_saw(frame_hw: tuple[int, int]):
    """A bright spot of the camera frame, found again in the tensor, is led back to its place within one patch."""
    stage = preprocess((128, 160), (96, 128))
    height, width = frame_hw
    for y in range(height // 8 + 8, height - height // 8 - 8, 37):
        for x in range(width // 10 + 8, width - width // 10 - 8, 41):
            image = np.zeros((height, width, 3), dtype=np.uint8)
            image[y - 1 : y + 2, x - 1 : x + 2] = 255
            bright = stage(image)[0].sum(axis=2, dtype=int)
            cells = bright.reshape(12, 8, 16, 8).sum(axis=(1, 3))
            found_x, found_y = stage.to_camera(int(cells.argmax()), (12, 16), frame_hw)
            assert abs(found_x - x) <= 8 / 160 * width / 2 + SPOT_PX
            assert abs(found_y - y) <= 8 / 128 * height / 2 + SPOT_PX


@st.composite
def places(draw: st.DrawFn):
    """Draw sizes that fit together, and a patch."""
    resize_hw = draw(st.tuples(st.integers(8, 512), st.integers(8, 512)))
    crop_hw = tuple(draw(st.integers(1, side)) for side in resize_hw)
    grid_hw = tuple(draw(st.integers(1, side)) for side in crop_hw)
    frame_hw = draw(st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
    return resize_hw, crop_hw, grid_hw, frame_hw, draw(st.integers(0, grid_hw[0] * grid_hw[1] - 1))


@given(places())
@settings(deadline=None, max_examples=300)
def test_to_camera_stays_inside_the_frame(place):
    """Whatever the sizes, a patch is led to a pixel that the frame has."""
    resize_hw, crop_hw, grid_hw, frame_hw, patch = place
    x, y = preprocess(resize_hw, crop_hw).to_camera(patch, grid_hw, frame_hw)
    assert 0 <= x < frame_hw[1]
    assert 0 <= y < frame_hw[0]
