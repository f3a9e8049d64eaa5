"""The two full searches: what each finds, and that a distance is one number however it is computed."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from edge_config.errors import BundleIndexInvalid
from runtime.frame import Tier
from runtime.learning.bank.index import EF_STEPS, WANTED_RECALL, build_index, choose_ef, recall_at_1
from runtime.search.full import ExactSearch, GraphSearch, distances
from tests.support import reference
from tests.support.clusters import clusters

FLOAT32_RELATIVE = 1e-5  # float32 sums of some dozen squares: 1e-7 each, and two orders of room
SAME_ENTRY = 1e-4  # relative: two entries this close in distance may change places by rounding
PROMISED_RECALL = 0.99
DIMENSIONS = [1, 3, 16, 176, 384]
PATCHES = 1600  # a grid of 40 x 40


@pytest.mark.parametrize("patches", [1, 256, 257, 700])
def test_exact_search_finds_the_nearest_entry(bank, patches: int):
    """The exact search gives each patch's smallest distance and an entry at that distance."""
    features = clusters(patches, 40, seed=2)
    found = ExactSearch(bank)(features)
    true = reference.distances(features, bank)
    assert found.distance.dtype == np.float32
    assert found.index.dtype == np.int64
    assert (found.tier == Tier.EXACT).all()
    assert found.searched == 1
    np.testing.assert_allclose(found.distance, true.min(axis=1), rtol=FLOAT32_RELATIVE)
    np.testing.assert_allclose(found.distance, true[np.arange(patches), found.index], rtol=FLOAT32_RELATIVE)


def test_exact_search_gives_zero_for_an_entry_itself(bank):
    """A patch that equals an entry has a distance of exactly zero: no cancellation is left over."""
    found = ExactSearch(bank)(bank[::5])
    assert (found.distance == 0).all()
    assert (found.index == np.arange(0, len(bank), 5)).all()


