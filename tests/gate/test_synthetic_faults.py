"""Synthetic faults: one small damaged place in each picture, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.frame import Image
from runtime.learning.gate.synthetic_faults import LARGEST, draw_faults, with_faults
from tests.support.small import colour_picture

KINDS = 4
"""They are taken in turn: so many pictures see them all."""


def pictures(count: int = 2 * KINDS) -> list[Image]:
    return [colour_picture(number) for number in range(count)]


def synthetic_faults(images: list[Image], seed: int) -> list[Image]:
    return [fault for _, fault in with_faults(images, seed)]


def changed_box(picture: Image, damaged: Image) -> tuple[int, int]:
    """Return height and width of the box around the pixels that differ."""
    rows, columns = np.nonzero((picture != damaged).any(axis=2))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_same_seed_gives_the_same_faults() -> None:
    """The same pictures and seed give the same faults, another seed gives others."""
    first, again, other = (synthetic_faults(pictures(), seed) for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not any((a == b).all() for a, b in zip(first, other, strict=True))


def test_faults_are_drawn_without_the_pictures() -> None:
    """From the sizes alone a fault is known: each picture gets its own by itself, also where some are not judged."""

    def judged(picture_hw: tuple[int, int]) -> np.ndarray:
        return np.arange(picture_hw[1]) > picture_hw[1] // 2 * np.ones((picture_hw[0], 1))

    images = [picture[number:, : 160 - 5 * number] for number, picture in enumerate(pictures())]
    drawn = draw_faults([picture.shape[:2] for picture in images], 3, judged)
    pairs = list(zip(images, drawn, with_faults(images, 3, judged), strict=True))
    for picture, fault, (_, expected) in reversed(pairs):
        assert (fault(picture, judged) == expected).all()


def test_each_picture_has_one_small_fault() -> None:
    """Every picture is changed, and only within a square that is small beside it."""
    for seed in range(5):
        for picture, damaged in zip(pictures(), synthetic_faults(pictures(), seed), strict=True):
            assert damaged.dtype == np.uint8
            assert damaged.shape == picture.shape
            side = round(min(picture.shape[:2]) * LARGEST)
            assert max(changed_box(picture, damaged)) <= side


def test_faults_are_of_different_kinds() -> None:
    """Faults of one picture under one seed differ by their place in the sequence: kinds are taken in turn."""
    grey = np.full((100, 100, 3), 90, np.uint8)
    found = synthetic_faults([grey] * KINDS, 0)
    untouched = [(damaged == grey).all() for damaged in found]
    assert untouched == [True, False, False, True]  # cut and paste, and smearing, show nothing where all is alike
    assert (found[1].min(axis=(0, 1)) == 90).all()  # the scar on a dark picture is bright
    assert (found[1].max(axis=(0, 1)) > 150).all()
    assert len(np.unique(found[2].reshape(-1, 3).mean(axis=0))) == 3  # the tint moves each colour by another amount


def test_pictures_that_are_given_stay_as_they_are() -> None:
    """The normal pictures are not touched: they are compared too."""
    given = pictures()
    for picture in given:
        picture.flags.writeable = False
    found = synthetic_faults(given, 1)
    assert all((kept == fresh).all() for kept, fresh in zip(given, pictures(), strict=True))
    assert not any(np.shares_memory(damaged, picture) for damaged, picture in zip(found, given, strict=True))


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 50), (50, 1), (2, 3), (3, 2), (5, 400), (400, 5), (37, 64)])
def test_pictures_of_any_size_can_be_damaged(size_hw: tuple[int, int]) -> None:
    """Tiny, narrow and odd pictures keep their size and type under every kind of fault."""
    picture = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    for seed in range(3):
        for damaged in synthetic_faults([picture] * KINDS, seed):
            assert damaged.shape == picture.shape
            assert damaged.dtype == np.uint8


def test_no_pictures_give_no_faults() -> None:
    """Nothing in, nothing out."""
    assert synthetic_faults([], 0) == []
