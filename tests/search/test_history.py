"""What is remembered of the last frames: checked from outside, by looking for entries as if they were patches."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from runtime.frame import Neighbours, Tier
from runtime.search.full import all_of, distances
from runtime.search.history import LENGTH, History
from runtime.search.pruned import Known, PrunedSearch

ENTRIES = 24
BELOW_ALL = -1e-30  # no entry is nearer than that, so what is remembered is all that counts
GRIDS = [(1, 1), (1, 5), (4, 1), (2, 2), (3, 4)]


class Model:
    """The same memory in plain lists: a list of entries for each patch, the newest first."""

    def __init__(self, grid_hw: tuple[int, int], first: list[int]) -> None:
        self._hw = grid_hw
        self._lists = [[entry] * LENGTH for entry in first]

    def learn(self, patch: int, entry: int) -> None:
        """Put an entry in front; what was known moves, what is new pushes the oldest out."""
        known = self._lists[patch]
        known.pop(known.index(entry) if entry in known else -1)
        known.insert(0, entry)

    def newest(self, patch: int) -> int:
        """Return the newest entry."""
        return self._lists[patch][0]

    def remembered(self, patch: int) -> set[int]:
        """Return what the patch may look at: its own entries and the newest of the patches around it."""
        height, width = self._hw
        row, column = divmod(patch, width)
        around = [
            (r, c)
            for r in range(max(row - 1, 0), min(row + 2, height))
            for c in range(max(column - 1, 0), min(column + 2, width))
        ]
        return set(self._lists[patch]) | {self.newest(r * width + c) for r, c in around}


def listed(history: History, features: np.ndarray, bank: np.ndarray, search: PrunedSearch) -> Neighbours:
    """Have all patches look at what they remember, and at nothing else."""
    index = history.newest
    found = all_of(Tier.KNOWN, distances(features, bank, index), index)
    known = Known(history.entries, history.around, 0.0)
    search.tell_apart(features, found, at_least=BELOW_ALL, known=known)
    assert (found.tier == Tier.LISTED).all()
    return found


def remembered(history: History, bank: np.ndarray, patches: int) -> list[set[int]]:
    """Find out what each patch remembers: an entry is remembered where it is found at a distance of zero."""
    sets: list[set[int]] = [set() for _ in range(patches)]
    search = PrunedSearch(bank)
    for entry in range(len(bank)):
        found = listed(history, np.repeat(bank[entry : entry + 1], patches, axis=0), bank, search)
        for patch in np.flatnonzero(found.distance == 0):
            assert found.index[patch] == entry
            sets[patch].add(entry)
    return sets


@pytest.fixture(scope="module")
def bank() -> np.ndarray:
    """Return a small bank, all entries different."""
    return np.random.default_rng(0).standard_normal((ENTRIES, 5)).astype(np.float32)


def learnt(grid_hw: tuple[int, int], first: list[int]) -> History:
    """Return a history after its first frame."""
    history = History(grid_hw)
    history.learn(np.arange(len(first)), np.array(first, dtype=np.int64))
    return history


def test_it_is_empty_until_it_has_learnt():
    """Before the first frame there is nothing to look at, and afterwards there is."""
    history = History((1, 2))
    assert history.empty
    history.learn(np.arange(2), np.array([3, 4]))
    assert not history.empty


@given(data=st.data(), grid_hw=st.sampled_from(GRIDS))
@settings(deadline=None, max_examples=60)
def test_it_remembers_what_plain_lists_would(data: st.DataObject, grid_hw: tuple[int, int]):
    """Whatever was learnt in whatever order, each patch has its own newest entry, its last few, and those around it."""
    bank = np.random.default_rng(0).standard_normal((ENTRIES, 5)).astype(np.float32)
    patches = grid_hw[0] * grid_hw[1]
    entry = st.integers(0, ENTRIES - 1)
    first = data.draw(st.lists(entry, min_size=patches, max_size=patches))
    history, model = learnt(grid_hw, first), Model(grid_hw, first)
    learning = st.dictionaries(st.integers(0, patches - 1), entry, max_size=patches)
    for step in data.draw(st.lists(learning, max_size=20)):
        history.learn(np.array(sorted(step), dtype=np.int64), np.array([step[patch] for patch in sorted(step)], int))
        for patch in sorted(step):
            model.learn(patch, step[patch])
    assert history.newest.tolist() == [model.newest(patch) for patch in range(patches)]
    assert remembered(history, bank, patches) == [model.remembered(patch) for patch in range(patches)]


def test_the_oldest_entry_goes_first(bank):
    """A patch remembers its last entries, as many as it has room for, and forgets the oldest for the newest."""
    history = learnt((1, 1), [0])
    for entry in range(1, LENGTH + 3):
        history.learn(np.array([0]), np.array([entry]))
        assert remembered(history, bank, 1) == [set(range(max(0, entry - LENGTH + 1), entry + 1))]


def test_an_entry_that_comes_again_pushes_nothing_out(bank):
    """Where a scene goes back and forth between a few looks, all of them stay remembered, the newest in front."""
    history = learnt((1, 1), [0])
    for entry in range(1, LENGTH):
        history.learn(np.array([0]), np.array([entry]))
    for entry in [*range(LENGTH), *reversed(range(LENGTH))]:
        history.learn(np.array([0]), np.array([entry]))
        assert history.newest == [entry]
        assert remembered(history, bank, 1) == [set(range(LENGTH))]
    history.learn(np.array([0]), np.array([LENGTH]))
    assert remembered(history, bank, 1) == [set(range(LENGTH + 1)) - {LENGTH - 1}]  # 7 came first on the way back


@pytest.mark.parametrize(
    ("patch", "around"),
    [
        (0, {0, 1, 4, 5}),
        (1, {0, 1, 2, 4, 5, 6}),
        (3, {2, 3, 6, 7}),
        (4, {0, 1, 4, 5, 8, 9}),
        (5, {0, 1, 2, 4, 5, 6, 8, 9, 10}),
        (8, {4, 5, 8, 9}),
        (11, {6, 7, 10, 11}),
    ],
)
def test_a_patch_looks_at_those_around_it(bank, patch: int, around: set[int]):
    """On a grid of 3 x 4, each patch looks at its eight neighbours, and at the edge at those that exist."""
    assert remembered(learnt((3, 4), list(range(12))), bank, 12)[patch] == around


def test_of_the_patches_around_only_the_newest_entry_counts(bank):
    """What a neighbour saw before its last frame is not looked at, so the work for a patch stays small."""
    history = learnt((1, 2), [0, 1])
    history.learn(np.array([1]), np.array([2]))
    assert remembered(history, bank, 2) == [{0, 2}, {0, 1, 2}]


@given(seed=st.integers(0, 2**32 - 1), grid_hw=st.sampled_from(GRIDS), frames=st.integers(1, 12))
@settings(deadline=None, max_examples=50)
def test_the_nearest_is_the_smallest_of_what_is_remembered(seed: int, grid_hw: tuple[int, int], frames: int):
    """A patch that looks at what it remembers ends at the smallest distance of it all."""
    random = np.random.default_rng(seed)
    bank = random.standard_normal((ENTRIES, 5)).astype(np.float32)
    patches = grid_hw[0] * grid_hw[1]
    history = learnt(grid_hw, random.integers(ENTRIES, size=patches).tolist())
    for _ in range(frames):
        rows = np.flatnonzero(random.integers(2, size=patches))
        history.learn(rows, random.integers(ENTRIES, size=len(rows)))
    known = remembered(history, bank, patches)
    features = random.standard_normal((patches, 5)).astype(np.float32)
    found = listed(history, features, bank, PrunedSearch(bank))
    assert found.distance.tobytes() == distances(features, bank, found.index).tobytes()
    for feature, distance, entries in zip(features, found.distance, known, strict=True):
        assert distance == distances(feature, bank[sorted(entries)]).min()


def test_what_it_gives_is_the_callers_own(bank):
    """The search writes into what it got; the history must not change with it."""
    history = learnt((1, 2), [3, 4])
    history.newest[:] = 0
    listed(history, bank[:2], bank, PrunedSearch(bank)).index[:] = 0
    assert history.newest.tolist() == [3, 4]
    assert remembered(history, bank, 2) == [{3, 4}, {3, 4}]


@given(data=st.data(), grid_hw=st.sampled_from(GRIDS), some=st.booleans())
@settings(deadline=None, max_examples=60)
def test_of_a_frame_is_learnt_what_was_looked_for(data: st.DataObject, grid_hw: tuple[int, int], some: bool):  # noqa: FBT001 - drawn
    """After a frame, the judged patches of which more than one entry was looked at have their new one in front."""
    patches = grid_hw[0] * grid_hw[1]
    many = {"min_size": patches, "max_size": patches}
    entry = st.integers(0, ENTRIES - 1)
    first = data.draw(st.lists(entry, **many))
    history, model = learnt(grid_hw, first), Model(grid_hw, first)
    for _ in range(data.draw(st.integers(1, LENGTH + 2))):
        index, tier = data.draw(st.lists(entry, **many)), data.draw(st.lists(st.sampled_from(list(Tier)), **many))
        active = data.draw(st.lists(st.booleans(), **many)) if some else [True] * patches
        found = Neighbours(
            np.zeros(patches, np.float32),
            np.array(index, dtype=np.int64),
            np.array(tier, dtype=np.uint8),
            np.array(active) if some else None,
        )
        assert history.learn_found(found) == found.searched
        for patch in np.flatnonzero(active):
            if tier[patch] > Tier.KNOWN:
                model.learn(patch, index[patch])
    assert history.newest.tolist() == [model.newest(patch) for patch in range(patches)]
    bank = np.random.default_rng(0).standard_normal((ENTRIES, 5)).astype(np.float32)
    assert remembered(history, bank, patches) == [model.remembered(patch) for patch in range(patches)]
