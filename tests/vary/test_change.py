"""Each alteration of a picture does what its definition says, computed here in another way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from runtime.frame import Image
from runtime.learning.vary.change import Change

HALF = 0.5 + 1e-9
"""A value is rounded to a whole grey level."""

LEVEL = 1.0
"""Grey levels: OpenCV interpolates in 32nds of a pixel."""

BLUR_LEVELS = 2.0
"""Grey levels: OpenCV cuts the bell off at three standard deviations."""

HEIGHT, WIDTH = 40, 60


def noise(height: int = HEIGHT, width: int = WIDTH) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_no_alteration_is_the_picture() -> None:
    """Without any alteration every pixel stays."""
    assert np.array_equal(Change()(noise()), noise())


@pytest.mark.parametrize("gain", [0.8, 0.95, 1.1, 1.2, 1.5])
def test_gain_multiplies_and_clips(gain: float) -> None:
    """A gain multiplies every value, and what exceeds white is white."""
    exact = np.minimum(noise() * gain, 255)
    assert np.abs(Change(gain=gain)(noise()) - exact).max() <= HALF


@pytest.mark.parametrize("gamma", [0.7, 0.85, 1.15, 1.4])
def test_gamma_is_a_power_of_the_share_of_white(gamma: float) -> None:
    """A gamma keeps black and white, and raises every other share of white to its power."""
    exact = 255 * (noise() / 255) ** gamma
    assert np.abs(Change(gamma=gamma)(noise()) - exact).max() <= HALF


@pytest.mark.parametrize(("right", "down"), [(4, 0), (-3, 0), (0, 5), (0, -2), (3, -4)])
def test_shift_moves_what_is_seen_and_mirrors_the_edge(right: int, down: int) -> None:
    """A shift moves every pixel by whole pixels, and what comes in is the picture mirrored at its edge."""
    padded = np.pad(noise(), ((5, 5), (5, 5), (0, 0)), mode="reflect")
    exact = padded[5 - down : 5 - down + HEIGHT, 5 - right : 5 - right + WIDTH]
    assert np.array_equal(Change(right=right, down=down)(noise()), exact)


def test_shift_by_half_a_pixel_is_the_mean_of_two() -> None:
    """Between pixels a shift interpolates."""
    image = noise()
    exact = (image[:, :-1].astype(float) + image[:, 1:]) / 2
    assert np.abs(Change(right=0.5)(image)[:, 1:] - exact).max() <= LEVEL


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_rotation_is_counterclockwise_about_the_centre(quarters: int) -> None:
    """A quarter turn of a square is the square turned counterclockwise, pixel by pixel."""
    image = noise(41, 41)
    assert np.array_equal(Change(turn=90.0 * quarters)(image), np.rot90(image, quarters))


def test_blur_is_gaussian_and_relative_to_the_width() -> None:
    """A blur is a Gaussian whose standard deviation is a share of the width, in each colour."""
    image = noise()
    exact = gaussian_filter(image.astype(float), (1.2, 1.2, 0), mode="mirror")
    assert np.abs(Change(blur=1.2 / WIDTH)(image) - exact).max() <= BLUR_LEVELS


@pytest.mark.parametrize(("left_right", "top_bottom"), [(True, False), (False, True), (True, True)])
def test_mirrors(*, left_right: bool, top_bottom: bool) -> None:
    """A mirrored picture has its columns, its rows, or both in the other order."""
    exact = np.fliplr(noise()) if left_right else noise()
    exact = np.flipud(exact) if top_bottom else exact
    assert np.array_equal(Change(left_right=left_right, top_bottom=top_bottom)(noise()), exact)


def test_light_comes_after_all_else() -> None:
    """Several alterations at once are geometry first and light last."""
    both = Change(left_right=True, right=3, gain=1.2)(noise())
    assert np.array_equal(both, Change(gain=1.2)(Change(right=3)(np.fliplr(noise()))))
