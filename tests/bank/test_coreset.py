"""Greedy coreset selection against the plain loop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from runtime.learning.bank import _selection
from runtime.learning.bank.chosen import Chosen, Entries, Old
from runtime.learning.bank.coreset import Choosing, choose, farthest_first, offered, select
from runtime.learning.bank.grid import READ_ROWS, Selecting, project, to_grid
from runtime.learning.bank.in_slices import slices, workers
from runtime.learning.bank.radius import covering_radius
from runtime.search.full import ExactSearch
from tests.support import reference

EXACT = 2**53  # every integer up to here is a float64
FLOAT32_INTEGERS = 2**24  # and every one up to here a float32
GRID_RELATIVE = 2.0**-20  # half a grid step over the largest value, at D = 1024 the coarsest; float32 has 2^-24
FLOAT32_RELATIVE = 1e-5  # float32 sums of some hundred squares: 1e-7 each, and two orders of room
JL_PAIR = 0.35  # a projected distance strays by 1/sqrt(2 d*) = 0.063 as one sigma: 5.5 sigmas over 4,950 pairs
JL_MEAN = 0.05  # the mean over all pairs shares the points, so it strays by less than one pair's sigma


def gaussian(count: int, dimension: int, seed: int) -> np.ndarray:
    """Return points without structure."""
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


def clusters(count: int, dimension: int, seed: int) -> np.ndarray:
    """Return points in 30 clusters, as patches of real pictures are."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((30, dimension)) * 5
    points = centres[random.integers(30, size=count)] + random.standard_normal((count, dimension))
    return points.astype(np.float32)


def far_away(count: int, dimension: int, seed: int) -> np.ndarray:
    """Return points so far from the origin that a float32 product says nothing about their distances."""
    return gaussian(count, dimension, seed) + np.float32(3e4)


def hubs(count: int, dimension: int, seed: int) -> np.ndarray:
    """Return tight groups of very different sizes and widths, where most points are out of reach of a new entry."""
    random = np.random.default_rng(seed)
    group = random.zipf(1.5, size=count) % 50
    points = 100 * random.standard_normal((50, dimension))[group]
    return (points + random.standard_normal((count, dimension)) / (1 + group[:, None])).astype(np.float32)


def lattice(*sides: int) -> np.ndarray:
    """Return the points of a lattice in a random order."""
    points = np.array(list(itertools.product(*(range(side) for side in sides))), dtype=np.float32)
    return np.random.default_rng(3).permutation(points)


def assert_same_as_plain_loop(points: np.ndarray, size: int, first: int) -> None:
    """Compare the block selection with the plain loop on the same grid."""
    grid = to_grid(points)
    assert farthest_first(grid, size, first).tolist() == reference.farthest_first(grid, size, first)


@pytest.mark.parametrize("seed", range(5))
def test_selection_equals_the_plain_loop(seed: int):
    """The block selection takes the rows that plain greedy takes, in the same order."""
    points = gaussian(1500, 16, seed)
    assert_same_as_plain_loop(points, 400, first=seed * 17)


@pytest.mark.parametrize(("make", "dimension"), [(gaussian, 3), (clusters, 24), (far_away, 8), (hubs, 16)])
def test_selection_equals_the_plain_loop_over_many_blocks(make, dimension: int):
    """With several thousand points, so that one block of candidates is a small part, the rows are still the same."""
    assert_same_as_plain_loop(make(6000, dimension, seed=11), 900, first=5999)


