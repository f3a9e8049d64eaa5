"""Regions of a camera: which patches are judged, and that only those cost anything and decide."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from runtime.frame import Grid, Neighbours, Tier
from runtime.learning.bank.index import build_index, neighbour_table
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.regions import Regions
from runtime.scoring.score import ScoreFrame
from runtime.search.full import Deciding, ExactSearch, GraphSearch
from runtime.search.history import History
from runtime.search.lazy import LazySearch
from runtime.search.pruned import PrunedSearch
from tests.support import reference
from tests.support.clusters import clusters
from tests.support.preprocessing import resized

SCORE_RELATIVE = 1e-5  # float32 features, float64 sums
B, K, GRID_HW = 9, 5, (8, 10)
PATCHES = GRID_HW[0] * GRID_HW[1]
EDGE_PX = 0.01  # so near to an edge rounding decides, and either is right
SQUARE = ((100, 50), (300, 50), (300, 200), (100, 200))
DENT = ((0, 0), (640, 0), (640, 480), (320, 100), (0, 480))


def preprocess(resize_hw: tuple[int, int], crop_hw: tuple[int, int]) -> Preprocess:
    return Preprocess(resized(resize_hw, crop_hw))


def centres(grid: Grid, resize_hw: tuple[int, int], crop_hw: tuple[int, int], frame_hw: tuple[int, int]) -> np.ndarray:
    """Return x and y of the centre of each patch on the frame, [patches, 2], by how pictures are resized, cropped."""
    places = []
    for row in range(0, grid.map_hw[0], grid.stride):
        for column in range(0, grid.map_hw[1], grid.stride):
            at = []
            for cell, axis in ((column, 1), (row, 0)):
                in_crop = (cell + 0.5) / grid.map_hw[axis] * crop_hw[axis]
                in_resized = in_crop + (resize_hw[axis] - crop_hw[axis]) // 2
                at.append(in_resized / resize_hw[axis] * frame_hw[axis])
            places.append(at)
    return np.array(places)


def holds(polygon: tuple[tuple[int, int], ...], x: float, y: float) -> bool:
    """Return whether a point lies in a polygon: a ray from it crosses the outline an odd number of times."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        crossings += (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    return crossings % 2 == 1


def distance_to_outline(polygon: tuple[tuple[int, int], ...], point: np.ndarray) -> float:
    """Return the distance of a point to the nearest edge."""
    distances = []
    for start, end in zip(np.array(polygon, float), np.array([*polygon[1:], polygon[0]], float), strict=True):
        along = end - start
        share = np.clip(np.dot(point - start, along) / max(np.dot(along, along), 1e-9), 0, 1)
        distances.append(np.linalg.norm(start + share * along - point))
    return float(min(distances))


POLYGONS = st.lists(
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 500)), min_size=3, max_size=6).map(tuple), max_size=3
)


@pytest.mark.slow
@given(
    regions=POLYGONS,
    ignore=POLYGONS,
    frame_hw=st.sampled_from([(480, 640), (100, 150), (320, 320)]),
    crop_hw=st.sampled_from([(256, 320), (224, 224)]),
    grid=st.sampled_from([Grid((5, 6)), Grid((10, 12), 2), Grid((13, 17), 3)]),
)
@settings(deadline=None, max_examples=60)
def test_patches_are_judged_by_where_their_centre_lies(
    regions: list, ignore: list, frame_hw: tuple[int, int], crop_hw: tuple[int, int], grid: Grid
):
    """A patch is judged if its centre lies in a region, or there is none, and in nothing that is to be ignored."""
    resize_hw = (256, 320)
    found = Regions(regions, ignore, preprocess(resize_hw, crop_hw), grid).active(frame_hw)
    if not regions and not ignore:
        assert found is None
        return
    assert found is not None
    for (x, y), judged in zip(centres(grid, resize_hw, crop_hw, frame_hw), found.tolist(), strict=True):
        if min(distance_to_outline(polygon, np.array([x, y])) for polygon in regions + ignore) < EDGE_PX:
            continue
        inside = not regions or any(holds(polygon, x, y) for polygon in regions)
        assert judged == (inside and not any(holds(polygon, x, y) for polygon in ignore)), (x, y)


def test_regions_are_looked_up_once_for_each_size_of_frames(monkeypatch: pytest.MonkeyPatch):
    """The patches of frames of one size are found with the first of them; another size is found anew."""
    regions = Regions([SQUARE], [], stage := preprocess((48, 64), (48, 64)), Grid(GRID_HW))
    asked: list[tuple[int, int]] = []
    on_camera = stage.on_camera
    monkeypatch.setattr(stage, "on_camera", lambda shares, hw: (asked.append(hw), on_camera(shares, hw))[1])
    masks = [regions.active(hw) for hw in ((480, 640), (480, 640), (240, 320), (240, 320))]
    assert asked == [(480, 640), (240, 320)]
    assert masks[0] is masks[1]
    assert masks[0] is not None
    assert masks[2] is not None
    assert masks[0].sum() != masks[2].sum()


