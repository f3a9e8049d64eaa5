"""What is told of a frame over the threshold: the boxes of its regions."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file
from scipy import ndimage

from edge_config.wire.messages import MAX_BOXES
from runtime.frame import Grid, Image, Wanted
from runtime.inference.load import load
from runtime.scoring import alert_detail as detail_
from runtime.scoring.alert_detail import boxes, detail
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.scorer import Scorer
from runtime.search.full import ExactSearch
from tests.support.preprocessing import resized
from tests.support.tiny import GRID, HEIGHT, THRESHOLD, WIDTH, normal_picture, strange_picture

CORNERS_TOO = np.ones((3, 3))
PATCH_HW = HEIGHT // GRID[0], WIDTH // GRID[1]
SEEDS = range(12)


@pytest.fixture(scope="module")
def scorer(tiny_bundle: Path) -> Scorer:
    """Return the stages of the tiny bundle, with the search of a device."""
    return load(tiny_bundle, 1)[1]


@pytest.fixture(scope="module")
def bank(tiny_bundle: Path) -> np.ndarray:
    """Return its bank."""
    return load_file(tiny_bundle / "bank.safetensors")["bank"]


def regions_of(over: np.ndarray) -> list[set[tuple[int, int]]]:
    """Return the connected regions of a grid bool [rows, columns], corners connect, by going from place to place."""
    left = {(int(row), int(column)) for row, column in np.argwhere(over)}
    regions = []
    while left:
        region, open_ends = set(), [left.pop()]
        while open_ends:
            row, column = open_ends.pop()
            region.add((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            open_ends += near
        regions.append(region)
    return regions


@given(
    over=arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 0, 1])),
    per_patch=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=200)
def test_boxes_hold_the_connected_regions(scorer: Scorer, over: np.ndarray, per_patch: tuple[int, int], seed: int):
    """Each region has one box around just its patches, the one with the largest distance first, and at most 16 have."""
    hw = over.shape[0] * per_patch[0], over.shape[1] * per_patch[1]
    distances = np.random.default_rng(seed).permutation(over.size).astype(np.float32)
    given_grid = replace(scorer, grid=Grid(over.shape), preprocess=Preprocess(resized((96, 96))))
    wanted = []
    for region in regions_of(over):
        (top, left), (bottom, right) = np.min(list(region), axis=0), np.max(list(region), axis=0) + 1
        box = left * per_patch[1], top * per_patch[0], (right - left) * per_patch[1], (bottom - top) * per_patch[0]
        wanted.append((-max(distances.reshape(over.shape)[place] for place in region), box))
    found = boxes(given_grid, distances, over.ravel(), hw)
    assert list(found) == [box for _, box in sorted(wanted)][:MAX_BOXES]
    assert all(type(number) is int for box in found for number in box)


def test_boxes_lie_where_the_crop_lies_and_end_at_the_frame(scorer: Scorer):
    """Where the graph sees the middle of a frame only, boxes are shifted; with a stride they reach half-way and on."""
    given_grid = replace(scorer, grid=Grid((8, 8), 2), preprocess=Preprocess(resized((96, 128), (64, 64))))
    over = np.zeros((4, 4), dtype=bool)
    over[0, 0] = over[3, 3] = True
    found = boxes(given_grid, np.arange(16, dtype=np.float32), over.ravel(), (192, 384))
    # Centres at 1/16, 5/16, 9/16, 13/16 of 64 pixels, which start at (32, 16) of 128 x 96; a frame has 3 x 2 of each.
    assert found == ((228, 120, 60, 40), (96, 32, 36, 24))
    everything = boxes(given_grid, np.arange(16, dtype=np.float32), np.ones(16, dtype=bool), (192, 384))
    assert everything == ((96, 32, 192, 128),)


def pictures(seed: int) -> Image:
    """Return a picture with up to three strange squares."""
    random = np.random.default_rng(seed)
    picture = strange_picture(seed)
    for _ in range(seed % 3):
        row, column = random.integers(HEIGHT - 12), random.integers(WIDTH - 12)
        picture[row : row + 12, column : column + 12] = random.integers(0, 256, 3)
    return picture


def boxes_of(exact: np.ndarray) -> set[tuple[int, int, int, int]]:
    """Return the boxes of what is over the threshold, by scipy."""
    labels, _ = ndimage.label(exact.reshape(GRID) > THRESHOLD, CORNERS_TOO)
    return {
        (
            columns.start * PATCH_HW[1],
            rows.start * PATCH_HW[0],
            (columns.stop - columns.start) * PATCH_HW[1],
            (rows.stop - rows.start) * PATCH_HW[0],
        )
        for rows, columns in ndimage.find_objects(labels)
    }


@pytest.mark.parametrize("attach", [frozenset(), frozenset({"heat_map"})])
@pytest.mark.parametrize("search", ["lazy", "graph", "exact"])
def test_boxes_are_those_of_an_exact_search(tiny_bundle: Path, bank: np.ndarray, search: str, attach: frozenset):
    """Where all detail is wanted, boxes are those of what an exact search finds over the threshold, frame by frame."""
    device = load(tiny_bundle, 1, search)[1]  # type: ignore[arg-type]
    several = 0
    for seed in SEEDS:
        device(normal_picture(seed))
        features = device.embed(device.preprocess(picture := pictures(seed)))
        score = device.judge(features)
        found = detail(device, features, score, picture, Wanted(THRESHOLD, THRESHOLD, attach), 85)
        assert set(found.boxes) == boxes_of(ExactSearch(bank)(features).distance)
        several += len(found.boxes) > 1
    assert several  # else the case is too easy to show anything


def test_without_all_detail_boxes_are_of_what_is_known(scorer: Scorer, bank: np.ndarray):
    """A frame below `detail_above` has a box around its peak at least, and none where nothing is over the threshold."""
    device = scorer.another()
    for seed in SEEDS:
        device(normal_picture(seed))
        features = device.embed(device.preprocess(picture := pictures(seed)))
        score = device.judge(features)
        found = detail(device, features, score, picture, Wanted(THRESHOLD, math.inf, frozenset({"jpeg"})), 85)
        x, y = device.preprocess.to_camera(score.patch, device.grid, (HEIGHT, WIDTH))
        assert any(left <= x < left + width and top <= y < top + height for left, top, width, height in found.boxes)
        over = ExactSearch(bank)(features).distance.reshape(GRID) > THRESHOLD
        for left, top, width, height in found.boxes:
            rows, columns = np.s_[top // 6 : (top + height) // 6], np.s_[left // 8 : (left + width) // 8]
            assert over[rows, columns].any()
        assert (found.parts, found.attached) == ((), ())


@pytest.mark.parametrize("threshold", [0.1, 1 / 3, 60.0, 1e-30, 16777217.0])
def test_over_the_threshold_means_the_same_for_patches_and_scores(threshold: float):
    """The least float32 that counts is above the threshold, and the one before it is not."""
    least = np.float32(detail_.least_above(threshold))
    assert float(least) > threshold
    assert float(np.nextafter(least, np.float32(0))) <= threshold


def test_frame_too_large_for_a_jpeg_has_its_boxes(scorer: Scorer):
    """Where no JPEG can be made, as of a frame wider than that format allows, all else is told."""
    device = scorer.another()
    features = device.embed(device.preprocess(strange_picture(1)))
    wide = np.zeros((2, 70_000, 3), dtype=np.uint8)
    wanted = Wanted(THRESHOLD, THRESHOLD, frozenset({"jpeg", "heat_map"}))
    found = detail(device, features, device.judge(features), wide, wanted, 85)
    assert [part.name for part in found.parts] == ["heat_map"]
    assert len(found.attached) == 1
    assert found.boxes
