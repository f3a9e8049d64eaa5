"""Everything at once happens to an inference worker; `tests.programs.engine_chaos` has more of it."""

from __future__ import annotations

import pytest

from tests.programs.engine_chaos import run

STEPS, KILLS = 150, 2  # some seconds


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_frame_has_its_own_answer_whatever_happens(seed: int) -> None:
    """Each frame has a reason, or the score by the bundle of its camera, while bundles and workers change."""
    counts = run(seed, STEPS, KILLS)
    assert counts["EngineLost"]
    assert counts["Reloaded"]
    assert counts["Scored"] > counts["without a score"]