def test_a_dent_is_not_inside():
    """A polygon that is not convex holds what its outline holds: not the dent between two of its corners."""
    found = Regions([DENT], [], preprocess((48, 64), (48, 64)), Grid((48, 64))).active((480, 640))
    assert found is not None
    grid = found.reshape(48, 64)
    assert grid[5, 32]
    assert not grid[40, 32]
    assert grid[40, 1]
    assert grid[40, 62]


# The search


@pytest.fixture(scope="module")
def bank() -> np.ndarray:
    """Return a bank in clusters."""
    return clusters(400, 40, seed=1)


def searches(bank: np.ndarray) -> dict[str, Deciding]:
    """Return each kind of search as a device has it."""
    graph, table = GraphSearch(build_index(bank), ef=8, threads=1), neighbour_table(bank, B)
    pruned = PrunedSearch(bank, table)
    return {
        "lazy": LazySearch(graph, bank, pruned, K, History(GRID_HW)),
        "graph": LazySearch(graph, bank, pruned, K),
        "exact": ExactSearch(bank),
    }


def masks(random: np.random.Generator) -> list[np.ndarray]:
    """Return masks of some, of most, of few, and of a single patch."""
    some = [random.random(PATCHES) < share for share in (0.5, 0.9, 0.05)]
    one = np.zeros(PATCHES, dtype=bool)
    one[random.integers(PATCHES)] = True
    return [mask if mask.any() else one for mask in some] + [one]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lazy", "graph", "exact"])
def test_score_is_that_of_the_judged_patches_alone(bank: np.ndarray, kind: str):
    """In every mode score, patch and entry are those of an exact search that knows of no other patches, frame by frame.

    What is not judged holds no numbers at all here, so that a single look at it would show.
    """
    search, random = searches(bank)[kind], np.random.default_rng(0)
    table = reference.neighbour_table(bank, B).astype(np.int32)
    still = clusters(PATCHES, 40, seed=3)
    for number in range(24):
        active = masks(random)[number // 3 % 4]
        features = still + np.float32(0.3) * random.standard_normal(still.shape).astype(np.float32)
        features[~active] = np.nan
        found = search(features, active)
        apart = reference.distances(features[active], bank).min(axis=1)
        assert (found.distance[~active] == 0).all()
        exact = np.sort(found.distance[active])[-K:]
        np.testing.assert_allclose(exact, np.sort(apart)[-K:], rtol=SCORE_RELATIVE)
        for mode in ("paper", "max", "topk"):
            score = ScoreFrame(bank, table, mode, K)(features, found)
            rows = features[active]
            wanted = {
                "paper": lambda rows=rows: reference.paper_score(rows, bank, B),
                "max": lambda rows=rows: reference.max_score(rows, bank),
                "topk": lambda rows=rows: reference.topk_score(rows, bank, K),
            }[mode]()
            assert score.value == pytest.approx(wanted, rel=SCORE_RELATIVE)
            assert score.patch == np.flatnonzero(active)[np.argmax(apart)]
            assert score.entry == np.argmin(reference.distances(features[[score.patch]], bank))


def test_a_patch_that_is_judged_decides_even_at_distance_zero(bank: np.ndarray):
    """Where all judged patches are in the bank, the score is zero, and its patch is one that is judged."""
    active = np.zeros(PATCHES, dtype=bool)
    active[[37, 52]] = True
    score = ScoreFrame(bank, reference.neighbour_table(bank, B).astype(np.int32), "topk", K)
    found = score(bank[:PATCHES], ExactSearch(bank)(bank[:PATCHES], active))
    assert (found.value, found.patch) == (0.0, 37)


def test_what_is_not_judged_costs_nothing(bank: np.ndarray):
    """Neither graph nor bank are asked for a patch that is not judged, and it counts for no share."""
    asked = []
    exact = ExactSearch(bank)

    def graph(features: np.ndarray) -> Neighbours:
        asked.append(len(features))
        return exact(features)

    pruned = PrunedSearch(bank, neighbour_table(bank, B))
    search = LazySearch(graph, bank, pruned, 1, History(GRID_HW))
    active = np.zeros(PATCHES, dtype=bool)
    active[::4] = True
    features = clusters(PATCHES, 40, seed=3)
    assert search(features, active).searched == 1
    assert asked == [PATCHES // 4]
    compared = pruned.compared
    found = search(features, active)
    assert found.searched <= 4 / PATCHES
    assert asked == [PATCHES // 4]
    assert pruned.compared - compared <= len(bank)
    assert (found.tier[~active] == Tier.EXACT).all()


def test_regions_may_change_between_frames(bank: np.ndarray):
    """Patches that are judged for the first time, as after another size of frames, are searched like all others."""
    search, features = searches(bank)["lazy"], clusters(PATCHES, 40, seed=3)
    half = np.arange(PATCHES) < PATCHES // 2
    exact = ExactSearch(bank)(features).distance
    for active in (half, half, ~half, None, half):
        found = search(features, active)
        judged = exact if active is None else exact[active]
        mine = found.distance if active is None else found.distance[active]
        assert np.sort(mine)[-K:].tobytes() == np.sort(judged)[-K:].tobytes()
