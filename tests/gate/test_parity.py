"""The measures of the parity gate: the kernels by their definition, what is recorded, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge_config.bundle.parity_result import GraphParity, Parity
from edge_config.errors import ParityRefused
from export.gate.parity import measure_graph
from runtime.frame import Grid, Image, Neighbours, Score
from runtime.inference.assemble import assemble
from runtime.learning.bank.index import build_index, neighbour_table
from runtime.learning.gate.differences import relative
from runtime.learning.gate.parity import TOLERANCES, compare_picture, is_clear, judge_parity
from runtime.learning.gate.resize_by_definition import resize_by_definition
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.scorer import Scorer
from runtime.search.full import ExactSearch, GraphSearch
from tests.support import reference
from tests.support.preprocessing import resized
from tests.support.tiny import GRID, MODEL, SCORING, SPEC, B, strange_picture, tiny_bank

ROUNDED = 0.5 + 1e-6
"""Of a level: the definition is rounded to whole levels, the slow one here is not."""

ONE_LEVEL = 1.0
"""OpenCV's fixed point may round to the level beside."""

KNOWN, LARGER = 2e-5, 2e-4
"""Shares by which features are changed: below and above what a float32 graph may differ."""

FLOAT32 = 1e-6
"""Sums of float32 features of a few values."""


def noise(*size_hw: int) -> Image:
    return np.random.default_rng(size_hw).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


def average_of_area(picture: Image, size_hw: tuple[int, int]) -> np.ndarray:
    """Average what each output pixel covers, one pixel after the other; those at the edge count by their share."""
    result = np.zeros((*size_hw, 3))
    steps = [have / want for have, want in zip(picture.shape, size_hw, strict=False)]
    for row, column in np.ndindex(size_hw):
        total, area = np.zeros(3), 0.0
        top, left = row * steps[0], column * steps[1]
        for y in range(math.floor(top), min(math.ceil(top + steps[0]), picture.shape[0])):
            for x in range(math.floor(left), min(math.ceil(left + steps[1]), picture.shape[1])):
                share = (min(top + steps[0], y + 1) - max(top, y)) * (min(left + steps[1], x + 1) - max(left, x))
                total += share * picture[y, x]
                area += share
        result[row, column] = total / area
    return result


@pytest.mark.parametrize("size_hw", [(48, 64), (33, 41), (17, 64), (100, 31)])
def test_smaller_pictures_are_averages_of_what_is_covered(size_hw: tuple[int, int]) -> None:
    """Where a picture shrinks, each pixel is the average of the area that it covers, parts of pixels included."""
    picture = noise(100, 128)
    found = resize_by_definition(picture, resized(size_hw))
    assert np.abs(found - average_of_area(picture, size_hw)).max() <= ROUNDED


@pytest.mark.parametrize("size_hw", [(48, 64), (33, 41), (20, 64), (48, 20)])
def test_larger_pictures_are_bilinear(size_hw: tuple[int, int]) -> None:
    """Where a picture grows in one direction or in both, pixels are interpolated between centres."""
    picture = noise(24, 32)
    found = resize_by_definition(picture, resized(size_hw))
    wanted = reference.resize_bilinear(picture.transpose(2, 0, 1).astype(np.float64), size_hw).transpose(1, 2, 0)
    assert np.abs(found - wanted).max() <= ROUNDED


@pytest.mark.parametrize("size_hw", [(96, 128), (75, 111), (480, 640), (96, 20), (48, 64), (31, 200)])
def test_the_definition_is_what_opencv_computes(size_hw: tuple[int, int]) -> None:
    """Pictures of any size, kept, smaller, larger or both, are within one level of OpenCV's area or linear resize."""
    picture = noise(*size_hw)
    kernel = cv2.INTER_AREA if size_hw[0] >= 48 and size_hw[1] >= 64 else cv2.INTER_LINEAR
    wanted = cv2.resize(picture, (64, 48), interpolation=kernel)
    found = resize_by_definition(picture, resized((48, 64)))
    assert found.shape == (48, 64, 3)
    assert np.abs(found - wanted).max() <= ONE_LEVEL


def test_the_definition_crops_the_centre() -> None:
    """What is cropped is the centre of the resized picture, where the runtime crops it."""
    picture = noise(90, 120)
    cropped = resized((60, 75), (41, 32))
    found = resize_by_definition(picture, cropped)
    assert found.shape == (41, 32, 3)
    assert (found == resize_by_definition(picture, resized((60, 75)))[9:50, 21:53]).all()
    assert np.abs(found - Preprocess(cropped)(picture)[0]).max() <= ONE_LEVEL


def test_difference_of_features_is_relative_to_each_patch() -> None:
    """A difference counts as a share of its own patch's length, patch by patch."""
    patches = np.float32([[3, 4], [300, 400], [0, 2]])
    changed = patches + np.float32([[0, 0], [0, 5], [1, 0]])
    assert relative(changed, patches) == pytest.approx([0, 0.01, 0.5], abs=FLOAT32)


def test_frame_with_a_near_tie_is_not_clear() -> None:
    """A frame is clear where one patch decides and one entry is nearest to it: rounding can choose no other."""
    bank = np.float32([[0, 0], [10, 0], [0, 30]])
    features = np.float32([[2, 0], [0, 1]])
    found = ExactSearch(bank)(features)

    def at(*distances: float) -> Score:
        return Score(2.0, 0, 0, replace(found, distance=np.float32(distances)))

    assert is_clear(features, at(2, 1), bank)
    assert not is_clear(features, at(2, 1.9999), bank)
    assert not is_clear(features, at(2, 1), np.float32([[0, 0], [4.0001, 0], [0, 30]]))
    assert is_clear(features[:1], at(2), bank)


