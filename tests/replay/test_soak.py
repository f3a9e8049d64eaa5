"""The soak, short: every fault once."""

from __future__ import annotations

import subprocess
import sys

import pytest

LONGEST_S = 180.0


@pytest.mark.timeout(LONGEST_S + 60)
def test_runtime_survives_every_fault_once() -> None:
    """Every fault is noticed, published and recovered from, or taken in the stride, within three minutes."""
    command = [sys.executable, "-m", "tests.soak.run", "--each-once", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
