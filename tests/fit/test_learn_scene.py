"""What is learnt from the normal pictures about how pictures look."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from edge_config.bundle.manifest import Scene
from edge_config.bundle.may_vary import MayVary, Usual
from runtime.frame import Image
from runtime.learning.learn_scene import BRIGHTEST, DARKEST, SHIFT, learn, widened
from runtime.scene.inspect import is_moved
from runtime.scene.thumbnail import Placed, measure, shrink, size_for
from tests.support.cameras import HEIGHT, WIDTH, exposed, frames, moved, noisy, scene
from tests.support.small import colour_picture


def test_limits_lie_far_beyond_the_normal_pictures() -> None:
    """Every normal picture is well within what is learnt from it."""
    pictures = [exposed(picture, factor) for picture in frames(10) for factor in (0.7, 1.0, 1.2)]
    limits, reference = learn(pictures)
    assert reference.shape == size_for(HEIGHT, WIDTH)
    for seen in (measure(shrink(picture, reference.shape)) for picture in pictures):
        assert 2 * limits.luminance[0] < seen.luminance < limits.luminance[1] - 10
        assert limits.sharpness < 0.6 * seen.sharpness
        assert limits.detail < 0.5 * seen.detail
    assert limits.shift == SHIFT


def test_reference_is_the_scene_without_who_passes_by() -> None:
    """What is in few of the pictures is not in the reference."""
    pictures = frames(10)
    for at, picture in enumerate(pictures[:4]):
        picture[:, at * 60 : at * 60 + 60] = 0
    _, reference = learn(pictures)
    empty = shrink(scene(), reference.shape).astype(float)
    assert np.abs(reference - empty).max() < 8


def test_black_pictures_among_many_do_not_make_black_normal() -> None:
    """A few faulty pictures among the normal ones leave the limits as they are."""
    pictures = frames(100)
    good, _ = learn(pictures)
    pictures[50] = np.zeros_like(pictures[50])
    bad, _ = learn(pictures)
    assert bad.luminance[0] > 0.9 * good.luminance[0]
    assert bad.sharpness > 0.9 * good.sharpness
    assert bad.shift == good.shift


def test_white_scene_may_be_white() -> None:
    """Before a white background, only what is whiter still is too bright."""
    pictures = [np.maximum(picture, 254) for picture in frames(4)]
    limits, _ = learn(pictures)
    assert BRIGHTEST < 254 < limits.luminance[1] < 255
    assert limits.luminance[0] == pytest.approx(DARKEST * 254, abs=1)


def test_scene_that_differs_in_each_picture_has_no_place() -> None:
    """Where every picture shows something else, a shift means nothing."""
    limits, _ = learn([colour_picture(number) for number in range(12)])
    assert limits.shift is None


@pytest.mark.parametrize(("most", "shift"), [(0.005, SHIFT), (0.1, None)])
def test_camera_that_wanders_has_no_place(most: float, shift: float | None) -> None:
    """A camera that shakes a little has a place; one that looks elsewhere in each picture has none."""
    random = np.random.default_rng(0)
    assert learn([moved(scene(), *random.uniform(-most, most, 2)) for _ in range(30)])[0].shift == shift


def test_two_places_have_no_place() -> None:
    """Normal pictures from two places of the camera, however few from the second, teach no place."""
    pictures = frames(36) + [moved(picture, 0.1) for picture in frames(3)]
    assert learn(pictures)[0].shift is None


@pytest.mark.parametrize("share", [0.06, 0.1])
def test_camera_within_the_declared_shift_is_not_moved(share: float) -> None:
    """A camera that moved as far as declared can be judged, one that moved much farther cannot."""
    limits, reference = learn(frames(10), may_vary=MayVary(shift=share * WIDTH))
    plain, _ = learn(frames(10))
    assert limits.shift is not None
    within, beyond = (
        Placed.of(reference).shift_of(Placed.of(shrink(moved(noisy(scene(), 99), by), reference.shape)))
        for by in (share, share + 2 * SHIFT)
    )
    assert plain.shift is not None
    assert is_moved(within, plain.shift)
    assert not is_moved(within, limits.shift)
    assert is_moved(beyond, limits.shift)


@pytest.mark.parametrize("may_vary", [MayVary(rotation="any"), MayVary(flip=True)])
def test_scene_that_may_turn_over_has_no_place(may_vary: MayVary) -> None:
    """Where every angle or a mirrored picture is normal, no camera is moved."""
    assert learn(frames(10), may_vary=may_vary)[0].shift is None


def test_declared_light_and_focus_can_be_judged() -> None:
    """The darkest and brightest pictures of a tolerance for light can be judged; likewise the softest of focus."""
    plain, _ = learn(frames(10))
    light, _ = learn(frames(10), may_vary=MayVary(light=0.5))
    darkest = np.mean([255 * (frame / 255) ** 2.0 for frame in frames(3)])  # gamma 1 + 2 t is darker than gain 1 - t
    brightest = np.mean([np.minimum(1.5 * frame, 255) for frame in frames(3)])
    assert light.luminance[0] < darkest < brightest < light.luminance[1]
    focus, _ = learn(frames(10), may_vary=MayVary(focus=True))
    assert focus.sharpness <= plain.sharpness
    assert focus.luminance == pytest.approx(plain.luminance, abs=1)


def test_a_moderate_tolerance_for_light_hides_no_camera_fault() -> None:
    """With the default tolerance the limits are those without: their margins over normal pictures allow it already."""
    plain, _ = learn(frames(10))
    light, _ = learn(frames(10), may_vary=MayVary(light=0.2))
    assert replace(light, usual=None) == replace(plain, usual=None)


def test_one_picture_is_enough_to_learn_from() -> None:
    """One picture gives limits, and so do pictures of several sizes."""
    limits, reference = learn([noisy(scene(), 0)])
    assert limits.shift == SHIFT
    assert learn([scene(), np.ascontiguousarray(scene().repeat(2, axis=0))])[1].shape == reference.shape


def test_given_reference_stays() -> None:
    """Pictures are measured against the reference that is given."""
    _, reference = learn(frames(4))
    again, same = learn([moved(picture, 0.2) for picture in frames(4)], reference)
    assert same is reference
    assert again.shift is None


def test_widened_allows_what_either_allows() -> None:
    """Each limit is the wider one."""
    one = Scene(luminance=(10.0, 250.0), sharpness=0.2, detail=0.01, shift=0.04)
    other = Scene(luminance=(20.0, 254.0), sharpness=0.1, detail=0.02, shift=0.06)
    both = Scene(luminance=(10.0, 254.0), sharpness=0.1, detail=0.01, shift=0.06)
    assert widened(one, other) == widened(other, one) == both
    moving = Scene(luminance=(20.0, 254.0), sharpness=0.1, detail=0.02, shift=None)
    assert widened(one, moving).shift is None
    low = replace(one, usual=Usual(luminance=(80.0, 90.0), highlights=(100.0, 120.0), edges=(0.5, 0.6)))
    high = replace(other, usual=Usual(luminance=(85.0, 95.0), highlights=(90.0, 110.0), edges=(0.4, 0.7)))
    assert widened(low, high).usual == Usual(luminance=(80.0, 95.0), highlights=(90.0, 120.0), edges=(0.4, 0.7))
    assert widened(low, other).usual is None


def test_usual_is_the_range_of_the_pictures_with_the_declared_light() -> None:
    """With a tolerance of 20 % a picture a fifth brighter is usual and one a quarter brighter is not; blur never is."""
    usual, _ = learn(frames(10), may_vary=MayVary(light=0.2))
    assert usual.usual is not None

    def is_usual(picture: Image) -> bool:
        seen = measure(shrink(picture, size_for(HEIGHT, WIDTH)))
        assert usual.usual is not None
        ranges = (usual.usual.luminance, usual.usual.highlights, usual.usual.edges)
        measured = (seen.luminance, seen.highlights, seen.edges)
        return all(0.995 * low <= value <= 1.005 * high for value, (low, high) in zip(measured, ranges, strict=True))

    new = noisy(scene(), 99)
    assert all(is_usual(exposed(new, gain)) for gain in (0.8, 0.9, 1.0, 1.1, 1.2))
    assert not is_usual(exposed(new, 0.75))
    assert not is_usual(exposed(new, 1.25))
    assert not is_usual(np.asarray(cv2.GaussianBlur(new, (0, 0), 2.0), np.uint8))