# The gate itself, around the tiny graph: what the reference and the stages compute is changed by known amounts.

PICTURES = [strange_picture(seed) for seed in range(1, 25)]


def gate(
    change: Callable[[np.ndarray], np.ndarray] = lambda features: features,
    *,
    precision: str = "float32",
    search: Callable[[Neighbours], Neighbours] = lambda found: found,
    whole: Callable[[Neighbours], Neighbours] = lambda found: found,
) -> tuple[GraphParity, Parity]:
    """Run both gates; features of the device are changed by `change`, what it finds by `search` and `whole`."""
    bank, embed = tiny_bank(), Embed(MODEL, 1)
    graph = GraphSearch(build_index(bank), ef=64, threads=1)
    table = neighbour_table(bank, B)
    scorer: Scorer = assemble(Preprocess(SPEC), embed, graph, bank, table, SCORING, Grid(GRID), "lazy")
    made = SimpleNamespace(
        expected=lambda tensor, _adjust: embed(tensor), program="the same graph", precision=precision
    )
    network = SimpleNamespace(spec=SPEC, tolerances=TOLERANCES[precision], adjust=None)
    changed = replace(
        scorer,
        embed=lambda tensor: change(embed(tensor)),
        search=lambda features: search(scorer.search(features)),
        whole=lambda features: whole(scorer.whole(features)),
    )
    exact = ExactSearch(bank)
    compared = (compare_picture(picture, SPEC, changed, exact) for picture in PICTURES)
    return measure_graph(PICTURES, made, network, changed, exact), judge_parity(compared, network)


def test_differences_are_recorded_as_they_are() -> None:
    """Features that are longer by a known share are recorded with this share, largest and mean."""
    made, parity = gate(lambda features: features * np.float32(1 + KNOWN))
    assert made.pictures == parity.pictures == len(PICTURES)
    assert made.reference == "the same graph"
    assert made.graph.features.largest == pytest.approx(KNOWN, abs=FLOAT32)
    assert made.graph.features.mean == pytest.approx(KNOWN, abs=FLOAT32)
    assert parity.search.scores.largest <= FLOAT32
    assert "CPUExecutionProvider" in parity.tolerances


def test_recorded_differences_of_distances_are_no_smaller_than_the_true_ones() -> None:
    """Where distances are bounded by their features instead of searched, the bound holds for every patch."""
    made, _ = gate(lambda features: features * np.float32(1 + KNOWN))
    embed, bank, largest = Embed(MODEL, 1), tiny_bank(), 0.0
    for picture in PICTURES:
        features = embed(Preprocess(SPEC)(picture))
        one, other = (
            reference.distances(values, bank).min(axis=1) for values in (features, features * np.float32(1 + KNOWN))
        )
        largest = max(largest, float(np.abs(one - other).max() / one.max()))
    assert 0 < largest <= made.graph.distances.largest


def test_features_that_differ_by_more_than_rounding_are_refused() -> None:
    """A float32 graph that differs by more than its rounding is refused, and the line says what differs by how much."""
    with pytest.raises(ParityRefused, match=r"the same graph, features: differs by 2\.00e-04, allowed is 1e-04"):
        gate(lambda features: features * np.float32(1 + LARGER))


def test_int8_may_round_to_another_level() -> None:
    """What is too much for float32 is within the rounding of 8 bits."""
    made, parity = gate(lambda features: features * np.float32(1 + LARGER), precision="int8")
    assert made.graph.features.largest == pytest.approx(LARGER, abs=FLOAT32)
    assert parity.tolerances["CPUExecutionProvider"].scores > gate()[1].tolerances["CPUExecutionProvider"].scores


@pytest.mark.parametrize("change", [np.negative, lambda features: features[::-1]], ids=["sign", "places"])
def test_another_graph_in_bf16_is_refused(change: Callable[[np.ndarray], np.ndarray]) -> None:
    """bf16 may round much, but a wrong sign, or features at other places, are more than that."""
    with pytest.raises(ParityRefused):
        gate(change, precision="bf16")


@pytest.mark.parametrize("precision", ["float32", "int8", "bf16"])
def test_what_is_no_number_is_refused(precision: str) -> None:
    """A graph that gives NaN for one patch is refused, whatever its precision."""

    def spoil(features: np.ndarray) -> np.ndarray:
        features[5] = np.nan
        return features

    with pytest.raises(ParityRefused):
        gate(spoil, precision=precision)


def test_distance_below_the_true_one_is_refused() -> None:
    """A search that finds nearer entries than there are searches another bank."""
    with pytest.raises(ParityRefused, match="not of this bank"):
        gate(whole=lambda found: replace(found, distance=found.distance * np.float32(0.99)))


def farthest(found: Neighbours) -> Neighbours:
    """Return another entry than the nearest to the patch on top, at another distance."""
    top = np.argmax(found.distance)
    distance, index = found.distance.copy(), found.index.copy()
    distance[top], index[top] = distance[top] * 1.5, (index[top] + 128) % 256
    return replace(found, distance=distance, index=index)


def test_search_that_misses_the_top_is_refused() -> None:
    """A search may miss nearest entries off the top, but not the one that makes the score."""
    with pytest.raises(ParityRefused, match="exact search"):
        gate(search=farthest)


def test_search_that_misses_the_top_of_one_picture_is_refused() -> None:
    """One wrong score among two dozen is a wrong score: only near ties may be settled in another way."""
    calls = iter(range(len(PICTURES)))
    with pytest.raises(ParityRefused, match="exact search"):
        gate(search=lambda found: farthest(found) if next(calls) == 7 else found)