@given(
    sizes=st.tuples(st.integers(1, 30), st.integers(1, 40), st.sampled_from([1, 2, 5, 40])),
    offset=st.sampled_from([0.0, 1e3, -3e4]),
    step=st.sampled_from([1.0, 0.125, 1e-3]),
    span=st.sampled_from([1, 3, 100]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=150)
def test_exact_search_is_the_first_of_the_smallest_distances(
    sizes: tuple[int, int, int], offset: float, step: float, span: int, seed: int
):
    """Of all entries the exact search gives the one with the smallest distance as computed, the lowest of equals.

    Far from zero the products cancel, and on a coarse grid most distances are ties: neither may change the answer.
    """
    patches, entries, dimension = sizes
    random = np.random.default_rng(seed)
    features, bank = (
        (offset + step * random.integers(-span, span + 1, size=(count, dimension))).astype(np.float32)
        for count in (patches, entries)
    )
    found = ExactSearch(bank)(features)
    apart = np.array([distances(feature, bank) for feature in features])
    assert found.distance.tobytes() == apart.min(axis=1).tobytes()
    assert found.index.tolist() == apart.argmin(axis=1).tolist()
    true = reference.distances(features, bank).min(axis=1)
    np.testing.assert_allclose(found.distance, true, rtol=FLOAT32_RELATIVE)


def test_refining_what_is_exact_changes_nothing(bank):
    """Exact neighbours stay as they are, whatever is asked to be made exact."""
    features = clusters(50, 40, seed=2)
    found = ExactSearch(bank)(features)
    before = found.distance.tobytes(), found.index.tobytes(), found.tier.tobytes()
    ExactSearch(bank).refine(features, found, 0.0)
    assert (found.distance.tobytes(), found.index.tobytes(), found.tier.tobytes()) == before


@pytest.mark.parametrize("offset", [0, 1, 3])
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_distance_does_not_depend_on_what_is_computed_beside_it(dimension: int, offset: int):
    """Two vectors have one distance, bit for bit: alone, among others, broadcast, by number, or anywhere in memory.

    Scores are compared for equality between the searches, which call it in different ways.
    """
    random = np.random.default_rng(dimension)
    features, entries = (
        random.standard_normal(PATCHES * dimension + offset).astype(np.float32)[offset:].reshape(PATCHES, dimension)
        for _ in range(2)
    )
    together = distances(features, entries)
    assert together.dtype == np.float32
    some = random.permutation(PATCHES)[:300]
    assert distances(features[some], entries[some]).tobytes() == together[some].tobytes()
    assert distances(features[offset::2], entries[offset::2]).tobytes() == together[offset::2].tobytes()
    for row in some:
        wanted = together[row].tobytes()
        assert distances(features[row : row + 1], entries[row : row + 1]).tobytes() == wanted
        assert distances(features[row], entries[row : row + 1]).tobytes() == wanted
        assert distances(features[row].copy(), entries[row : row + 1].copy()).tobytes() == wanted
    whole = distances(features[0], entries)
    assert distances(np.repeat(features[:1], PATCHES, axis=0), entries).tobytes() == whole.tobytes()
    assert distances(features[0], entries[some]).tobytes() == whole[some].tobytes()
    assert distances(features[0], entries, some).tobytes() == whole[some].tobytes()
    assert distances(features[some], entries, some).tobytes() == together[some].tobytes()


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_distance_is_euclidean(dimension: int):
    """A distance is the root of the sum of squares, near zero and far from it."""
    random = np.random.default_rng(dimension)
    features, entries = (1e3 + random.standard_normal((20, dimension)) for _ in range(2))
    features, entries = features.astype(np.float32), entries.astype(np.float32)
    true = reference.distances(features, entries).diagonal()
    np.testing.assert_allclose(distances(features, entries), true, rtol=FLOAT32_RELATIVE)


@pytest.mark.slow
@pytest.mark.parametrize("ef", [1, 4, 64])
def test_graph_search_is_never_below_the_true_distance(bank, index, ef: int):
    """The graph gives distances (not squares) of real entries, so none is below the true one."""
    features = clusters(600, 40, seed=3)
    found = GraphSearch(index, ef=ef)(features)
    assert found.index.dtype == np.int64
    assert (found.tier == Tier.GRAPH).all()
    true = reference.distances(features, bank)
    np.testing.assert_allclose(found.distance, true[np.arange(600), found.index], rtol=FLOAT32_RELATIVE)
    assert (found.distance >= true.min(axis=1) * (1 - FLOAT32_RELATIVE)).all()


@pytest.mark.slow
def test_graph_search_finds_the_same_after_saving_and_loading(index, tmp_path):
    """An index that was saved and loaded gives the same neighbours, with the ef that was asked for."""
    index.save_index(str(tmp_path / "index.hnsw"))
    features = clusters(300, 40, seed=4)
    loaded = GraphSearch.load(tmp_path / "index.hnsw", dimension=40, ef=1)(features)  # hnswlib's own default is 10
    fresh = GraphSearch(index, ef=1)(features)
    assert loaded.distance.tobytes() == fresh.distance.tobytes()
    assert loaded.index.tobytes() == fresh.index.tobytes()


def test_searches_of_one_index_keep_each_its_own_ef(index):
    """A hasty and a thorough search share an index; called in turns, each finds what it would find alone."""
    features = clusters(300, 40, seed=4)
    thorough = GraphSearch(index, ef=64)
    hasty = thorough.with_ef(1)
    alone = {ef: GraphSearch(index, ef=ef)(features).index.tobytes() for ef in (1, 64)}
    assert alone[1] != alone[64]
    for _ in range(2):
        assert hasty(features).index.tobytes() == alone[1]
        assert thorough(features).index.tobytes() == alone[64]


def test_a_file_that_hnswlib_refuses_is_named(tmp_path):
    """A file that is no index gives an error that names it."""
    path = tmp_path / "index.hnsw"
    path.write_bytes(b"\0" * 50)
    with pytest.raises(BundleIndexInvalid, match=r"index\.hnsw"):
        GraphSearch.load(path, dimension=40, ef=16)


def recall(index, ef: int, features: np.ndarray, bank: np.ndarray) -> float:
    """Return the share of patches for which the graph finds an entry that is as near as the nearest."""
    true = reference.distances(features, bank)
    found = true[np.arange(len(features)), GraphSearch(index, ef=ef)(features).index]
    return float((found <= true.min(axis=1) * (1 + SAME_ENTRY)).mean())


def test_recall_of_the_chosen_ef_keeps_the_promise(bank, index):
    """With the ef chosen on some patches, other patches find their nearest entry as often as promised."""
    queries, fresh = clusters(800, 40, seed=5), clusters(800, 40, seed=6)
    exact = ExactSearch(bank)
    chosen = choose_ef(index, [queries], [exact(queries)])
    assert chosen.recall_at_1 >= PROMISED_RECALL
    assert recall_at_1(GraphSearch(index, ef=chosen.ef)(fresh), exact(fresh)) >= PROMISED_RECALL
    assert recall(index, chosen.ef, fresh, bank) >= PROMISED_RECALL


@pytest.mark.slow
def test_ef_is_the_smallest_step_with_the_wanted_recall():
    """On features without structure, which are hard to search, ef grows until the recall is reached, and no further."""
    random = np.random.default_rng(1)
    bank, queries = (random.standard_normal((count, 40)).astype(np.float32) for count in (2500, 800))
    index = build_index(bank)
    chosen = choose_ef(index, [queries], [ExactSearch(bank)(queries)])
    recalls = [recall(index, ef, queries, bank) for ef in EF_STEPS]
    assert chosen.ef == next(ef for ef, each in zip(EF_STEPS, recalls, strict=True) if each >= WANTED_RECALL)
    assert chosen.ef > EF_STEPS[0]
    assert chosen.recall_at_1 == pytest.approx(recalls[EF_STEPS.index(chosen.ef)])