@pytest.fixture(params=["plain", "avx2", "vnni"])
def loops(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the selection use the loops for an instruction set."""
    if not _selection.use(request.param):
        pytest.skip(f"this processor has no {request.param}")
    yield
    _selection.use("")


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("dimension", [1, 7, 64, 129])
def test_every_instruction_set_gives_the_plain_loop(dimension: int):
    """Whatever the processor has, odd dimensions and whole blocks of them: the rows are those of plain greedy."""
    assert_same_as_plain_loop(clusters(1500, dimension, seed=dimension), 300, first=3)


@pytest.mark.usefixtures("loops")
def test_no_product_of_the_longest_vectors_overflows():
    """Points all around, each as far from the first as any: their products are the largest that there can be."""
    around = gaussian(400, 40, seed=15)
    around /= np.abs(around).max(axis=1, keepdims=True)
    corners = np.repeat(np.sign(around), 2, axis=0) * np.linspace(0.98, 1, 800, dtype=np.float32)[:, None]
    assert_same_as_plain_loop(np.vstack([corners, -corners, np.zeros((1, 40), np.float32)]), 700, first=0)


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(40, 40), (3000,), (13, 13, 13), (2,) * 11])
def test_ties_on_a_lattice_go_to_the_lowest_row(sides: tuple[int, ...]):
    """On a lattice, where most distances have equals, every tie is decided as the plain loop decides it."""
    points = lattice(*sides)
    assert_same_as_plain_loop(points, len(points) // 3, first=7)


@pytest.mark.parametrize("count", [1, 2, 40, 700, 1500])
def test_all_points_can_be_selected(count: int):
    """With k = N every row is chosen exactly once, in the order of the plain loop."""
    points = gaussian(count, 6, seed=2)
    assert_same_as_plain_loop(points, count, first=count - 1)


@pytest.mark.parametrize(("count", "distinct"), [(60, 20), (1600, 400), (2000, 1900)])
def test_rows_that_occur_several_times_are_each_chosen_once(count: int, distinct: int):
    """With duplicates and k = N, rows at distance zero are taken in order and none is taken twice."""
    random = np.random.default_rng(4)
    points = gaussian(distinct, 5, seed=4)[random.integers(distinct, size=count)]
    assert_same_as_plain_loop(points, count, first=1)


@pytest.mark.parametrize(("count", "size"), [(5, 5), (600, 50), (2000, 30)])
def test_equal_points_give_different_rows(count: int, size: int):
    """Where all points are equal (a lens cap, say), the bank still consists of different rows."""
    assert_same_as_plain_loop(np.full((count, 4), 0.3, dtype=np.float32), size, first=3)


def test_select_repeats_itself_for_a_seed():
    """The same features and seed give the same rows; another seed gives others."""
    points = clusters(2000, 40, seed=0)
    once = select(points, 100, seed=7, projection_dim=16).places
    again = select(points.copy(), 100, seed=7, projection_dim=16).places
    other = select(points, 100, seed=8, projection_dim=16).places
    assert once.dtype == np.int64
    assert once.tobytes() == again.tobytes()
    assert set(once) != set(other)


@pytest.mark.parametrize("projection_dim", [16, None])
def test_select_among_some_rows_equals_select_on_these_alone(projection_dim: int | None):
    """The places among the given rows are those that a copy of these rows gives; features are only read."""
    points = clusters(9000, 40, seed=6)
    points.flags.writeable = False
    rows = np.flatnonzero(np.random.default_rng(6).random(9000) < 0.7)
    chosen = select(points, 200, seed=1, projection_dim=projection_dim, rows=rows).places
    assert (chosen == select(points[rows], 200, seed=1, projection_dim=projection_dim).places).all()


@pytest.mark.parametrize("projection_dim", [16, None])
def test_select_does_not_depend_on_the_number_of_threads(projection_dim: int | None):
    """With one thread and with four the same rows are chosen, in the same order."""
    points = clusters(9000, 40, seed=12)
    chosen = []
    for threads in (1, 4):
        with threadpool_limits(threads):
            chosen.append(select(points, 300, seed=2, projection_dim=projection_dim).places.tolist())
    assert chosen[0] == chosen[1]


def test_select_reads_a_mapped_file(tmp_path: Path):
    """Features in a file that is mapped for reading give the rows that they give in memory."""
    points = clusters(6000, 40, seed=13)
    np.save(tmp_path / "features.npy", points)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    chosen = select(mapped, 100, seed=3, projection_dim=16).places
    assert chosen.tolist() == select(points, 100, seed=3, projection_dim=16).places.tolist()


def test_select_without_projection_is_greedy_in_the_full_space():
    """Without a projection the rows are those of plain greedy on the features, from the first row on."""
    points = clusters(800, 12, seed=1)
    rows = select(points, 80, seed=3, projection_dim=None).places
    assert rows.tolist() == reference.farthest_first(to_grid(points), 80, int(rows[0]))


@pytest.mark.parametrize("dimension", [1, 2, 3, 40, 128, 152, 1024])
def test_squared_distances_on_the_grid_are_exact(dimension: int):
    """Grid values are integers so small that float64 computes every squared distance without rounding."""
    points = gaussian(60, dimension, seed=dimension)
    points /= np.abs(points).max()
    points[0], points[1] = np.nextafter(np.float32(1), np.float32(0)), -np.nextafter(np.float32(1), np.float32(0))
    grid = to_grid(points)
    assert grid.dtype == np.float32
    assert (grid == np.rint(grid)).all()
    assert np.abs(grid).max() <= FLOAT32_INTEGERS
    grid = grid.astype(np.float64)
    whole = grid.astype(np.int64)
    true = ((whole[:, None] - whole) ** 2).sum(axis=2)
    norms = (grid**2).sum(axis=1)
    assert true.max() <= EXACT
    assert (norms[:, None] + norms - 2 * grid @ grid.T == true).all()


@pytest.mark.parametrize("scale", [1e-20, 1.0, 3e7])
def test_the_grid_is_about_as_fine_as_float32(scale: float):
    """Rounding to the grid moves no value by more than some 1e-6 of the largest, whatever the scale of the features."""
    points = gaussian(200, 1024, seed=0) * np.float32(scale)
    grid = to_grid(points.copy()).astype(np.float64)
    largest = float(np.abs(points).max())
    step = 2.0 ** np.round(np.log2(largest / np.abs(grid).max()))
    assert np.abs(grid * step - points.astype(np.float64)).max() <= GRID_RELATIVE * largest


def test_projection_keeps_distances_roughly():
    """The random projection changes a distance by some percent, and distances on the whole not at all."""
    points = gaussian(100, 1024, seed=5)
    projected = project(points, np.arange(100), 128, np.random.default_rng(6))
    pairs = np.triu_indices(100, k=1)
    ratio = reference.distances(projected, projected)[pairs] / reference.distances(points, points)[pairs]
    assert projected.shape == (100, 128)
    assert np.abs(ratio - 1).max() < JL_PAIR
    assert abs(ratio.mean() - 1) < JL_MEAN


def test_covering_radius_is_the_largest_distance_to_the_bank():
    """The covering radius is the distance of the feature that the bank represents worst."""
    points = clusters(5000, 20, seed=9)
    bank = points[::50]
    assert covering_radius(points, ExactSearch(bank)) == pytest.approx(
        reference.covering_radius(points, bank), rel=FLOAT32_RELATIVE
    )


def test_covering_radius_finds_a_single_outlier_in_the_last_rows():
    """One feature far away decides the covering radius, also at the very end of the features."""
    points = np.zeros((9000, 3), dtype=np.float32)
    points[-1] = (3, 4, 0)
    assert covering_radius(points, ExactSearch(points[:1])) == 5.0


@pytest.mark.parametrize("knows", [True, False])
def test_covering_radius_is_measured_as_scores_are(*, knows: bool):
    """With divisors the radius is the largest divided distance; entries that are known to be near do not change it."""
    points = clusters(5000, 20, seed=9)
    bank = points[::50]
    divisors = np.random.default_rng(1).uniform(0.5, 4, len(bank)).astype(np.float32)
    near = np.arange(5000, dtype=np.int32) // 50
    exact = np.linalg.norm(points[:, None].astype(np.float64) - bank, axis=2) / divisors
    found = covering_radius(
        points, ExactSearch(bank, divisors), known=(bank, near) if knows else None, divisors=divisors
    )
    assert found == pytest.approx(exact.min(axis=1).max(), rel=FLOAT32_RELATIVE)


def test_covering_radius_of_some_rows_ignores_the_others():
    """Features that are not among the given rows do not count."""
    points = clusters(6000, 20, seed=14)
    rows = np.arange(0, 6000, 3)
    points[1] = 1e3
    assert covering_radius(points, ExactSearch(points[:60]), rows) == pytest.approx(
        reference.covering_radius(points[rows], points[:60]), rel=FLOAT32_RELATIVE
    )


def test_coreset_covers_better_than_random_rows():
    """The coreset leaves no feature as far from the bank as a random choice of the same size does."""
    points = clusters(4000, 20, seed=10)
    random = np.random.default_rng(0)
    chosen = covering_radius(points, ExactSearch(points[select(points, 200, seed=0, projection_dim=None).places]))
    by_chance = [
        covering_radius(points, ExactSearch(points[random.choice(4000, 200, replace=False)])) for _ in range(5)
    ]
    assert chosen < min(by_chance)


class Parts:
    """Points in parts, which are told that there are more or fewer of them: so they offer fewer or more points."""

    def __init__(self, points: np.ndarray, count: int, pretended: int, how: Selecting, pool: ThreadPoolExecutor):
        self.parts = pretended
        places = np.array_split(np.random.default_rng(5).permutation(len(points)), count)
        self._parts = [
            Choosing(points, rows, rows, slices(len(rows), READ_ROWS), how, pool) for rows in map(np.sort, places)
        ]

    def tell(self, change):
        for part in self._parts:
            change(part)

    def ask(self, question):
        return [question(part) for part in self._parts]


@pytest.mark.parametrize("pretended", [1, 8, 256, 1 << 20])
@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize(
    "points", [hubs(700, 8, 9), lattice(9, 9, 9), np.repeat(gaussian(150, 4, 9), 4, axis=0)], ids=len
)
def test_any_offer_of_any_parts_gives_the_plain_loop(points: np.ndarray, count: int, pretended: int):
    """From 512 points down to one, offered by one part or many, with ties and copies: the rows are the same."""
    size = 2 * len(points) // 5
    grid, how = to_grid(points.copy()), Selecting(size, None)
    with workers() as pool:
        rows = choose(Parts(grid.copy(), count, pretended, how, pool), 7, how)
    assert rows.tolist() == reference.farthest_first(grid, size, 7)


def test_offers_shrink_with_the_number_of_parts():
    """One part offers 512 points, eight 128 each, 256 (64 workers) 13 each, and never none."""
    assert [offered(parts) for parts in (1, 8, 256, 1 << 30)] == [512, 128, 13, 1]


def test_what_a_part_knows_follows_from_what_it_was_told():
    """A part that takes over is told the entries again, but not asked again: it knows the same."""
    points = to_grid(clusters(3000, 12, seed=17))
    rows, order = np.arange(len(points)), farthest_first(points.copy(), 400, 0)
    with workers() as pool:
        asked, told = (Chosen(points, rows, Old(400, 12), pool) for _ in range(2))
        for entries in np.split(order, [1, 40, 80, 200]):
            for one in (asked, told):
                one.add(Entries(entries, points[entries]), 100)
            assert len(asked.offer(100).rows) >= 100
    assert asked.distances.tobytes() == told.distances.tobytes()
    assert asked.nearest.tobytes() == told.nearest.tobytes()
