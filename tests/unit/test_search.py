"""The three searches: what each finds, and that the largest distance is always the true one."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from edge_config.errors import BundleIndexInvalid
from export.index import EF_STEPS, WANTED_RECALL, build_index, choose_ef, recall_at_1
from runtime.frame import Neighbours
from runtime.search import ExactSearch, GraphSearch, TopExactSearch
from tests import reference

FLOAT32_RELATIVE = 1e-5  # float32 sums of some dozen squares: 1e-7 each, and two orders of room
SAME_ENTRY = 1e-4  # relative: two entries this close in distance may change places by rounding
PROMISED_RECALL = 0.99


class BadGraph:
    """A search that gives the true distance of any entry at all: never too small, often far too large."""

    def __init__(self, bank: np.ndarray, random: np.random.Generator) -> None:
        self._bank = bank
        self._random = random

    def __call__(self, features: np.ndarray) -> Neighbours:
        """Give any entry for each patch."""
        index = self._random.integers(len(self._bank), size=len(features))
        return Neighbours(np.linalg.norm(features - self._bank[index], axis=1), index)


class Overshooting:
    """A search that adds to the true distance: nothing to some patches, up to `most` to the others."""

    def __init__(self, bank: np.ndarray, random: np.random.Generator, most: int) -> None:
        self._exact = ExactSearch(bank)
        self._entries = len(bank)
        self._random = random
        self._most = most

    def __call__(self, features: np.ndarray) -> Neighbours:
        """Give for each patch any entry, at a distance that is too large or right."""
        count = len(features)
        too_much = self._random.integers(0, self._most + 1, size=count) * self._random.integers(0, 2, size=count)
        distance = self._exact(features).distance + too_much.astype(np.float32)
        return Neighbours(distance, self._random.integers(self._entries, size=count))


class Counted:
    """A search that counts the patches it is asked for."""

    def __init__(self, search) -> None:
        self._search = search
        self.patches = 0

    def __call__(self, features: np.ndarray) -> Neighbours:
        """Count and pass on."""
        self.patches += len(features)
        return self._search(features)


def clusters(count: int, dimension: int, seed: int) -> np.ndarray:
    """Give points in 40 clusters, the same clusters for every seed."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((40, dimension)) * 4
    return (centres[random.integers(40, size=count)] + random.standard_normal((count, dimension))).astype(np.float32)


@pytest.fixture(scope="module")
def bank() -> np.ndarray:
    """Give a bank in clusters."""
    return clusters(2500, 40, seed=1)


@pytest.fixture(scope="module")
def index(bank):
    """Give the graph over it."""
    return build_index(bank)


@pytest.mark.parametrize("patches", [1, 256, 700])
def test_exact_search_finds_the_nearest_entry(bank, patches: int):
    """The exact search gives each patch's smallest distance and an entry at that distance."""
    features = clusters(patches, 40, seed=2)
    found = ExactSearch(bank)(features)
    true = reference.distances(features, bank)
    assert found.distance.dtype == np.float32
    assert found.index.dtype == np.int64
    np.testing.assert_allclose(found.distance, true.min(axis=1), rtol=FLOAT32_RELATIVE)
    np.testing.assert_allclose(found.distance, true[np.arange(patches), found.index], rtol=FLOAT32_RELATIVE)


def test_exact_search_gives_zero_for_an_entry_itself(bank):
    """A patch that equals an entry has a distance of exactly zero: no cancellation is left over."""
    found = ExactSearch(bank)(bank[::5])
    assert (found.distance == 0).all()
    assert (found.index == np.arange(0, len(bank), 5)).all()


@pytest.mark.parametrize("ef", [1, 4, 64])
def test_graph_search_is_never_below_the_true_distance(bank, index, ef: int):
    """The graph gives distances (not squares) of real entries, so none is below the true one."""
    features = clusters(600, 40, seed=3)
    found = GraphSearch(index, ef=ef)(features)
    true = reference.distances(features, bank)
    np.testing.assert_allclose(found.distance, true[np.arange(600), found.index], rtol=FLOAT32_RELATIVE)
    assert (found.distance >= true.min(axis=1) * (1 - FLOAT32_RELATIVE)).all()


def test_graph_search_finds_the_same_after_saving_and_loading(index, tmp_path):
    """An index that was saved and loaded gives the same neighbours, with the ef that was asked for."""
    index.save_index(str(tmp_path / "index.hnsw"))
    features = clusters(300, 40, seed=4)
    loaded = GraphSearch.load(tmp_path / "index.hnsw", dimension=40, ef=1)(features)  # hnswlib's own default is 10
    fresh = GraphSearch(index, ef=1)(features)
    assert loaded.distance.tobytes() == fresh.distance.tobytes()
    assert loaded.index.tobytes() == fresh.index.tobytes()


def test_a_file_that_hnswlib_refuses_is_named(tmp_path):
    """A file that is no index gives an error that names it."""
    path = tmp_path / "index.hnsw"
    path.write_bytes(b"\0" * 50)
    with pytest.raises(BundleIndexInvalid, match=r"index\.hnsw"):
        GraphSearch.load(path, dimension=40, ef=16)


