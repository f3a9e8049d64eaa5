"""How far a scene moved is found from two frames of it, and only where it is clear."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from runtime.search.motion import CLEAR, Correlate
from tests.search.moving import DIMENSION, seen, world

HW = (30, 40)
AXES = np.linalg.qr(np.random.default_rng(0).standard_normal((DIMENSION, DIMENSION)))[0]
OFF = {"grains": 0.25, "stripes": 0.25, "blobs": 2.5}
"""Patches: half of what would be rounded to another one; of blobs, their radius, as patches in a blob are alike."""

NOISE = 0.3  # of the features' deviation


def found(before: np.ndarray, after: np.ndarray, hw: tuple[int, int] = HW, active: np.ndarray | None = None):
    """Return the shift between two frames, and whether it is clear."""
    correlate = Correlate(hw, AXES)
    shift = correlate.shift(correlate.spectrum(after, active), correlate.spectrum(before, active))
    return shift, shift.peak > CLEAR


@pytest.mark.parametrize("kind", ["grains", "blobs", "stripes"])
@pytest.mark.parametrize(
    "way", [(0, 0.375), (0, 0.625), (0, -1.625), (0, 3.625), (0, 7.5), (2.25, 0), (-6.75, 0), (1.5, -4.125), (0, 0)]
)
def test_the_shift_found_is_the_shift_made(kind: str, way: tuple[float, float]):
    """From 3 to 60 pixels of a patch's 8, along, across and askew, noise or not."""
    values = world(kind)
    row, column = 20.0, 20.0
    shift, clear = found(seen(values, row, column, HW, NOISE), seen(values, row - way[0], column - way[1], HW, NOISE))
    assert clear
    assert abs(shift.rows - way[0]) < OFF[kind]
    assert abs(shift.columns - way[1]) < OFF[kind]


@given(rows=st.integers(-10, 10), columns=st.integers(-13, 13), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_whole_patches_are_found_for_any_way(rows: int, columns: int, seed: int):
    """Up to a third of the picture, in any direction, the nearest whole shift is the one that was made."""
    values = world("grains", seed)
    shift, clear = found(seen(values, 20, 20, HW), seen(values, 20 - rows, 20 - columns, HW))
    assert clear
    assert (round(shift.rows), round(shift.columns)) == (rows, columns)


@pytest.mark.parametrize("seed", range(20))
def test_of_unlike_frames_no_shift_is_clear(seed: int):
    """Two pictures that have nothing in common did not move."""
    assert not found(seen(world("grains", seed), 0, 0, HW), seen(world("grains", seed + 100), 0, 0, HW))[1]


def test_what_is_not_judged_does_not_count():
    """Of a belt in a scene that stands still, only the belt's motion is found, if only the belt is judged."""
    belt, around = world("grains", 1), world("grains", 2)
    active = np.zeros(HW, dtype=bool)
    active[8:24, 4:36] = True
    active = active.ravel()
    frames = [np.where(active[:, None], seen(belt, 20, 20 + 3 * step, HW), seen(around, 0, 0, HW)) for step in (0, 1)]
    shift, clear = found(*frames, active=active)
    assert clear
    assert (round(shift.rows), round(shift.columns)) == (0, -3)


@pytest.mark.parametrize("way", [(0, -3), (0, 2), (4, 0), (-2, 5)])
def test_the_edge_of_the_picture_does_not_hold_the_scene(way: tuple[int, int]):
    """Patches at the edge that look the same in every frame, as a network makes them there, do not hide the motion."""
    inside = np.zeros(HW, dtype=bool)
    inside[2:-2, 2:-2] = True
    edge = 3 * np.random.default_rng(9).standard_normal((*HW, DIMENSION)) * ~inside[..., None]
    moving = [seen(world("grains"), 20 - step * way[0], 20 - step * way[1], HW, NOISE) for step in (0, 1)]
    shift, clear = found(*[(one + edge.reshape(one.shape)).astype(np.float32) for one in moving])
    assert clear
    assert (round(shift.rows), round(shift.columns)) == way


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_of_features_that_are_no_numbers_nothing_is_clear(value: float):
    """A frame that cannot be judged has no shift, and there is no warning."""
    features = seen(world("grains"), 0, 0, HW)
    broken = features.copy()
    broken[5, 3] = value
    assert not found(features, broken)[1]
    assert not found(broken, features)[1]


@pytest.mark.parametrize("hw", [(1, 1), (1, 7), (5, 1), (2, 2), (3, 4)])
def test_small_grids_have_a_shift_too(hw: tuple[int, int]):
    """On a grid of any size something is found, though hardly ever clear."""
    features = np.random.default_rng(0).standard_normal((hw[0] * hw[1], DIMENSION)).astype(np.float32)
    shift, clear = found(features, features, hw)
    assert np.isfinite(shift).all()
    assert not clear
