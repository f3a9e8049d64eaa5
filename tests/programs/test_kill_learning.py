"""A device that is killed while it learns: a handful of instants; `tests.programs.kill_learning` does more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs.kill_learning.run import kill_at_random

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

INSTANTS = 5


def test_whole_bundle_serves_whoever_is_killed_and_whenever(tmp_path: Path) -> None:
    """Learner, worker and parent are killed at random: whole bundles serve, what was acknowledged lasts, and nothing is
    left over.
    """
    seen = kill_at_random(tmp_path, INSTANTS, seed=5, learner="stub")
    assert sum(seen.values()) == INSTANTS
    assert any("parent killed" in one for one in seen)