def recall(index, ef: int, features: np.ndarray, bank: np.ndarray) -> float:
    """Give the share of patches for which the graph finds an entry that is as near as the nearest."""
    true = reference.distances(features, bank)
    found = true[np.arange(len(features)), GraphSearch(index, ef=ef)(features).index]
    return float((found <= true.min(axis=1) * (1 + SAME_ENTRY)).mean())


def test_recall_of_the_chosen_ef_keeps_the_promise(bank, index):
    """With the ef chosen on some patches, other patches find their nearest entry as often as promised."""
    queries, fresh = clusters(800, 40, seed=5), clusters(800, 40, seed=6)
    exact = ExactSearch(bank)
    chosen = choose_ef(index, [queries], exact)
    assert chosen.recall_at_1 >= PROMISED_RECALL
    assert recall_at_1(GraphSearch(index, ef=chosen.ef)(fresh), exact(fresh)) >= PROMISED_RECALL
    assert recall(index, chosen.ef, fresh, bank) >= PROMISED_RECALL


def test_ef_is_the_smallest_step_with_the_wanted_recall():
    """On features without structure, which are hard to search, ef grows until the recall is reached, and no further."""
    random = np.random.default_rng(1)
    bank, queries = (random.standard_normal((count, 40)).astype(np.float32) for count in (2500, 800))
    index = build_index(bank)
    chosen = choose_ef(index, [queries], ExactSearch(bank))
    recalls = [recall(index, ef, queries, bank) for ef in EF_STEPS]
    assert chosen.ef == next(ef for ef, each in zip(EF_STEPS, recalls, strict=True) if each >= WANTED_RECALL)
    assert chosen.ef > EF_STEPS[0]
    assert chosen.recall_at_1 == pytest.approx(recalls[EF_STEPS.index(chosen.ef)])


@given(
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 30), st.integers(1, 6)),
    span=st.sampled_from([1, 3, 100]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=200)
def test_the_top_of_a_bad_graph_is_exact(sizes: tuple[int, int, int], span: int, seed: int):
    """However bad the graph, the largest distance, its patch and its entry equal those of the exact search, ties too.

    Whole numbers keep float32 free of rounding, so equal means equal.
    """
    patches, entries, dimension = sizes
    random = np.random.default_rng(seed)
    features = random.integers(-span, span + 1, size=(patches, dimension)).astype(np.float32)
    bank = random.integers(-span, span + 1, size=(entries, dimension)).astype(np.float32)
    exact = ExactSearch(bank)(features)
    found = TopExactSearch(BadGraph(bank, random), ExactSearch(bank))(features)
    top = int(np.argmax(exact.distance))
    assert int(np.argmax(found.distance)) == top
    assert found.distance[top] == exact.distance[top]
    assert found.index[top] == exact.index[top]
    assert (found.distance >= exact.distance).all()


@given(
    features=arrays(np.float32, (12, 5), elements=st.floats(-50, 50, width=32)),
    bank=arrays(np.float32, (9, 5), elements=st.floats(-50, 50, width=32)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=100)
def test_the_largest_distance_of_a_bad_graph_is_true_for_any_numbers(features, bank, seed: int):
    """With any features the largest distance is the true one but for rounding, and its patch lies that far away."""
    found = TopExactSearch(BadGraph(bank, np.random.default_rng(seed)), ExactSearch(bank))(features)
    true = reference.distances(features, bank).min(axis=1)
    rounding = FLOAT32_RELATIVE * float(np.abs(features).max() + np.abs(bank).max() + 1)
    # |a|^2 + |b|^2 - 2ab cancels: a squared distance is known to the rounding of the squares
    loose = np.sqrt(true.max() ** 2 + rounding * 100) - true.max() + rounding
    top = int(np.argmax(found.distance))
    assert abs(found.distance[top] - true.max()) <= loose
    assert true[top] >= true.max() - loose


def test_the_top_of_the_real_graph_is_exact(bank, index):
    """With a graph that is searched too hastily, frame after frame still ends with the true largest distance."""
    hasty = GraphSearch(index, ef=1)
    search, exact = TopExactSearch(hasty, ExactSearch(bank)), ExactSearch(bank)
    overshot = 0
    for seed in range(40):
        features = clusters(100, 40, seed=100 + seed)
        true, found = exact(features), search(features)
        top = int(np.argmax(true.distance))
        overshot += hasty(features).distance.max() > true.distance.max() * (1 + SAME_ENTRY)
        assert int(np.argmax(found.distance)) == top
        assert found.index[top] == true.index[top]
        assert found.distance[top] == pytest.approx(true.distance[top], rel=FLOAT32_RELATIVE)
    assert overshot  # otherwise the case is too easy to show anything


@pytest.mark.parametrize("k", [1, 7])
def test_top_exact_search_ends_after_each_patch_at_most_once(bank, k: int):
    """The search ends, also where every graph distance is infinite: no patch is searched exactly twice."""
    features = clusters(60, 40, seed=7)
    exact = Counted(ExactSearch(bank))

    def lost(features: np.ndarray) -> Neighbours:
        return Neighbours(np.full(len(features), np.inf, dtype=np.float32), np.zeros(len(features), dtype=np.int64))

    found = TopExactSearch(lost, exact, k)(features)
    assert exact.patches == 60
    np.testing.assert_allclose(found.distance, reference.distances(features, bank).min(axis=1), rtol=FLOAT32_RELATIVE)


def test_top_exact_search_needs_one_exact_search_behind_a_good_graph(bank):
    """Where the graph is right, one patch in a frame is compared with the whole bank."""
    exact = Counted(ExactSearch(bank))
    TopExactSearch(ExactSearch(bank), exact)(clusters(200, 40, seed=8))
    assert exact.patches == 1


def test_top_exact_search_leaves_what_the_graph_gave(bank):
    """The neighbours that the graph returned stay as they were; refining works on a copy."""
    given_by_graph = BadGraph(bank, np.random.default_rng(0))(features := clusters(50, 40, seed=9))
    before = given_by_graph.distance.copy(), given_by_graph.index.copy()
    TopExactSearch(lambda _: given_by_graph, ExactSearch(bank))(features)
    assert (given_by_graph.distance == before[0]).all()
    assert (given_by_graph.index == before[1]).all()


def largest(found: Neighbours, k: int) -> list[tuple[int, float, int]]:
    """Give patch, distance and entry of the k largest distances, the first of equals."""
    order = sorted(range(len(found.distance)), key=lambda patch: (-found.distance[patch], patch))[:k]
    return [(patch, float(found.distance[patch]), int(found.index[patch])) for patch in order]


@given(
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 30), st.integers(1, 6)),
    span=st.sampled_from([1, 3, 100]),
    most=st.sampled_from([0, 1, 30, 10_000]),
    k=st.integers(1, 45),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=300)
