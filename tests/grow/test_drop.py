"""Which entries are dropped where too many were learnt."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runtime.learning.grow.drop import KEPT, kept, most_learnt


@given(st.integers(1, 40), st.lists(st.integers(0, 9), max_size=120))
def test_entries_of_the_root_are_never_dropped(root: int, learnt: list[int]) -> None:
    """The root's entries stay in front, in order; of the others the most useful stay, as many as there is room for."""
    uses = np.array([0] * root + learnt)
    rows = kept(root, uses)
    assert rows[:root].tolist() == list(range(root))
    assert (np.diff(rows) > 0).all()
    assert len(rows) - root <= most_learnt(root)
    dropped = np.setdiff1d(np.arange(len(uses)), rows)
    if len(dropped):
        assert len(learnt) > most_learnt(root)
        assert uses[dropped].max() <= uses[rows[root:]].min()


def test_nothing_is_dropped_up_to_the_limit() -> None:
    """As many learnt entries as the root has may stay, however little they are used."""
    assert len(kept(10, np.zeros(20, np.int64))) == 20


def test_beyond_the_limit_the_least_useful_and_the_oldest_go() -> None:
    """A quarter of the room is made free; of equally useful entries the newer stay."""
    uses = np.array([0] * 4 + [5, 1, 1, 1, 0])
    assert kept(4, uses).tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert KEPT == 0.75
