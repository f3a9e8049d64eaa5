"""The program that checks a fit on a GPU, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs.bench.fit_gpu import main
from tests.support.small import write_colours


@pytest.mark.slow
def test_it_runs_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the CPU in place of a GPU all holds: rows, features and golden scores are the same."""
    images = write_colours(tmp_path / "images", 8)
    assert main([str(images), "--device", "cpu", "--entries", "300", "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "features: 0.0e+00 apart; rows from the same features: the same" in said
    assert "its golden scores on CPUExecutionProvider: 0.0e+00 apart, allowed 1e-03" in said
    ids = {line.rpartition(" ")[2] for line in said.splitlines() if line.startswith("fit, ")}
    assert len(ids) == 1
