"""What the fuzzing begins with, what it once found, and some mutations of both: in every run of the tests."""

from __future__ import annotations

import pytest

from tests.programs.fuzz.targets import TARGETS, target

MUTATIONS = 30


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_end_in_errors_of_the_tree_only(name: str) -> None:
    """Whatever a reader is given, good or once found to break it, it takes it or refuses it by an error of the tree."""
    reader = target(name)
    for data in (*reader.seeds(), *reader.FOUND):
        reader.check(data)


@pytest.mark.parametrize("name", [name for name in TARGETS if hasattr(target(name), "mutate")])
def test_mutations_end_in_errors_of_the_tree_only(name: str) -> None:
    """So it is with a few mutations of each seed: enough to see that the fuzzing works at all."""
    reader = target(name)
    for data in reader.seeds():
        for seed in range(MUTATIONS):
            reader.check(reader.mutate(data, seed))
