"""The soak, short: every fault once."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # rates and times are judged

LONGEST_S = 240.0
"""Of one soak: two minutes on two cores that are free."""

SEEDS = (1, 2)
"""Rates and times are judged; where something else takes the processor for a moment, a second soak tells."""


@pytest.mark.timeout(len(SEEDS) * LONGEST_S + 60)
def test_runtime_survives_every_fault_once() -> None:
    """Every fault is noticed, published and recovered from, or taken in the stride."""
    said = []
    for seed in SEEDS:
        command = [sys.executable, "-m", "tests.programs.soak.run", "--each-once", "--seed", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        if done.returncode == 0:
            return
        said.append(done.stdout + done.stderr)
    raise AssertionError("\n".join(said))
