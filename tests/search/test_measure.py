"""Distances divided by the spacing of the bank: what is found is what a comparison with every entry finds."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from edge_config.bundle import arrays
from edge_config.errors import BundleShapeMismatch
from runtime.frame import Neighbours, Tier
from runtime.scoring.score import ScoreFrame
from runtime.search.full import ExactSearch, all_of, distances
from runtime.search.history import History
from runtime.search.lazy import LazySearch
from runtime.search.measure import Measure, plain, read_measure, write_measure
from runtime.search.pruned import PrunedSearch
from tests.support import reference
from tests.support.clusters import clusters

FLOAT32_RELATIVE = 1e-5  # float32 sums of some hundred squares: 1e-7 each, and an order of room
FEW = 0.1  # share of a bank that is left to compare where it lies along few axes


def make_divisors(kind: str, count: int, random: np.random.Generator) -> np.ndarray:
    """Return divisors: nearly `even`, of `two` values, of which many are equal, or over `orders` of magnitude."""
    if kind == "two":
        return random.choice(np.float32([0.5, 2]), count)
    span = {"even": 0.2, "orders": 3.0, "extreme": 18.0}[kind]
    return (10.0 ** random.uniform(-span, span, count)).astype(np.float32)


def make_numbers(
    shape: tuple[int, int], offset: float, step: float, span: int, random: np.random.Generator
) -> np.ndarray:
    """Return rows on a grid: a coarse one has many ties, and far from zero products cancel."""
    return (offset + step * random.integers(-span, span + 1, size=shape)).astype(np.float32)


def all_apart(features: np.ndarray, bank: np.ndarray, divisors: np.ndarray) -> np.ndarray:
    """Return all distances as computed, float32 [patches, k]."""
    return np.array([distances(feature, bank, divisors=divisors) for feature in features])


def check_true(found: np.ndarray, features: np.ndarray, bank: np.ndarray, divisors: np.ndarray) -> None:
    """Hold smallest distances against float64: the definition, and nothing of the product."""
    true = (reference.distances(features, bank) / divisors.astype(np.float64)).min(axis=1)
    np.testing.assert_allclose(found, true, rtol=FLOAT32_RELATIVE)


DRAWN = {
    "divided": st.sampled_from(["even", "two", "orders"]),
    "offset": st.sampled_from([0.0, 1e3, -3e4]),
    "step": st.sampled_from([1.0, 0.125, 1e-3]),
    "span": st.sampled_from([1, 3, 100]),
    "seed": st.integers(0, 2**32 - 1),
}


@given(sizes=st.tuples(st.integers(1, 20), st.integers(1, 40), st.sampled_from([1, 2, 5, 40])), **DRAWN)
@settings(deadline=None, max_examples=100)
def test_the_exact_search_finds_the_smallest_divided_distance(
    sizes: tuple[int, int, int], divided: str, offset: float, step: float, span: int, seed: int
):
    """Of all entries the exact search gives the one with the smallest divided distance, the lowest of equals."""
    patches, entries, dimension = sizes
    random = np.random.default_rng(seed)
    features, bank = (make_numbers((count, dimension), offset, step, span, random) for count in (patches, entries))
    divisors = make_divisors(divided, entries, random)
    found = ExactSearch(bank, divisors)(features)
    apart = all_apart(features, bank, divisors)
    assert found.distance.tobytes() == apart.min(axis=1).tobytes()
    assert found.index.tolist() == apart.argmin(axis=1).tolist()
    check_true(found.distance, features, bank, divisors)


@pytest.mark.slow
@given(
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 60), st.sampled_from([1, 2, 5, 40])),
    away=st.sampled_from([0.0, 1.0, 1e4]),
    **DRAWN,
)
@settings(deadline=None, max_examples=150)
def test_any_start_leads_to_the_smallest_divided_distance(
    sizes: tuple[int, int, int], away: float, divided: str, offset: float, step: float, span: int, seed: int
):
    """From every known entry the pruned search ends at the smallest divided distance, bit for bit, its first entry."""
    patches, entries, dimension = sizes
    random = np.random.default_rng(seed)
    features, bank = (make_numbers((count, dimension), offset, step, span, random) for count in (patches, entries))
    features += np.float32(away)
    divisors = make_divisors(divided, entries, random)
    search = PrunedSearch(bank, divisors=divisors)
    apart = all_apart(features, bank, divisors)
    for feature, row in zip(features, apart, strict=True):
        starts = np.arange(entries)
        found = all_of(Tier.GRAPH, row.copy(), starts)
        search.settle(np.repeat(feature[None], entries, axis=0), found, k=entries)
        assert set(found.distance.tolist()) == {float(row.min())}
        assert set(found.index.tolist()) == {int(row.argmin())}
    check_true(apart.min(axis=1), features, bank, divisors)


class AnyGraph:
    """A graph that proposes any entry at all."""

    def __init__(self, bank: np.ndarray, random: np.random.Generator) -> None:
        self._entries, self._random = len(bank), random

    def __call__(self, features: np.ndarray) -> Neighbours:
        index = self._random.integers(self._entries, size=len(features))
        return all_of(Tier.GRAPH, np.zeros(len(features), np.float32), index)


def next_frame(kind: str, last: np.ndarray, bank: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the frame after `last`: `unrelated`, the `same`, a little `changed`, or made of `entries`."""
    if kind == "same":
        return last.copy()
    if kind == "entries":
        return bank[random.integers(len(bank), size=len(last))]
    noise = random.standard_normal(last.shape).astype(np.float32)
    return last + noise * np.float32(1e-3) if kind == "changed" else noise + bank.mean(axis=0)


