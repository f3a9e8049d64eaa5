"""The score of a frame and its anomaly map."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from runtime.frame import Neighbours
from runtime.score import ScoreFrame, anomaly_map, reweighting
from tests import reference

SCORE_RELATIVE = 1e-5  # float32 features, float64 sums
MAP_RELATIVE = 1e-5  # float32 weights of the Gaussian that sum to 1 but for rounding
KERNEL_TAILS = 1e-3  # kernels are cut at some 4 sigma, where 6e-5 of the weight is left out
FLOAT64_SPREAD = 30.0  # exp(-30) is still felt beside 1 in float64; from about 37 on the factor rounds to 1
B = 9


def case(distance: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Give features and a bank whose largest patch distance is about `distance`, with neighbours some 1 apart."""
    random = np.random.default_rng(seed)
    bank = random.standard_normal((200, 20)).astype(np.float32) * np.float32(0.3)
    features = bank[random.integers(200, size=50)] + random.standard_normal((50, 20)).astype(np.float32) * 0.1
    away = random.standard_normal(20)
    features[13] += (away / np.linalg.norm(away) * distance).astype(np.float32)
    return features.astype(np.float32), bank


def search(features: np.ndarray, bank: np.ndarray) -> Neighbours:
    """Find the nearest entries by the reference."""
    apart = reference.distances(features, bank)
    return Neighbours(apart.min(axis=1).astype(np.float32), apart.argmin(axis=1))


@pytest.mark.parametrize("distance", [5, 50, 500])
@pytest.mark.parametrize("seed", range(3))
def test_paper_score_equals_equation_7(distance: float, seed: int):
    """The re-weighted score equals the paper's at small and at large distances, where exp would overflow float32."""
    features, bank = case(distance, seed)
    score = ScoreFrame(bank, reference.neighbour_table(bank, B).astype(np.int32), "paper")
    found = score(features, search(features, bank))
    assert found.value == pytest.approx(reference.paper_score(features, bank, B), rel=SCORE_RELATIVE)
    assert 0 < found.value < reference.max_score(features, bank)


@pytest.mark.parametrize("distance", [5, 50, 500])
def test_max_score_is_the_largest_patch_distance(distance: float):
    """Mode `max` gives the largest patch distance as it is, with its patch and its entry."""
    features, bank = case(distance, seed=0)
    neighbours = search(features, bank)
    found = ScoreFrame(bank, reference.neighbour_table(bank, B).astype(np.int32), "max")(features, neighbours)
    assert found.value == pytest.approx(reference.max_score(features, bank), rel=SCORE_RELATIVE)
    assert found.patch == 13
    assert found.entry == neighbours.index[13]
    assert found.distances.tobytes() == neighbours.distance.tobytes()


@pytest.mark.parametrize("mode", ["paper", "max"])
def test_a_frame_of_bank_entries_scores_zero(mode: str):
    """A frame all of whose patches are in the bank has a score of exactly zero."""
    _, bank = case(5, seed=1)
    table = reference.neighbour_table(bank, B).astype(np.int32)
    assert ScoreFrame(bank, table, mode)(bank[:20], search(bank[:20], bank)).value == 0


def test_neighbours_that_are_all_equally_far_give_the_equal_share():
    """If q* is as far from all b neighbours as from m*, the factor is 1 - 1/b."""
    assert reweighting(np.full(9, 700.0)) == pytest.approx(1 - 1 / 9)


@given(arrays(np.float64, st.integers(1, 16), elements=st.floats(0, 1e6)))
@settings(deadline=None, max_examples=200)
def test_the_factor_lies_between_0_and_1(distances: np.ndarray):
    """The factor never leaves [0, 1] and is never NaN, and it is below 1 unless the distances are worlds apart."""
    factor = reweighting(distances)
    assert 0 <= factor <= 1
    assert factor < 1 or np.ptp(distances) > FLOAT64_SPREAD


@pytest.mark.parametrize("level", [0.0, 3.25, 400.0])
def test_a_constant_grid_gives_a_constant_map(level: float):
    """Where all patches are equally far, the whole map shows that distance: the smoothing loses nothing at the edge."""
    found = anomaly_map(np.full(28 * 28, level, dtype=np.float32), (28, 28), (224, 224))
    assert found.dtype == np.float32
    assert found.shape == (224, 224)
    np.testing.assert_allclose(found, level, rtol=MAP_RELATIVE)


@pytest.mark.parametrize("patch", [(0, 0), (3, 17), (11, 19), (6, 0)])
def test_the_map_peaks_over_the_patch(patch: tuple[int, int]):
    """The map of a grid that is not square has its peak inside the pixels of the strangest patch."""
    distances = np.ones((12, 20), dtype=np.float32)
    distances[patch] = 9
    found = anomaly_map(distances.ravel(), (12, 20), (192, 320))
    assert found.shape == (192, 320)
    y, x = np.unravel_index(np.argmax(found), found.shape)
    assert (y // 16, x // 16) == patch


def test_the_map_is_bilinear_then_gaussian():
    """The map equals the grid, resized bilinearly and smoothed with a Gaussian of sigma 4 pixels."""
    distances = np.random.default_rng(0).random((10, 14)).astype(np.float32)
    large = reference.resize_bilinear(distances[None].astype(np.float64), (80, 112))[0]
    at = np.arange(-16, 17)
    kernel = np.exp(-(at**2) / (2 * 4.0**2))
    kernel /= kernel.sum()
    columns = np.apply_along_axis(np.convolve, 0, large, kernel, "same")
    smooth = np.apply_along_axis(np.convolve, 1, columns, kernel, "same")
    found = anomaly_map(distances.ravel(), (10, 14), (80, 112))
    inside = slice(16, -16)  # what happens at the edge is another test
    np.testing.assert_allclose(found[inside, inside], smooth[inside, inside], rtol=KERNEL_TAILS)