def test_the_k_on_top_are_exact_whatever_the_graph_overshoots(
    sizes: tuple[int, int, int], span: int, most: int, k: int, seed: int
):
    """The k largest distances, their patches and entries are those of the exact search, also for k beyond all patches.

    Whole numbers keep the comparisons free of rounding; with a span of 1 most distances are ties.
    """
    patches, entries, dimension = sizes
    random = np.random.default_rng(seed)
    features = random.integers(-span, span + 1, size=(patches, dimension)).astype(np.float32)
    bank = random.integers(-span, span + 1, size=(entries, dimension)).astype(np.float32)
    exact = ExactSearch(bank)(features)
    found = TopExactSearch(Overshooting(bank, random, most), ExactSearch(bank), k)(features)
    assert largest(found, k) == largest(exact, k)
    assert (found.distance >= exact.distance).all()


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_mean_of_the_largest_is_exact_behind_the_real_graph(bank, index, k: int):
    """With a graph that is searched too hastily, the k largest distances are still the true ones."""
    hasty, exact = GraphSearch(index, ef=1), ExactSearch(bank)
    overshot = 0
    for seed in range(20):
        features = clusters(100, 40, seed=200 + seed)
        true = np.sort(reference.distances(features, bank).min(axis=1))[-k:]
        found = TopExactSearch(hasty, exact, k)(features)
        np.testing.assert_allclose(np.sort(found.distance)[-k:], true, rtol=FLOAT32_RELATIVE)
        overshot += np.sort(hasty(features).distance)[-k:].sum() > true.sum() * (1 + SAME_ENTRY)
    assert overshot  # otherwise the case is too easy to show anything


@pytest.mark.parametrize("k", [60, 61, 1000])
def test_with_k_beyond_the_patches_every_patch_is_exact(bank, k: int):
    """Where all patches decide, each is compared with the bank once, and all distances are true."""
    features = clusters(60, 40, seed=10)
    exact = Counted(ExactSearch(bank))
    found = TopExactSearch(BadGraph(bank, np.random.default_rng(0)), exact, k)(features)
    assert exact.patches == 60
    np.testing.assert_allclose(found.distance, reference.distances(features, bank).min(axis=1), rtol=FLOAT32_RELATIVE)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_no_more_than_k_exact_searches_behind_a_good_graph(bank, k: int):
    """Where the graph is right, just the k patches that decide are compared with the whole bank."""
    exact = Counted(ExactSearch(bank))
    TopExactSearch(ExactSearch(bank), exact, k)(clusters(200, 40, seed=11))
    assert exact.patches == k


@pytest.mark.parametrize("level", [0.0, 2.0])
@pytest.mark.parametrize("k", [1, 3, 50, 80])
def test_ties_end_and_the_first_are_taken(k: int, level: float):
    """Where all patches are equally far, the search ends after the first k, and those are what counts."""
    bank = np.zeros((5, 4), dtype=np.float32)
    features = np.full((50, 4), level, dtype=np.float32)
    exact = Counted(ExactSearch(bank))
    found = TopExactSearch(ExactSearch(bank), exact, k)(features)
    assert exact.patches == min(k, 50)
    assert (found.distance == 2 * level).all()
    lost = TopExactSearch(Overshooting(bank, np.random.default_rng(0), 1), ExactSearch(bank), k)(features)
    assert largest(lost, k) == [(patch, 2 * level, 0) for patch in range(min(k, 50))]
