"""The search of a device: hardly anything is searched, and all that decides equals an exact search, bit for bit."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from runtime.frame import Neighbours, Tier
from runtime.learning.bank.index import build_index, neighbour_table
from runtime.scoring.score import ScoreFrame
from runtime.search.full import ExactSearch, GraphSearch, all_of, distances
from runtime.search.history import History
from runtime.search.lazy import LazySearch
from runtime.search.pruned import PrunedSearch
from tests.support import reference
from tests.support.clusters import clusters

FLOAT32_RELATIVE = 1e-5  # float32 sums of some dozen squares: 1e-7 each, and two orders of room
SMALLEST = 1e-12  # of a hypothesis' numbers; below some 1e-19 their squares are no float32 any more
LONGEST_REST = 32  # frames for which the history may be out of use: some seconds of a camera
UNLIKE = 4  # patches beyond k that are compared with the bank in a frame unlike the last one: the tables are good
WHILE_UNLIKE = 0.1  # share of frames in which the history may still be tried where it never pays
FEW_SEARCHED = 0.05  # share of the patches of a picture like the last: the k that decide, and hardly any more
B = 9
SHIFTS = [(0, 1), (1, 0), (-1, -1), (0, -2), (2, 1)]


class AnyGraph:
    """A search that gives any entry at all."""

    def __init__(self, bank: np.ndarray, random: np.random.Generator) -> None:
        self._bank = bank
        self._random = random

    def __call__(self, features: np.ndarray) -> Neighbours:
        """Return any entry for each patch, at a distance that is not even right."""
        index = self._random.integers(len(self._bank), size=len(features))
        return all_of(Tier.GRAPH, np.zeros(len(features), dtype=np.float32), index)


class FarthestGraph:
    """A search that gives the worst entry there is."""

    def __init__(self, bank: np.ndarray) -> None:
        self._bank = bank

    def __call__(self, features: np.ndarray) -> Neighbours:
        """Return the farthest entry for each patch."""
        apart = np.array([distances(feature, self._bank) for feature in features])
        return all_of(Tier.GRAPH, apart.max(axis=1), apart.argmax(axis=1))


class CountedGraph:
    """A graph that notes which patches it is asked for, and how many, call by call."""

    def __init__(self, graph) -> None:
        self._graph = graph
        self.calls: list[int] = []
        self.patches: list[bytes] = []

    def __call__(self, features: np.ndarray) -> Neighbours:
        """Note and pass on."""
        self.calls.append(len(features))
        self.patches += [feature.tobytes() for feature in features]
        return self._graph(features)


class CountedExact(PrunedSearch):
    """The exact search of patches; it notes which patches become exact, and that no patch falls back."""

    def __init__(self, bank: np.ndarray, neighbours: np.ndarray | None = None, threads: int = 1) -> None:
        super().__init__(bank, neighbours, threads=threads)
        self._entries_of_bank = len(bank)
        self.patches: list[bytes] = []
        self.listed = 0  # frames in which all was looked at that the history has

    def search(self, features: np.ndarray, **how) -> tuple[Neighbours, float]:
        """Note and pass on."""
        compared = self.compared
        self.listed += how["listed"] and len(how["known"].history) > 0
        found, decides = super().search(features, **how)
        self._note(features, found.tier == Tier.EXACT, compared)
        return found, decides

    def settle(self, features: np.ndarray, found: Neighbours, **how) -> None:
        """Note and pass on."""
        before, compared = found.tier.copy(), self.compared
        super().settle(features, found, **how)
        assert (found.tier >= before).all()
        self._note(features, (found.tier == Tier.EXACT) & (before < Tier.EXACT), compared)

    def _note(self, features: np.ndarray, new: np.ndarray, compared: int) -> None:
        assert self.compared - compared <= self._entries_of_bank * np.count_nonzero(new)  # none with an entry twice
        self.patches += [feature.tobytes() for feature in features[new]]


def make_graph(kind: str, bank: np.ndarray, random: np.random.Generator):
    """Return a graph that is `perfect`, searched too `hasty`, the `farthest` or gives `any` entry."""
    if kind == "any":
        return AnyGraph(bank, random)
    if kind == "farthest":
        return FarthestGraph(bank)
    return GraphSearch(build_index(bank), ef=1, threads=1) if kind == "hasty" else ExactSearch(bank)


def numbers(kind: str, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Return numbers: few `whole` ones, with many ties; `real`; `large`, whose products cancel; or of all `scales`."""
    if kind == "whole":
        return random.integers(-2, 3, size=shape).astype(np.float32)
    values = random.standard_normal(shape)
    if kind == "large":
        values += 1e3
    if kind == "scales":
        values *= 10.0 ** random.uniform(-6, 3, size=(shape[0], 1))
    return values.astype(np.float32)


