"""The limits past which a person has to consent, one by one."""

from __future__ import annotations

import msgspec
import pytest

from runtime.learning.grow.job import SafetyReport, ScoredTwice, SyntheticFaults
from runtime.learning.grow.safety import problems_of


def twice(before: float, after: float, name: str = "a.png", limit: tuple[float, float] = (1.0, 1.0)) -> ScoredTwice:
    return ScoredTwice(
        name=name, before=before, after=after, found_before=before > limit[0], found_after=after > limit[1]
    )


def faults(before: int, lost: int) -> SyntheticFaults:
    return SyntheticFaults(shown=64, found_before=before, found_after=before - lost, lost=lost)


SAFE = SafetyReport(
    threshold_before=1.0,
    threshold_after=1.0,
    threshold_root=1.0,
    golden=[twice(0.5, 0.4), twice(3.0, 2.1)],
    faults=faults(60, 15),
    peaks=[twice(0.5, 0.5), twice(2.0, 1.1)],
    learnt=[twice(1.5, 0.9)],
    held_out=[twice(1.5, 1.0)],
    entries_before=100,
    entries_after=110,
    added=10,
    dropped=0,
)


def test_at_the_limits_nothing_is_said() -> None:
    """A report that keeps to every limit has no problem; nor have lost faults where few were found at all."""
    assert problems_of(SAFE, full=False) == []
    assert problems_of(msgspec.structs.replace(SAFE, faults=faults(9, 9)), full=False) == []
    assert problems_of(msgspec.structs.replace(SAFE, golden=[twice(0.5, 0.6)], dropped=3), full=False) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"golden": [twice(0.5, 0.6)]}, "must not happen"),
        ({"golden": [twice(0.5, 1.1)], "dropped": 3}, "now over the threshold"),
        ({"golden": [twice(3.0, 0.9)]}, "known fault"),
        ({"golden": [twice(3.0, 1.9)]}, "known fault"),
        ({"faults": faults(60, 16)}, "16 of 60 synthetic faults"),
        ({"peaks": [twice(2.0, 0.9, "p.png"), twice(3.0, 3.0)]}, "1 of 2 alerts"),
        ({"learnt": [twice(1.5, 1.1, "l.png")]}, "l.png"),
        ({"threshold_after": 1.26, "golden": []}, "1.26 times"),
        ({"threshold_before": 1.4, "threshold_after": 1.6, "golden": []}, "1.60 times the first one"),
    ],
)
def test_each_limit_is_a_problem_of_its_own(changes: dict[str, object], said: str) -> None:
    """Past one limit there is one sentence, which says what is lost."""
    (problem,) = problems_of(msgspec.structs.replace(SAFE, **changes), full=False)
    assert said in problem
    assert problem[0].isalnum()
    assert problem.endswith((".", "?"))


def test_a_threshold_that_stays_high_is_no_problem() -> None:
    """After a rise that a person has consented to, later rounds that do not raise it are not held up by it."""
    high = msgspec.structs.replace(SAFE, threshold_before=3.0, threshold_after=3.0, golden=[])
    assert problems_of(high, full=False) == []


def test_too_few_entries_are_a_problem() -> None:
    """Where more entries were needed, the remedy is to learn from the beginning."""
    (problem,) = problems_of(SAFE, full=True)
    assert "patchedge learn" in problem
