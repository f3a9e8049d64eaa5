"""Pictures that repeat."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from runtime.frame import Image
from runtime.scene.frozen import BUFFERS, FROZEN_FRAMES, FROZEN_S, OVERLAY_S, Frozen
from runtime.scene.thumbnail import shrink, size_for
from tests.support.cameras import FPS, SECOND_NS, frames, noisy, scene

LONG_S = 40
STILL = frames(BUFFERS)


def reasons(pictures: list[Image], fps: float = FPS) -> list[str | None]:
    """Show pictures; their thumbnails are made as the stage makes them."""
    frozen, size = Frozen(), size_for(*pictures[0].shape[:2])
    return [frozen(it, shrink(it, size), round(at / fps * SECOND_NS)) for at, it in enumerate(pictures)]


def first_s(found: list[str | None], fps: float = FPS) -> float:
    """Return when it was frozen; it must be so to the end."""
    first = next(at for at, reason in enumerate(found) if reason)
    assert all(found[first:])
    return first / fps


def test_sensor_noise_is_not_frozen() -> None:
    """A still scene with little noise, under any light, is never frozen."""
    for picture in (scene(), scene() // 8):
        assert not any(reasons([noisy(picture, seed, 0.6) for seed in range(int(FROZEN_S * FPS * 2))]))


def test_same_picture_is_frozen_after_its_time() -> None:
    """A picture that stays is frozen when it has stayed long enough, not before."""
    found = reasons([*STILL, *[STILL[-1]] * (FPS * 8)])
    assert first_s(found) == pytest.approx(FROZEN_S + (len(STILL) - 1) / FPS)


@pytest.mark.parametrize("buffers", [2, 4, BUFFERS])
def test_ring_of_buffers_is_frozen(buffers: int) -> None:
    """A few pictures in turn are as frozen as one."""
    found = reasons([STILL[at % buffers] for at in range(FPS * 8)])
    assert first_s(found) == pytest.approx(FROZEN_S, abs=buffers / FPS)


def test_time_alone_does_not_freeze() -> None:
    """At one picture in ten seconds, the fifth that is the same is frozen."""
    found = reasons([STILL[0]] * 8, fps=0.1)
    assert [reason is not None for reason in found] == [at >= FROZEN_FRAMES - 1 for at in range(8)]


def test_pictures_that_stay_for_less_are_not_frozen() -> None:
    """A compressed stream that repeats a still scene exactly for two seconds at a time is not frozen."""
    assert not any(reasons([STILL[at // (2 * FPS) % len(STILL)] for at in range(LONG_S * FPS)][: 2 * FPS * BUFFERS]))


def test_small_change_between_the_compared_rows_is_seen() -> None:
    """A few pixels that move over a scene without any noise are a new picture each time."""
    pictures = []
    for at in range(FPS * 8):
        picture = scene().copy()
        picture[101:104, at : at + 3] = (0, 0, 255)
        pictures.append(picture)
    assert not any(reasons(pictures))


def clock(picture: Image, at: int) -> Image:
    """Burn a running number into a picture."""
    shown = picture.copy()
    cv2.putText(shown, f"{at:06d}", (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 255), 1)
    return shown


def test_frozen_picture_under_a_running_clock_is_found() -> None:
    """Where nothing but a small region changes, the camera is frozen, after a longer time."""
    found = reasons([clock(STILL[0], at) for at in range(int((OVERLAY_S + 4) * FPS))])
    assert first_s(found) == pytest.approx(OVERLAY_S, abs=0.5)


def test_live_picture_under_a_running_clock_is_not_frozen() -> None:
    """The clock of a camera with noise does not matter."""
    assert not any(reasons([clock(STILL[at % BUFFERS], at) for at in range(int((OVERLAY_S + 4) * 5))], fps=5))


def test_lamp_in_the_night_is_not_frozen() -> None:
    """Where all but a small region is black to the last bit, that region may be all that lives."""
    night = np.zeros_like(scene())
    pictures = []
    for at in range(int((OVERLAY_S + 4) * 5)):
        night = night.copy()
        night[40:60, 40:70] = noisy(scene()[40:60, 40:70], at)
        pictures.append(night)
    assert not any(reasons(pictures, fps=5))


def test_other_size_is_a_new_picture() -> None:
    """A camera that changes its resolution starts anew."""
    frozen, large = Frozen(), cv2.resize(STILL[0], (640, 480))
    for at, picture in enumerate([STILL[0]] * 4 * FPS + [large] * 4 * FPS):
        assert frozen(picture, shrink(picture, (80, 120)), round(at / FPS * SECOND_NS)) is None


def test_small_frames_that_come_in_the_same_memory_are_not_frozen() -> None:
    """A frame of which every row is compared is remembered as it was, not as the next one overwrites it."""
    random, frozen = np.random.default_rng(0), Frozen()
    image = np.zeros((48, 64, 3), np.uint8)
    for number in range(int((OVERLAY_S + FROZEN_S) * FPS)):
        image[:] = random.integers(90, 160, image.shape, np.uint8)
        assert frozen(image, shrink(image, size_for(48, 64)), number * SECOND_NS // FPS) is None