@pytest.mark.slow
@given(
    frames=st.lists(st.sampled_from(["unrelated", "same", "changed", "entries"]), min_size=1, max_size=5),
    grid_hw=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    bank_shape=st.tuples(st.integers(1, 60), st.sampled_from([1, 3, 6, 40, 150])),
    repeats=st.booleans(),
    k=st.integers(1, 8),
    beside=st.booleans(),
    some=st.booleans(),
    share=st.sampled_from([0.0, 0.5, 0.9, 1.0, 1.5]),
    **DRAWN,
)
@settings(deadline=None, max_examples=250)
def test_what_decides_is_exact_in_any_measure(
    frames: list[str],
    grid_hw: tuple[int, int],
    bank_shape: tuple[int, int],
    repeats: bool,  # noqa: FBT001 - drawn
    k: int,
    beside: bool,  # noqa: FBT001 - drawn
    some: bool,  # noqa: FBT001 - drawn
    share: float,
    divided: str,
    offset: float,
    step: float,
    span: int,
    seed: int,
):
    """For any frames in a row, histories and regions, what decides is what a comparison with every entry finds.

    So are, on request, all patches over a threshold, and which ones lie over it; no distance is below the true one.
    """
    random = np.random.default_rng(seed)
    bank = make_numbers(bank_shape, offset, step, span, random)
    bank = bank[random.integers(max(1, len(bank) // 3), size=len(bank))] if repeats else bank
    divisors = make_divisors(divided, len(bank), random)
    table = random.integers(len(bank), size=(len(bank), 3)).astype(np.int32) if beside else None
    exact = PrunedSearch(bank, table, divisors)
    search = LazySearch(AnyGraph(bank, random), bank, exact, k, History(grid_hw))
    patches = grid_hw[0] * grid_hw[1]
    features = make_numbers((patches, bank_shape[1]), offset, step, span, random)
    for kind in frames:
        features = next_frame(kind, features, bank, random)
        active = random.integers(2, size=patches).astype(bool) if some else None
        if active is not None:
            active[random.integers(patches)] = True
        found = search(features, active)
        judged = np.ones(patches, dtype=bool) if active is None else active
        apart = all_apart(features, bank, divisors)
        true = np.where(judged, apart.min(axis=1), 0)
        assert np.sort(found.distance)[-k:].tobytes() == np.sort(true)[-k:].tobytes()
        top = int(np.argmax(true))
        assert int(np.argmax(found.distance)) == top
        assert found.index[top] == apart[top].argmin() or not judged[top]
        own = apart[np.arange(patches), found.index]
        assert (found.distance >= true).all()
        assert found.distance[judged].tobytes() == own[judged].tobytes()
        check_true(apart.min(axis=1), features, bank, divisors)
        at_least = float(np.float32(share * true.max()))
        told = Neighbours(found.distance.copy(), found.index.copy(), found.tier.copy(), active)
        search.tell_apart(features, told, at_least)
        assert (told.distance >= at_least).tolist() == (true >= at_least).tolist()
        search.refine(features, found, at_least)
        over = (true >= at_least) & judged
        assert found.distance[over].tobytes() == true[over].tobytes()
        assert found.index[over].tolist() == apart.argmin(axis=1)[over].tolist()
        assert (found.distance < at_least)[judged & ~over].all()


@given(
    entries=st.integers(1, 40),
    dimension=st.sampled_from([1, 5, 30]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=100)
def test_divisors_of_any_size_hide_nothing(entries: int, dimension: int, seed: int):
    """With divisors from 1e-18 to 1e18 both searches still find the first of the smallest distances as computed."""
    random = np.random.default_rng(seed)
    features, bank = (random.standard_normal((count, dimension)).astype(np.float32) for count in (4, entries))
    divisors = make_divisors("extreme", entries, random)
    apart = all_apart(features, bank, divisors)
    start = random.integers(entries, size=4)
    found = all_of(Tier.GRAPH, apart[np.arange(4), start], start)
    PrunedSearch(bank, divisors=divisors).settle(features, found, k=4)
    for index in (found.index, ExactSearch(bank, divisors)(features).index):
        assert index.tolist() == apart.argmin(axis=1).tolist()


def test_divisors_of_one_change_nothing():
    """Divided by 1, distances and neighbours are those of the search that divides nothing, bit for bit."""
    bank, features = clusters(300, 40, seed=0), clusters(64, 40, seed=1)
    ones = np.ones(300, dtype=np.float32)
    assert distances(features[0], bank, divisors=ones).tobytes() == distances(features[0], bank).tobytes()
    for one, other in (
        (ExactSearch(bank), ExactSearch(bank, ones)),
        *((LazySearch(ExactSearch(bank), bank, PrunedSearch(bank, divisors=by), 5) for by in (None, ones)),),
    ):
        here, there = one(features), other(features)
        assert here.distance.tobytes() == there.distance.tobytes()
        assert here.index.tobytes() == there.index.tobytes()


def test_a_distance_is_divided_once():
    """A divided distance is the quotient of two float32 numbers, as float32 rounds it; rows choose their divisors."""
    bank, features = clusters(50, 40, seed=0), clusters(50, 40, seed=1)
    divisors = make_divisors("orders", 50, np.random.default_rng(0))
    rows = np.random.default_rng(1).integers(50, size=50)
    assert distances(features, bank, divisors=divisors).tobytes() == (distances(features, bank) / divisors).tobytes()
    chosen = distances(features, bank, rows, divisors)
    assert chosen.tobytes() == (distances(features, bank, rows) / divisors[rows]).tobytes()


@pytest.mark.parametrize("count", [1, 49, 51])
def test_divisors_of_another_bank_are_refused(count: int):
    """There is one divisor for each entry."""
    bank = clusters(50, 40, seed=0)
    with pytest.raises(ValueError, match="arrays of other shapes"):
        distances(bank, bank, divisors=np.ones(count, dtype=np.float32))


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_divisors_that_nothing_can_be_divided_by_are_refused(wrong: float):
    """Every divisor is a finite number above 0."""
    divisors = np.ones(50, dtype=np.float32)
    divisors[17] = wrong
    with pytest.raises(ValueError, match="divisor"):
        PrunedSearch(clusters(50, 40, seed=0), divisors=divisors)


@pytest.mark.parametrize("divided", ["two", "even"])
def test_most_entries_are_excluded_in_groups(divided: str):
    """Where a bank varies along few axes, few entries are compared in full, whatever divides their distances."""
    random = np.random.default_rng(0)
    mixing = random.standard_normal((6, 100))
    bank, features = (
        (random.standard_normal((count, 6)) @ mixing + 0.1 * random.standard_normal((count, 100))).astype(np.float32)
        for count in (3000, 20)
    )
    divisors = make_divisors(divided, len(bank), random)
    search = PrunedSearch(bank, divisors=divisors)
    apart = all_apart(features, bank, divisors)
    starts = np.argsort(apart, axis=1)[:, 3].copy()
    found = all_of(Tier.GRAPH, apart[np.arange(20), starts], starts)
    search.settle(features, found, k=20)
    assert found.index.tolist() == apart.argmin(axis=1).tolist()
    assert len(features) <= search.compared <= FEW * len(bank) * len(features)


def test_patches_without_numbers_end_the_search_too():
    """A patch that holds NaN or overflows keeps what was known, or the first entry, and the others are found."""
    bank, divisors = np.eye(3, dtype=np.float32), np.float32([1, 2, 4])
    features = np.float32([[np.nan] * 3, [1e25] * 3, [0, 1, 0]])
    found = all_of(Tier.GRAPH, np.float32([np.nan, np.inf, 1.5]), np.array([2, 2, 0]))
    PrunedSearch(bank, divisors=divisors).settle(features, found, k=3)
    assert np.isnan(found.distance[0])
    assert found.distance[1:].tolist() == [np.inf, 0]
    assert found.index.tolist() == [2, 0, 1]


def test_squares_that_vanish_hide_nothing_divided():
    """Where squares are too small for float32, the first of the entries that seem equally near is found."""
    bank, divisors = np.float32([[0.0], [1e-25]]), np.float32([1, 3])
    found = all_of(Tier.GRAPH, np.float32([0.0]), np.array([1]))
    PrunedSearch(bank, divisors=divisors).settle(np.float32([[2e-25]]), found, k=1)
    assert (found.distance[0], found.index[0]) == (0.0, 0)


def test_a_measure_is_read_as_it_was_written(tmp_path):
    """Scale, spacing and mean come back bit for bit; distances are divided by spacing and mean together."""
    measure = Measure(np.float32([0.5, 2]), np.float32([0, 1, 3]), np.float32(1.5))
    write_measure(tmp_path / "measure.safetensors", measure)
    assert {name: array.shape for name, array in arrays.read(tmp_path / "measure.safetensors").items()} == {
        "scale": (2,),
        "spacing": (3,),
        "mean": (1,),
    }
    read = read_measure(tmp_path / "measure.safetensors", entries=3, dimension=2)
    assert read.scale.tolist() == [0.5, 2]
    assert read.divisors is not None
    assert read.divisors.tolist() == [1.5, 2.5, 4.5]
    assert plain(3, 2).divisors is None


def test_offsets_are_read_where_the_manifest_names_them(tmp_path):
    """An offset for each patch comes back bit for bit; without it, or for another grid, the file is refused."""
    path, offset = tmp_path / "measure.safetensors", np.float32([[0.5, 2], [1, -1], [3, 4]])
    write_measure(path, replace(plain(3, 2), offset=offset))
    found = read_measure(path, entries=3, dimension=2, patches=3).offset
    assert found is not None
    assert found.tolist() == offset.tolist()
    with pytest.raises(BundleShapeMismatch, match="offset"):
        read_measure(path, entries=3, dimension=2, patches=4)
    write_measure(path, replace(plain(3, 2), offset=offset * np.float32(np.inf)))
    with pytest.raises(BundleShapeMismatch, match="nothing can be measured in"):
        read_measure(path, entries=3, dimension=2, patches=3)
    write_measure(path, plain(3, 2))
    with pytest.raises(BundleShapeMismatch):
        read_measure(path, entries=3, dimension=2, patches=3)


@pytest.mark.parametrize("mode", ["paper", "max", "topk"])
def test_a_score_is_of_divided_distances_and_its_factor_of_euclidean_ones(mode: str):
    """`max` and `topk` are of quotients; the factor of `paper` is of Euclidean distances around the deciding entry."""
    bank, features = clusters(200, 20, seed=0) / 8, clusters(40, 20, seed=1) / 8
    divisors = make_divisors("even", 200, np.random.default_rng(0))
    table = reference.neighbour_table(bank, 9)
    score = ScoreFrame(bank, table.astype(np.int32), mode, 5, divisors)(features, ExactSearch(bank, divisors)(features))
    apart = reference.distances(features, bank)
    divided = apart / divisors.astype(np.float64)
    patch = int(divided.min(axis=1).argmax())
    entry = int(divided[patch].argmin())
    near = apart[patch, table[entry]]
    factor = 1 - np.exp(near[0] - np.logaddexp.reduce(near))
    largest = divided[patch, entry]
    wanted = {"paper": largest * factor, "max": largest, "topk": np.sort(divided.min(axis=1))[-5:].mean()}[mode]
    assert (score.patch, score.entry) == (patch, entry)
    assert score.value == pytest.approx(wanted, rel=FLOAT32_RELATIVE)
