"""The score of a frame and its anomaly map."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from runtime.frame import Grid, Neighbours, Tier
from runtime.scoring.score import ScoreFrame, anomaly_map, reweighting
from runtime.search.full import all_of
from tests.support import reference

SCORE_RELATIVE = 1e-5  # float32 features, float64 sums
MAP_RELATIVE = 1e-5  # float32 weights of the Gaussian that sum to 1 but for rounding
MAP_ABSOLUTE = 1e-5  # of distances around 1: float32 weights of two products and of the Gaussian
REACH_PX = 16  # four sigma; nearer to the edge the picture decides what lies outside, which is another test
FLOAT64_SPREAD = 30.0  # exp(-30) is still felt beside 1 in float64; from about 37 on the factor rounds to 1
B = 9


def case(distance: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and a bank whose largest patch distance is about `distance`, with neighbours some 1 apart."""
    random = np.random.default_rng(seed)
    bank = random.standard_normal((200, 20)).astype(np.float32) * np.float32(0.3)
    features = bank[random.integers(200, size=50)] + random.standard_normal((50, 20)).astype(np.float32) * 0.1
    away = random.standard_normal(20)
    features[13] += (away / np.linalg.norm(away) * distance).astype(np.float32)
    return features.astype(np.float32), bank


def search(features: np.ndarray, bank: np.ndarray) -> Neighbours:
    """Find the nearest entries by the reference."""
    apart = reference.distances(features, bank)
    return all_of(Tier.EXACT, apart.min(axis=1).astype(np.float32), apart.argmin(axis=1))


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


@pytest.mark.parametrize("k", [1, 2, 5, 50, 51, 1000])
@pytest.mark.parametrize("distance", [5, 50, 500])
def test_topk_score_is_the_mean_of_the_largest(distance: float, k: int):
    """Mode `topk` gives the mean of the k largest patch distances, of all where k is more than there are."""
    features, bank = case(distance, seed=2)
    neighbours = search(features, bank)
    found = ScoreFrame(bank, reference.neighbour_table(bank, B).astype(np.int32), "topk", k)(features, neighbours)
    assert found.value == pytest.approx(reference.topk_score(features, bank, k), rel=SCORE_RELATIVE)
    assert (found.patch, found.entry) == (13, neighbours.index[13])
    assert found.distances.tobytes() == neighbours.distance.tobytes()


def test_scoring_leaves_the_distances_as_they_are():
    """The distances that were found keep their values and their order, whatever the mode."""
    features, bank = case(5, seed=3)
    neighbours = search(features, bank)
    before = neighbours.distance.copy()
    for mode in ("paper", "max", "topk"):
        ScoreFrame(bank, reference.neighbour_table(bank, B).astype(np.int32), mode, 7)(features, neighbours)
    assert (neighbours.distance == before).all()


@pytest.mark.parametrize("mode", ["paper", "max", "topk"])
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


def grid_distances(grid: Grid, seed: int = 0) -> np.ndarray:
    """Return a distance around 1 for each patch, float32 [patches], no two alike."""
    rows, columns = grid.hw
    return np.random.default_rng(seed).uniform(0.5, 1.5, rows * columns).astype(np.float32)


@pytest.mark.parametrize(
    ("grid", "hw"),
    [
        (Grid((28, 28)), (28, 28)),
        (Grid((80, 80), 2), (40, 40)),
        (Grid((25, 33), 2), (13, 17)),
        (Grid((25, 33), 3), (9, 11)),
        (Grid((24, 32), 5), (5, 7)),
        (Grid((3, 1), 4), (1, 1)),
    ],
)
def test_a_grid_counts_the_positions_that_the_stride_keeps(grid: Grid, hw: tuple[int, int]):
    """Rows and columns 0, s, 2s and so on are kept, and as many centres are told as there are rows and columns."""
    assert grid.hw == hw
    assert tuple(len(centers) for centers in grid.centers()) == hw


