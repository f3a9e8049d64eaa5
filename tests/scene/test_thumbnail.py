"""What is measured on a thumbnail."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from runtime.scene.inspect import is_moved
from runtime.scene.thumbnail import LONG_SIDE, MIN_SIDE, Placed, measure, shrink, size_for
from tests.support.cameras import HEIGHT, WIDTH, cover, defocus, exposed, moved, noisy, scene

SIZE = size_for(HEIGHT, WIDTH)


@pytest.mark.parametrize("hw", [(240, 360), (720, 1280), (1280, 720), (48, 64), (1, 9000), (7, 5)])
def test_size_keeps_the_proportions_in_even_numbers(hw: tuple[int, int]) -> None:
    """A thumbnail is as long as it should be, even on both sides, and as wide as the frame as far as that goes."""
    size = size_for(*hw)
    assert max(size) == LONG_SIDE
    assert all(side % 2 == 0 and side >= MIN_SIDE for side in size)
    longest = max(hw)
    for side, pixels in zip(size, hw, strict=True):
        assert side == pytest.approx(max(MIN_SIDE, pixels * LONG_SIDE / longest), abs=1)


@pytest.mark.parametrize("hw", [(240, 360), (720, 1280), (48, 64), (3, 2)])
def test_frames_of_any_size_give_the_thumbnail_asked_for(hw: tuple[int, int]) -> None:
    """Whatever the size of the frame, the thumbnail has its own; flat stays flat."""
    thumbnail = shrink(np.full((*hw, 3), 77, np.uint8), SIZE)
    assert thumbnail.shape == SIZE
    assert thumbnail.dtype == np.uint8
    assert (thumbnail == 77).all()


def test_resolution_hardly_changes_a_look() -> None:
    """The same scene from a larger frame looks the same, within a third."""
    large = cv2.resize(scene(), (1280, 853), interpolation=cv2.INTER_CUBIC)
    for one, other in zip(measure(shrink(scene(), SIZE)), measure(shrink(large, SIZE)), strict=True):
        assert one == pytest.approx(other, rel=0.35)


def test_light_moves_the_luminance_alone() -> None:
    """Sharpness and detail are the same under half the light."""
    bright, dim = measure(shrink(scene(), SIZE)), measure(shrink(exposed(scene(), 0.5), SIZE))
    assert dim.luminance == pytest.approx(bright.luminance / 2, rel=0.02)
    assert dim.contrast == pytest.approx(bright.contrast / 2, rel=0.02)
    assert dim.sharpness == pytest.approx(bright.sharpness, rel=0.05)
    assert dim.detail == pytest.approx(bright.detail, rel=0.05)


def test_defocus_takes_the_sharpness_and_a_cover_the_detail() -> None:
    """Half a cover leaves more sharpness than defocus does, and noise does not stand for detail."""
    whole = measure(shrink(noisy(scene(), 0), SIZE))
    assert measure(shrink(defocus(scene()), SIZE)).sharpness < 0.4 * whole.sharpness
    assert measure(shrink(cover(scene(), (90, 120, 190), 0.5), SIZE)).sharpness > 0.6 * whole.sharpness
    assert measure(shrink(cover(scene(), (90, 120, 190)), SIZE)).detail < 0.15 * whole.detail


def test_black_and_white_can_be_measured() -> None:
    """A picture without light or without contrast gives numbers."""
    for level in (0, 255):
        assert measure(np.full(SIZE, level, np.uint8)) == (level, 0, 0, 0)


@pytest.mark.parametrize(("right", "down"), [(0.0, 0.0), (0.05, 0.0), (-0.08, 0.0), (0.0, 0.1), (0.2, -0.1)])
def test_shift_is_measured(right: float, down: float) -> None:
    """The length of a shift is found to a hundredth of the width, and after it the picture correlates best."""
    place, other = (Placed.of(shrink(picture, SIZE)) for picture in (noisy(scene(), 0), moved(scene(), right, down)))
    shift = place.shift_of(other)
    assert shift.share == pytest.approx(np.hypot(right, down), abs=0.01)
    assert shift.there > 0.6
    assert (shift.there > shift.here + 0.2) == bool(right or down)


@pytest.mark.parametrize("size", [(80, 160), (106, 160), (120, 160), (160, 160)])
def test_looking_for_a_shift_changes_nothing(size: tuple[int, int]) -> None:
    """A reference serves every frame: the hundredth comparison says what the first did, at any size."""
    place, other = Placed.of(shrink(scene(), size)), Placed.of(shrink(moved(scene(), 0.1, 0), size))
    before, shift = place.edges.copy(), place.shift_of(other)
    assert place.shift_of(other) == shift
    np.testing.assert_array_equal(place.edges, before)


def test_pictures_that_have_nothing_in_common_are_not_moved() -> None:
    """Another scene is no shift of this one, nor is a flat picture."""
    place = Placed.of(shrink(scene(), SIZE))
    for other in (scene()[::-1], np.full_like(scene(), 90), noisy(np.full_like(scene(), 90), 5)):
        shift = place.shift_of(Placed.of(shrink(other, SIZE)))
        assert not is_moved(shift, 0.04)


def test_measures_are_plain_numbers() -> None:
    """They go to another process as JSON, which has no numbers of numpy."""
    seen = measure(np.full((16, 24), 100, np.uint8))
    assert [type(value) for value in seen] == [float] * len(seen)
