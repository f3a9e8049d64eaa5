"""From a camera frame to the input of the graph, and a patch's way back."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from runtime.frame import Grid
from runtime.scoring import _pixels
from runtime.scoring.preprocess import Preprocess
from tests.support import reference
from tests.support.preprocessing import resized

HALF_LEVEL = 0.5  # a mean is rounded to a whole level
SPOT_PX = 2  # the bright spot is 3 pixels wide, and pixel numbers are rounded down
FIXED_POINT = 1.0  # OpenCV's bilinear weights for uint8 have 11 bits: up to one level beside the rounded value


def preprocess(resize_hw: tuple[int, int], crop_hw: tuple[int, int] | None = None) -> Preprocess:
    """Return the stage, without a crop unless told otherwise."""
    return Preprocess(resized(resize_hw, crop_hw))


def noise(height: int, width: int) -> np.ndarray:
    """Return a frame in which no two pixels are alike."""
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


def exact_mean(image: np.ndarray, out_hw: tuple[int, int]) -> np.ndarray:
    """Shrink in whole numbers and fractions: the mean of what a pixel covers, rounded half to even."""
    have_hw = image.shape[:2]
    shares = [np.zeros(shape, dtype=np.int64) for shape in zip(out_hw, have_hw, strict=True)]
    for share, have, want in zip(shares, have_hw, out_hw, strict=True):
        for row in range(want):
            for pixel in range(have):
                share[row, pixel] = max(0, min((row + 1) * have, (pixel + 1) * want) - max(row * have, pixel * want))
    sums = np.einsum("hy,yxc,wx->hwc", shares[0], image.astype(np.int64), shares[1])
    return np.array([round(Fraction(int(one), have_hw[0] * have_hw[1])) for one in sums.ravel()]).reshape(sums.shape)


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(0, 40), st.integers(0, 40)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 256]),
)
def test_shrinking_is_exact(out_hw: tuple[int, int], more_hw: tuple[int, int], seed: int, levels: int):
    """Every pixel is the rounded mean of exactly what it covers, so it is the same on every processor."""
    height, width = (one + more for one, more in zip(out_hw, more_hw, strict=True))
    image = np.random.default_rng(seed).integers(0, levels, (height, width, 3), dtype=np.uint8)  # few: many ties
    np.testing.assert_array_equal(preprocess(out_hw)(image)[0], exact_mean(image, out_hw))


def test_tall_and_white_is_white():
    """Sums over many rows do not overflow: more than 257 rows of 255 for one row of the result."""
    white = np.full((3000, 700, 3), 255, dtype=np.uint8)
    assert (preprocess((2, 3))(white) == 255).all()


def test_enlarging_is_the_same_on_every_processor():
    """What is enlarged has the very pixels that x86-64 and (emulated) 64-bit ARM gave."""
    found = preprocess((224, 224))(noise(120, 160))
    assert hashlib.sha256(found.tobytes()).hexdigest().startswith("8c59ba8600dd1735")


@pytest.mark.parametrize(
    ("hw", "out_hw", "have", "want"),
    [
        ((4, 4), (2, 2), (4, 5), (2, 2)),  # more than there is
        ((4, 4), (2, 2), (4, 4), (2, 3)),
        ((4, 4), (2, 2), (4, 4), (0, 2)),
        ((4, 4), (8, 2), (4, 4), (8, 2)),  # not smaller
        ((4, 4), (2, 2), (-4, -4), (-2, -2)),
        ((4, 4), (2, 2), (2**62, 2**62), (2, 2)),
        ((65536, 1), (1, 1), (65536, 1), (1, 1)),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    hw: tuple[int, int], out_hw: tuple[int, int], have: tuple[int, int], want: tuple[int, int]
):
    """The loop in C looks at sizes before it touches memory."""
    image, out = (np.zeros((*size, 3), dtype=np.uint8) for size in (hw, out_hw))
    with pytest.raises(ValueError, match="sizes that do not fit"):
        _pixels.shrink(image, *have, out, *want)


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
    assert stage.to_camera(0, Grid((28, 28)), (480, 640)) == (11, 8)
    assert stage.to_camera(27, Grid((28, 28)), (480, 640)) == (628, 8)
    assert stage.to_camera(28 * 27, Grid((28, 28)), (480, 640)) == (11, 471)
    assert stage.to_camera(14, Grid((28, 28)), (224, 224)) == (116, 4)


def test_to_camera_adds_what_the_crop_cut_off():
    """With a crop, the first patch lies within the frame by the margin, in camera pixels."""
    stage = preprocess((256, 256), (224, 224))
    assert stage.to_camera(0, Grid((28, 28)), (256, 512)) == (40, 20)


@pytest.mark.parametrize(
    ("grid", "patch", "wanted"),
    [
        (Grid((56, 56), 2), 0, (5, 4)),  # the middle of the map's own first cell, 11.4 x 8.6 pixels
        (Grid((56, 56), 2), 1, (28, 4)),
        (Grid((56, 56), 2), 27, (622, 4)),  # column 54 of 56
        (Grid((56, 56), 2), 28, (5, 21)),  # row 2
        (Grid((25, 33), 3), 11 * 9 - 1, (591, 470)),  # the last of 9 x 11 patches: row 24 of 25, column 30 of 33
        (Grid((5, 3), 8), 0, (106, 48)),  # the only one
    ],
)
def test_to_camera_passes_over_what_the_stride_leaves_out(grid: Grid, patch: int, wanted: tuple[int, int]):
    """With a stride, patch (row, column) is position (s row, s column) of the map, whose centre is the patch's."""
    assert preprocess((224, 224)).to_camera(patch, grid, (480, 640)) == wanted