def make_bank(kind: str, values: str, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Return a bank: `plain`, with many `repeats`, or `level`, of one entry over and over."""
    bank = numbers(values, shape, random)
    if kind == "repeats":
        return bank[random.integers(max(1, shape[0] // 3), size=shape[0])]
    return np.repeat(bank[:1], shape[0], axis=0) if kind == "level" else bank


def near(bank: np.ndarray) -> np.ndarray:
    """Return the table of entries beside each other."""
    return neighbour_table(bank, min(B, len(bank)))


def on_device(graph, bank: np.ndarray, k: int, history: History, exact: PrunedSearch | None = None) -> LazySearch:
    """Put a search together as a device does, with the table of entries beside each other."""
    return LazySearch(graph, bank, exact or PrunedSearch(bank, near(bank)), k, history)


def make_neighbours(kind: str, bank: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    """Return the entries beside each: those that are `near`, `any` at all, or `none` to look at."""
    if kind == "near":
        return reference.neighbour_table(bank, min(B, len(bank))).astype(np.int32)
    return random.integers(len(bank), size=(len(bank), B)).astype(np.int32) if kind == "any" else None


def next_frame(
    kind: str, last: np.ndarray, values: str, grid_hw: tuple[int, int], bank: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Return the frame after `last`: `unrelated`, the `same`, a little `changed`, `shifted`, or made of `entries`."""
    if kind == "unrelated":
        return numbers(values, last.shape, random)
    if kind == "entries":
        return bank[random.integers(len(bank), size=len(last))]
    if kind == "shifted":
        shift = SHIFTS[random.integers(len(SHIFTS))]
        return np.roll(last.reshape(*grid_hw, -1), shift, axis=(0, 1)).reshape(last.shape)
    changed = last.copy()
    if kind == "changed":
        rows = np.flatnonzero(random.integers(4, size=len(last)) == 0)
        noise = random.integers(-1, 2, size=(len(rows), last.shape[1]))
        changed[rows] += (noise * (1 if values == "whole" else 1e-3)).astype(np.float32)
    return changed


def check_equals_exact(features: np.ndarray, bank: np.ndarray, found: Neighbours, k: int) -> None:
    """Hold against the exact search of every patch what is promised of every frame."""
    exact = ExactSearch(bank)(features)
    top = int(np.argmax(exact.distance))
    assert np.sort(found.distance)[-k:].tobytes() == np.sort(exact.distance)[-k:].tobytes()
    assert int(np.argmax(found.distance)) == top
    assert found.index[top] == exact.index[top]
    assert largest(found, k) == largest(exact, k)
    assert found.distance.dtype == np.float32
    assert (found.distance >= exact.distance).all()
    assert found.distance.tobytes() == distances(features, bank[found.index]).tobytes()
    done = found.tier == Tier.EXACT
    assert (found.distance == exact.distance)[done].all()
    assert (found.index == exact.index)[done].all()


def check_refined(features: np.ndarray, bank: np.ndarray, found: Neighbours, at_least: float) -> None:
    """Hold against the exact search what is promised from a distance of `at_least` on."""
    exact = ExactSearch(bank)(features)
    over = exact.distance >= at_least
    assert (found.distance >= at_least).tolist() == over.tolist()
    assert found.distance[over].tobytes() == exact.distance[over].tobytes()
    assert found.index[over].tolist() == exact.index[over].tolist()


def check_told_apart(
    search: LazySearch, features: np.ndarray, bank: np.ndarray, found: Neighbours, at_least: float
) -> None:
    """Hold against the exact search which patches are said to be `at_least` so far away; `found` stays as it is."""
    told = Neighbours(found.distance.copy(), found.index.copy(), found.tier.copy())
    search.tell_apart(features, told, at_least)
    exact = ExactSearch(bank)(features)
    assert (told.distance >= np.float32(at_least)).tolist() == (exact.distance >= np.float32(at_least)).tolist()
    assert told.distance.tobytes() == distances(features, bank[told.index]).tobytes()
    assert (told.distance <= found.distance).all()
    assert (told.tier >= found.tier).all()
    assert (told.distance == found.distance)[found.tier == Tier.EXACT].all()


def check_scores(features: np.ndarray, bank: np.ndarray, found: Neighbours, k: int) -> None:
    """Hold the scores of all modes against those that an exact search gives."""
    exact = ExactSearch(bank)(features)
    table = reference.neighbour_table(bank, min(B, len(bank))).astype(np.int32)
    for mode in ("paper", "max", "topk"):
        score = ScoreFrame(bank, table, mode, k)
        here, there = score(features, found), score(features, exact)
        assert (mode, here.value, here.patch, here.entry) == (mode, there.value, there.patch, there.entry)


def largest(found: Neighbours, k: int) -> list[tuple[int, float, int]]:
    """Return patch, distance and entry of the k largest distances, the first of equals."""
    order = np.argsort(-found.distance, kind="stable")[:k]
    return [(int(patch), float(found.distance[patch]), int(found.index[patch])) for patch in order]


FRAMES = st.lists(
    st.sampled_from(["unrelated", "unrelated", "same", "changed", "shifted", "entries"]), min_size=1, max_size=7
)


@pytest.mark.slow
@given(
    frames=FRAMES,
    grid_hw=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    bank_kind=st.sampled_from(["plain", "plain", "repeats", "level"]),
    bank_shape=st.tuples(st.one_of(st.just(1), st.integers(2, 40)), st.sampled_from([1, 2, 3, 6, 40, 150])),
    values=st.sampled_from(["whole", "real", "large", "scales"]),
    graph=st.sampled_from(["any", "hasty", "perfect", "farthest"]),
    k=st.one_of(st.just(1), st.integers(1, 45)),
    with_history=st.sampled_from([True, True, True, False]),
    beside=st.sampled_from(["none", "near", "any"]),
    threshold=st.sampled_from(["none", "a distance", "a bound", "between", "zero", "beyond"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=400)
def test_whatever_was_seen_before_what_decides_is_exact(
    frames: list[str],
    grid_hw: tuple[int, int],
    bank_kind: str,
    bank_shape: tuple[int, int],
    values: str,
    graph: str,
    k: int,
    with_history: bool,  # noqa: FBT001 - drawn
    beside: str,
    threshold: str,
    seed: int,
):
    """For any frames in a row, the scores, and on request all patches over a threshold, are those of an exact search.

    However bad the graph, whatever the history holds, bit for bit; and nowhere is a distance below the true one.
    """
    random = np.random.default_rng(seed)
    bank = make_bank(bank_kind, values, bank_shape, random)
    graph = make_graph(graph, bank, random)
    exact = CountedExact(bank, make_neighbours(beside, bank, random))
    search = LazySearch(graph, bank, exact, k, History(grid_hw) if with_history else None)
    features = numbers(values, (grid_hw[0] * grid_hw[1], bank_shape[1]), random)
    for kind in frames:
        features = next_frame(kind, features, values, grid_hw, bank, random)
        exact.patches.clear()
        found = search(features)
        check_equals_exact(features, bank, found, k)
        check_scores(features, bank, found, k)
        if threshold != "none":
            at_least = {
                "a distance": float(random.choice(ExactSearch(bank)(features).distance)),
                "a bound": float(random.choice(found.distance)),
                "between": float(random.uniform(0, found.distance.max() + 1e-3)),
                "zero": 0.0,
                "beyond": float("inf"),
            }[threshold]
            check_told_apart(search, features, bank, found, at_least)
            search.refine(features, found, at_least)
            check_equals_exact(features, bank, found, k)
            check_scores(features, bank, found, k)
            check_refined(features, bank, found, at_least)
        same = Counter(feature.tobytes() for feature in features)
        assert not Counter(exact.patches) - same  # no patch twice


@pytest.mark.slow
@given(
    frames=arrays(
        np.float32, (3, 12, 5), elements=st.floats(-50, 50, width=32).map(lambda x: x if abs(x) > SMALLEST else 0.0)
    ),
    bank=arrays(
        np.float32, (9, 5), elements=st.floats(-50, 50, width=32).map(lambda x: x if abs(x) > SMALLEST else 0.0)
    ),
    k=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=100)
def test_what_decides_is_exact_for_any_numbers(frames: np.ndarray, bank: np.ndarray, k: int, seed: int):
    """With features and entries of any numbers at all, frame after frame ends with the distances that decide."""
    search = on_device(AnyGraph(bank, np.random.default_rng(seed)), bank, k, History((3, 4)))
    for features in frames:
        found = search(features)
        check_equals_exact(features, bank, found, k)
        check_scores(features, bank, found, k)
        true = reference.distances(features, bank).min(axis=1)
        assert found.distance.max() == pytest.approx(true.max(), rel=FLOAT32_RELATIVE)


@pytest.mark.slow
@pytest.mark.parametrize("with_history", [False, True])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_top_is_exact_behind_a_hasty_graph(bank, index, k: int, with_history: bool):  # noqa: FBT001 - a parameter
    """With a graph that is searched too hastily, frame after frame still ends with the true largest distances."""
    hasty, exact = GraphSearch(index, ef=1), ExactSearch(bank)
    search = LazySearch(hasty, bank, PrunedSearch(bank), k, History((10, 10)) if with_history else None)
    random = np.random.default_rng(0)
    overshot = 0
    features = clusters(100, 40, seed=100)
    for number in range(20):
        if number % 3 == 0:
            features = clusters(100, 40, seed=100 + number)
        features = features + random.standard_normal(features.shape).astype(np.float32) * np.float32(0.1)
        true = exact(features)
        check_equals_exact(features, bank, found := search(features), k)
        np.testing.assert_allclose(
            np.sort(found.distance)[-k:],
            np.sort(reference.distances(features, bank).min(axis=1))[-k:],
            rtol=FLOAT32_RELATIVE,
        )
        overshot += np.sort(hasty(features).distance)[-k:].sum() > np.sort(true.distance)[-k:].sum()
    assert overshot  # otherwise the case is too easy to show anything


def test_a_new_value_on_top_is_found_where_it_appears(bank):
    """After many frames alike, a single patch that changes is the one that is named, with its own neighbour."""
    search = on_device(ExactSearch(bank), bank, 1, History((10, 10)))
    features = clusters(100, 40, seed=3)
    for _ in range(5):
        search(features)
    features[37] += 100
    found = search(features)
    assert int(np.argmax(found.distance)) == 37
    check_equals_exact(features, bank, found, 1)


@pytest.mark.parametrize("k", [1, 7])
def test_no_patch_is_searched_exactly_twice(bank, k: int):
    """Where the graph finds nothing of use the search ends all the same, having looked at each patch at most once."""
    features = clusters(60, 40, seed=7)
    exact = CountedExact(bank)

    def lost(features: np.ndarray) -> Neighbours:
        """Find nothing: infinitely far, and always the same entry."""
        count = len(features)
        return all_of(Tier.GRAPH, np.full(count, np.inf, dtype=np.float32), np.zeros(count, dtype=np.int64))

    search = LazySearch(lost, bank, exact, k)
    found = search(features)
    assert len(exact.patches) == len(set(exact.patches))
    check_equals_exact(features, bank, found, k)
    search.refine(features, found, 0.0)
    assert len(exact.patches) == len(set(exact.patches)) == 60
    np.testing.assert_allclose(found.distance, reference.distances(features, bank).min(axis=1), rtol=FLOAT32_RELATIVE)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_no_more_than_k_exact_searches_behind_a_good_graph(bank, k: int):
    """Where the graph is right, just the k patches that decide are compared with the whole bank, in every frame.

    Only where a frame is unlike the last one, some more are.
    """
    exact = CountedExact(bank, near(bank))
    search = on_device(ExactSearch(bank), bank, k, History((10, 20)), exact)
    for seed, most in ((11, k), (11, k), (12, k + UNLIKE), (12, k)):
        exact.patches.clear()
        found = search(clusters(200, 40, seed))
        assert k <= len(exact.patches) <= most
        assert (found.tier == Tier.EXACT).sum() == len(exact.patches)


@pytest.mark.parametrize("k", [60, 61, 1000])
def test_with_k_beyond_the_patches_every_patch_is_exact(bank, k: int):
    """Where all patches decide, each is compared with the bank once, and all distances are true."""
    exact = CountedExact(bank, near(bank))
    search = on_device(AnyGraph(bank, np.random.default_rng(0)), bank, k, History((6, 10)), exact)
    for seed in (10, 10, 13):
        features = clusters(60, 40, seed)
        exact.patches.clear()
        found = search(features)
        assert len(exact.patches) == 60
        assert found.distance.tobytes() == ExactSearch(bank)(features).distance.tobytes()


@pytest.mark.parametrize("with_history", [False, True])
@pytest.mark.parametrize("level", [0.0, 2.0])
@pytest.mark.parametrize("k", [1, 3, 50, 80])
def test_ties_end_and_the_first_are_taken(k: int, level: float, with_history: bool):  # noqa: FBT001 - a parameter
    """Where all patches are equally far, the search ends after the first k, and those are what counts."""
    bank = np.zeros((5, 4), dtype=np.float32)
    features = np.full((50, 4), level, dtype=np.float32)
    exact = CountedExact(bank, near(bank))
    history = History((5, 10)) if with_history else None
    search = on_device(AnyGraph(bank, np.random.default_rng(0)), bank, k, history, exact)
    for _ in range(3):
        exact.patches.clear()
        found = search(features)
        assert len(exact.patches) == min(k, 50)
        assert (found.distance == 2 * level).all()
        assert largest(found, k) == [(patch, 2 * level, 0) for patch in range(min(k, 50))]
        assert np.flatnonzero(found.tier == Tier.EXACT).tolist() == list(range(min(k, 50)))


def test_what_cannot_decide_any_more_is_not_searched():
    """Once a patch is exact, of the others only those whose bound reaches it are compared with the bank."""
    bank, features, graph, exact, search = far_apart()
    features[[5, 25, 45]] = bank[[80, 81, 82]]  # the last bound is 14, the true distance 0
    features[60] = bank[90]
    features[60, -1] = 12  # bound 19, true 12
    check_equals_exact(features, bank, search(features), 1)
    assert exact.patches == [features[60].tobytes()]
    assert not graph.calls


def far_apart(k: int = 1) -> tuple[np.ndarray, np.ndarray, CountedGraph, CountedExact, LazySearch]:
    """Return a bank of entries that lie far apart, the frame that was searched last, and what searches the next one.

    No entry is beside another, so walks are useless; patches next to each other are never near the same entries.
    """
    bank = np.concatenate((np.eye(100) * 10, np.zeros((100, 1))), axis=1).astype(np.float32)
    alone = np.repeat(np.arange(100, dtype=np.int32)[:, None], B, axis=1)
    graph, exact = CountedGraph(ExactSearch(bank)), CountedExact(bank, alone)
    search = LazySearch(graph, bank, exact, k, History((8, 8)))
    features = bank[np.arange(64) + 10] + np.float32(0.01)
    search(features)
    graph.calls.clear()
    graph.patches.clear()
    exact.patches.clear()
    return bank, features, graph, exact, search


@pytest.mark.parametrize("k", [1, 2])
def test_the_tables_are_asked_where_nothing_known_is_near(k: int):
    """Patches that look like nothing that was there before are searched by the tables, those that cannot decide not."""
    bank, features, graph, exact, search = far_apart(k)
    moved, off = np.arange(0, 60, 2), np.arange(61, 61 + k)
    features[moved] = bank[80 + np.arange(30) % 20] + np.float32(0.01)  # the last bound is 14, the true distance 0.1
    features[off] = bank[90]
    features[off, -1] = 12 + np.arange(k)  # bound 19, true 12: nothing below it can decide
    found = search(features)
    check_equals_exact(features, bank, found, k)
    assert sorted(exact.patches) == sorted(feature.tobytes() for feature in features[off])
    assert not graph.calls
    assert (found.tier[moved] == Tier.NEAR).all()
    assert (found.tier[1:60:2] == Tier.KNOWN).all()


def test_for_a_map_the_tables_are_asked_where_nothing_known_is_near():
    """Where many patches seem to reach a threshold, those are searched by the tables that could, and no other."""
    bank, features, graph, exact, search = far_apart()
    features[60, -1] = 30
    found = search(features)
    exact.patches.clear()
    found.distance[:40] = distances(
        features[:40], bank, index := (found.index[:40] + 1) % 100
    )  # as if little was known
    found.index[:40] = index
    found.tier[:40] = Tier.LISTED
    search.refine(features, found, 5.0)
    check_refined(features, bank, found, 5.0)
    assert not graph.calls
    assert not exact.patches
    assert (found.tier[:40] == Tier.NEAR).all()


@pytest.mark.slow
@pytest.mark.parametrize("beside", ["near", "any", "none"])
@pytest.mark.parametrize("values", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("graph", ["any", "hasty"])
def test_what_is_not_a_number_ends_and_harms_no_other(bank, graph: str, values: float, beside: str):
    """Patches without numbers end the search of no other patch, and are forgotten in the next frames."""
    random = np.random.default_rng(0)
    table = make_neighbours(beside, bank, random)
    search = LazySearch(make_graph(graph, bank, random), bank, PrunedSearch(bank, table), 2, History((10, 10)))
    good, lost = clusters(100, 40, seed=3), np.r_[0:30, 57]
    bad = good.copy()
    bad[lost, ::3] = values
    finite = np.isfinite(distances(bad, bank[:1].repeat(100, axis=0)))
    assert finite.tolist() == [patch not in lost for patch in range(100)]
    rest = np.delete(np.arange(100), lost)
    for features in (bad, good, bad, bad, good, good):
        found = search(features)
        at_least = float(np.median(found.distance[rest]))
        told = Neighbours(found.distance.copy(), found.index.copy(), found.tier.copy())
        search.tell_apart(features, told, at_least)
        true = ExactSearch(bank)(features[rest]).distance
        assert ((told.distance[rest] >= at_least) == (true >= at_least)).all()
        search.refine(features, found, at_least)
        others = Neighbours(found.distance[rest], found.index[rest], found.tier[rest])
        check_refined(features[rest], bank, others, at_least)
    check_equals_exact(good, bank, found, 2)


def test_neighbours_of_another_bank_are_refused(bank):
    """A table that names entries that the bank does not have, or is not as long as it, is refused before it is used."""
    table = np.zeros((len(bank), B), dtype=np.int32)
    for entry, wrong in ((0, -1), (-1, len(bank))):
        other = table.copy()
        other[entry, -1] = wrong
        with pytest.raises(ValueError, match="out of range"):
            PrunedSearch(bank, other)
    with pytest.raises(ValueError, match="the bank has"):
        PrunedSearch(bank, table[1:])


def test_all_tiers_are_gone_through():
    """On a scene that drifts and jumps, patches end at every tier there is, and what decides is exact all the same."""
    random = np.random.default_rng(0)
    bank = clusters(2500, 10, seed=1)
    search = on_device(ExactSearch(bank), bank, 2, History((10, 10)))
    features, tiers = clusters(100, 10, seed=2), set()
    for number in range(40):
        size = (0.1, 0.5, 1.0, 2.0)[number % 4]
        features = features + np.float32(size) * random.standard_normal(features.shape).astype(np.float32)
        if number % 10 == 9:
            features[:30] = clusters(30, 10, seed=number)
        found = search(features)
        check_equals_exact(features, bank, found, 2)
        tiers |= set(found.tier.tolist())
    assert tiers == set(Tier)


def test_refining_takes_no_patch_below_the_threshold(bank):
    """Only patches whose bound reaches the threshold are searched for a map; one that is equal to it counts."""
    features = clusters(100, 40, seed=5)
    exact = CountedExact(bank)
    search = LazySearch(ExactSearch(bank), bank, exact)
    found = search(features)
    at_least = float(np.sort(found.distance)[-30])
    search.refine(features, found, at_least)
    assert len(exact.patches) == 30
    check_refined(features, bank, found, at_least)
    search.refine(features, found, at_least)
    assert len(exact.patches) == 30


def test_telling_apart_takes_less_than_refining(bank):
    """That a far patch is over a threshold is known after few comparisons, where its nearest entry takes many."""
    features = clusters(100, 40, seed=5) + np.float32(2)
    index = np.random.default_rng(0).integers(len(bank), size=100)
    at_least = float(ExactSearch(bank)(features).distance.min()) / 2
    compared = []
    for way in (PrunedSearch.tell_apart, lambda *frame, at_least: PrunedSearch.settle(*frame, k=1, at_least=at_least)):
        exact = PrunedSearch(bank)
        found = all_of(Tier.GRAPH, distances(features, bank, index), index.copy())
        way(exact, features, found, at_least=at_least)
        compared.append(exact.compared)
        assert (found.distance >= at_least).all()
    assert 20 * compared[0] < compared[1]


def test_what_the_graph_gave_is_left_as_it_was(bank):
    """The neighbours that the graph returned stay as they were; refining works on a copy."""
    features = clusters(50, 40, seed=9)
    given_by_graph = AnyGraph(bank, np.random.default_rng(0))(features)
    before = given_by_graph.distance.tobytes(), given_by_graph.index.tobytes(), given_by_graph.tier.tobytes()
    search = LazySearch(lambda _: given_by_graph, bank, PrunedSearch(bank))
    search.refine(features, search(features), 0.0)
    assert (given_by_graph.distance.tobytes(), given_by_graph.index.tobytes(), given_by_graph.tier.tobytes()) == before


def test_a_frame_that_was_handed_over_is_not_changed_by_the_next(bank):
    """What was found for a frame is its own: later frames do not write into it, nor does writing into it harm them."""
    search = on_device(ExactSearch(bank), bank, 1, History((5, 10)))
    first, second = clusters(50, 40, seed=1), clusters(50, 40, seed=2)
    search(first)
    found = search(first)
    before = found.distance.tobytes(), found.index.tobytes(), found.tier.tobytes()
    search(second)
    assert (found.distance.tobytes(), found.index.tobytes(), found.tier.tobytes()) == before
    found = search(first)
    found.index[:], found.distance[:] = 0, 0
    check_equals_exact(first, bank, search(first), 1)


@pytest.mark.parametrize("k", [1, 4])
def test_of_a_frame_seen_before_hardly_anything_is_searched(bank, k: int):
    """On a picture that stands still, no more than the k patches that decide are searched, and the rest is as good."""
    graph = CountedGraph(ExactSearch(bank))
    search = on_device(graph, bank, k, History((10, 20)))
    features = clusters(200, 40, seed=4)
    first = search(features)
    assert first.searched == 1
    for _ in range(5):
        graph.calls.clear()
        found = search(features)
        assert found.searched <= k / 200
        assert not graph.calls
        assert found.distance.tobytes() == first.distance.tobytes()


def test_of_a_frame_slightly_changed_little_is_searched(bank, index):
    """Where a camera stands still and its picture is noisy, most patches are not searched in the graph."""
    search = on_device(GraphSearch(index, ef=64), bank, 1, History((10, 20)))
    random = np.random.default_rng(0)
    still = clusters(200, 40, seed=4)
    shares = []
    for _ in range(12):
        features = still + np.float32(0.05) * random.standard_normal(still.shape).astype(np.float32)
        shares.append(search(features).searched)
    assert shares[0] == 1
    assert max(shares[1:]) <= FEW_SEARCHED


def test_of_a_scene_that_moved_by_a_patch_little_is_searched():
    """Where the picture moves by a patch, what was beside it is looked at, and hardly anything is searched."""
    bank = np.eye(128, dtype=np.float32) * 10
    search = on_device(ExactSearch(bank), bank, 1, History((8, 10)))
    random = np.random.default_rng(0)
    wide = bank[random.permutation(128)[:96]].reshape(8, 12, 128) + random.standard_normal((8, 12, 128)) * 0.1
    for column, most in (
        (0, 1.0),
        (1, 0.2),
        (2, 0.2),
        (1, 1 / 80),
    ):  # of the eight patches at the edge nothing is known
        features = wide[:, column : column + 10].reshape(80, 128).astype(np.float32)
        found = search(features)
        assert found.searched <= most
        check_equals_exact(features, bank, found, 1)


def test_of_a_scene_that_drifts_to_the_entries_beside_little_is_searched():
    """Where patches move on to entries never seen, but beside the known ones in the bank, the tables are not needed."""
    random = np.random.default_rng(0)
    bank = (np.arange(200)[:, None] + 0.01 * random.standard_normal((200, 8))).astype(np.float32)
    table = reference.neighbour_table(bank, B).astype(np.int32)
    start = random.permutation(180)[:64]
    noise = 0.1 * random.standard_normal((64, 8)).astype(np.float32)
    for neighbours, few in ((table, True), (None, False)):
        search = LazySearch(None, bank, PrunedSearch(bank, neighbours), 1, History((8, 8)))
        search(bank[start] + noise)
        features = bank[start + 2] + noise
        found = search(features)
        check_equals_exact(features, bank, found, 1)
        assert (found.searched <= FEW_SEARCHED) == few  # otherwise the case is too easy to show anything


def unlike(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a bank of far entries, and a frame of 64 patches near any of them: no two frames are alike."""
    bank = np.eye(100, dtype=np.float32) * 10
    random = np.random.default_rng(number)
    return bank, (bank[random.integers(100, size=64)] + random.standard_normal((64, 100)) * 0.1).astype(np.float32)


def frames_unlike(search: LazySearch, numbers: range) -> None:
    """Search so many frames without likeness; each is exact."""
    for number in numbers:
        bank, features = unlike(number)
        check_equals_exact(features, bank, search(features), 1)


@pytest.mark.slow
def test_the_history_rests_while_frames_are_unlike_and_comes_back():
    """Where nothing is as it was before, all of the history is tried ever more rarely; once it pays again, it stays."""
    bank, still = unlike(0)
    exact = CountedExact(bank, near(bank))
    search = on_device(None, bank, 1, History((8, 8)), exact)
    frames_unlike(search, range(1, 301))
    assert 1 <= exact.listed <= WHILE_UNLIKE * 300
    before = exact.listed
    frames_unlike(search, range(301, 303))
    assert exact.listed == before
    for _ in range(LONGEST_REST + 1):
        search(still)
    assert exact.listed > before
    before = exact.listed
    for _ in range(10):
        assert search(still).searched <= 1 / 64
    assert exact.listed == before + 10


def test_one_frame_unlike_the_others_costs_but_a_short_rest():
    """After one picture of something else, in a scene that stands still, the history is soon in use again."""
    bank, still = unlike(0)
    exact = CountedExact(bank, near(bank))
    search = on_device(None, bank, 1, History((8, 8)), exact)
    for again in range(5):
        frames_unlike(search, range(10 + again, 11 + again))
        for _ in range(4):
            search(still)
        before = exact.listed
        assert search(still).searched <= 1 / 64
        assert exact.listed == before + 1


def test_without_a_history_every_patch_goes_through_the_graph_once(bank):
    """A search for one frame alone, as in the tools, asks the graph for all patches at once and keeps nothing."""
    graph = CountedGraph(ExactSearch(bank))
    search = LazySearch(graph, bank, PrunedSearch(bank), 3)
    features = clusters(80, 40, seed=6)
    first, second = search(features), search(features)
    assert graph.calls == [80, 80]
    assert first.searched == second.searched == 1
    assert first.distance.tobytes() == second.distance.tobytes()


def test_a_history_learns_from_frames_it_sat_out():
    """A frame that was searched without the history is known in the next: no frame is lost on it."""
    bank, still = unlike(0)
    exact = CountedExact(bank, near(bank))
    search = on_device(None, bank, 1, History((8, 8)), exact)
    search(unlike(1)[1])
    search(unlike(2)[1])
    assert exact.listed == 1
    search(still)  # at rest
    assert exact.listed == 1
    assert search(still).searched <= 1 / 64
    assert exact.listed == 2
