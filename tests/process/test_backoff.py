"""Waits between tries."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.process.backoff import STEADY_S, Backoff


class Highest(Random):
    """Draws the longest wait that is allowed."""

    def uniform(self, a: float, b: float) -> float:
        """Return the upper bound."""
        return max(a, b)


class Lowest(Random):
    """Draws the shortest wait that is allowed."""

    def uniform(self, a: float, b: float) -> float:
        """Return the lower bound."""
        return min(a, b)


def test_waits_double_up_to_the_longest_and_begin_anew_after_success() -> None:
    """The bound of the waits doubles from try to try, ends at the longest, and is reset by what worked for a while."""
    backoff = Backoff(0.5, 30, Highest())
    assert [backoff.after(0) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.after(STEADY_S / 2) == 30
    assert [backoff.after(STEADY_S), backoff.after(0)] == [1, 2]


def test_waits_are_long_at_once_where_to_try_soon_would_do_harm() -> None:
    """Patience makes every wait at least half of the longest, until something worked for a while."""
    backoff = Backoff(0.5, 30, Lowest())
    backoff.be_patient()
    assert [backoff.after(0), backoff.after(0)] == [15, 15]
    assert backoff.after(STEADY_S) == 0.5


@given(st.floats(0.01, 3600), st.floats(0.01, 3600), st.integers(0, 2**32), st.lists(st.floats(0, 60), max_size=50))
def test_waits_stay_within_their_bounds(shortest: float, longest: float, seed: int, worked: list[float]) -> None:
    """No wait is shorter than the shortest or longer than the longest, also where the two are given in wrong order."""
    backoff = Backoff(shortest, longest, Random(seed))  # noqa: S311
    for worked_s in worked:
        assert shortest <= backoff.after(worked_s) <= max(shortest, longest) * (1 + 1e-9)


def test_waits_of_several_differ() -> None:
    """Cameras that were lost at the same moment are not opened anew at the same moment."""
    assert len({Backoff(0.5, 30).after(0) for _ in range(20)}) == 20
    assert Backoff(1, 1).after(0) == pytest.approx(1)