def test_to_camera_knows_stride_and_crop_together():
    """With a stride and a crop, the place in the map is led through both to camera pixels."""
    stage = preprocess((256, 320), (224, 160))
    # row 3 of 7 and column 3 of 5 of the map; margins of 16 and 80 pixels; a camera of twice and three times the size
    assert stage.to_camera(1 * 2 + 1, Grid((7, 5), 3), (512, 960)) == (3 * (80 + 112), 2 * (16 + 112))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("frame_hw", [(300, 500), (97, 211), (128, 160)])
def test_to_camera_points_at_what_the_patch_saw(frame_hw: tuple[int, int], stride: int):
    """A bright spot of the camera frame, found again in the tensor, is led back to its place within one cell."""
    stage = preprocess((128, 160), (96, 128))
    grid = Grid((12, 16), stride)
    height, width = frame_hw
    cell_y, cell_x = 8 / 128 * height, 8 / 160 * width
    for y in range(height // 8 + 8, height - height // 8 - 8, 37):
        for x in range(width // 10 + 8, width - width // 10 - 8, 41):
            image = np.zeros((height, width, 3), dtype=np.uint8)
            image[y - 1 : y + 2, x - 1 : x + 2] = 255
            bright = stage(image)[0].sum(axis=2, dtype=int)
            cells = bright.reshape(12, 8, 16, 8).sum(axis=(1, 3))
            row, column = np.unravel_index(cells.argmax(), cells.shape)
            patch = row // stride * grid.hw[1] + column // stride  # kept, and so many cells above and to the left:
            above, left = row % stride, column % stride
            found_x, found_y = stage.to_camera(int(patch), grid, frame_hw)
            assert abs(found_x + left * cell_x - x) <= cell_x / 2 + SPOT_PX
            assert abs(found_y + above * cell_y - y) <= cell_y / 2 + SPOT_PX


@st.composite
def places(draw: st.DrawFn):
    """Draw sizes that fit together, and a patch."""
    resize_hw = draw(st.tuples(st.integers(8, 512), st.integers(8, 512)))
    crop_hw = tuple(draw(st.integers(1, side)) for side in resize_hw)
    grid = Grid(tuple(draw(st.integers(1, side)) for side in crop_hw), draw(st.integers(1, 16)))
    frame_hw = draw(st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
    return resize_hw, crop_hw, grid, frame_hw, draw(st.integers(0, grid.hw[0] * grid.hw[1] - 1))


@pytest.mark.slow
@given(places())
@settings(deadline=None, max_examples=300)
def test_to_camera_stays_inside_the_frame(place):
    """Whatever the sizes, a patch is led to a pixel that the frame has."""
    resize_hw, crop_hw, grid, frame_hw, patch = place
    x, y = preprocess(resize_hw, crop_hw).to_camera(patch, grid, frame_hw)
    assert 0 <= x < frame_hw[1]
    assert 0 <= y < frame_hw[0]