def test_centres_are_those_of_the_kept_cells():
    """A patch lies in the middle of its own cell of the map, not of the cells that the stride passed over."""
    rows, columns = Grid((5, 4), 2).centers()
    np.testing.assert_allclose(rows, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(columns, [1 / 8, 5 / 8])
    assert [Grid((5, 4), 2).center(patch) for patch in (0, 3, 4)] == [(0.1, 1 / 8), (0.5, 5 / 8), (0.9, 1 / 8)]


@pytest.mark.parametrize("level", [0.0, 3.25, 400.0])
@pytest.mark.parametrize(
    "grid", [Grid((28, 28)), Grid((28, 28), 2), Grid((29, 31), 3), Grid((1, 9)), Grid((9, 1), 2), Grid((2, 2), 2)]
)
def test_a_constant_grid_gives_a_constant_map(grid: Grid, level: float):
    """Where all patches are equally far, the whole map shows that distance: the smoothing loses nothing at the edge."""
    found = anomaly_map(np.full(grid.hw[0] * grid.hw[1], level, dtype=np.float32), grid, (224, 160))
    assert found.dtype == np.float32
    assert found.shape == (224, 160)
    np.testing.assert_allclose(found, level, rtol=MAP_RELATIVE)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("patch", [(0, 0), (3, 17), (11, 19), (6, 0)])
def test_the_map_peaks_over_the_patch(patch: tuple[int, int], stride: int):
    """The map of a grid that is not square has its peak inside the pixels of the strangest patch."""
    grid = Grid((12 * stride, 20 * stride), stride)
    distances = np.ones((12, 20), dtype=np.float32)
    distances[patch] = 9
    found = anomaly_map(distances.ravel(), grid, (192, 320))
    assert found.shape == (192, 320)
    y, x = np.unravel_index(np.argmax(found), found.shape)
    assert (y // 16, x // 16) == patch


@pytest.mark.parametrize(
    ("grid", "size_hw"),
    [
        pytest.param(Grid((10, 14)), (80, 112), id="every position"),
        pytest.param(Grid((10, 14), 2), (80, 112), id="stride 2"),
        pytest.param(Grid((10, 14), 3), (80, 112), id="stride 3, the last row kept"),
        pytest.param(Grid((11, 15), 2), (88, 120), id="odd map, stride 2"),
        pytest.param(Grid((12, 15), 3), (96, 120), id="two rows outside of the last"),
        pytest.param(Grid((13, 17), 2), (101, 135), id="a size that no map divides"),
        pytest.param(Grid((80, 80), 2), (320, 320), id="the default"),
        pytest.param(Grid((1, 14), 2), (80, 112), id="one row"),
        pytest.param(Grid((14, 1), 3), (112, 80), id="one column"),
        pytest.param(Grid((3, 14), 3), (80, 112), id="one row left"),
        pytest.param(Grid((2, 2), 2), (64, 64), id="one patch left"),
        pytest.param(Grid((90, 100), 2), (45, 50), id="as small as the grid"),
    ],
)
def test_the_map_is_bilinear_then_gaussian(grid: Grid, size_hw: tuple[int, int]):
    """The map is bilinear between the true centres of the patches, smoothed with a Gaussian of sigma 4 pixels."""
    distances = grid_distances(grid)
    large = reference.large_map(distances, grid.map_hw, grid.stride, size_hw)
    smooth = reference.gaussian(large, sigma=4, reach=REACH_PX)
    found = anomaly_map(distances, grid, size_hw)
    assert found.shape == size_hw
    inside = slice(REACH_PX, -REACH_PX)
    np.testing.assert_allclose(found[inside, inside], smooth[inside, inside], rtol=0, atol=MAP_ABSOLUTE)


@pytest.mark.parametrize(("map_hw", "size_hw"), [((10, 14), (80, 112)), ((7, 9), (99, 70)), ((1, 6), (48, 48))])
def test_without_a_stride_the_map_is_a_plain_resize(map_hw: tuple[int, int], size_hw: tuple[int, int]):
    """Where every position is a patch, the map is the grid resized bilinearly, pixel centres at half coordinates."""
    distances = grid_distances(Grid(map_hw), seed=1)
    large = reference.resize_bilinear(distances.reshape(1, *map_hw).astype(np.float64), size_hw)[0]
    smooth = reference.gaussian(large, sigma=4, reach=REACH_PX)
    found = anomaly_map(distances, Grid(map_hw), size_hw)
    inside = slice(REACH_PX, -REACH_PX)
    np.testing.assert_allclose(found[inside, inside], smooth[inside, inside], rtol=0, atol=MAP_ABSOLUTE)
