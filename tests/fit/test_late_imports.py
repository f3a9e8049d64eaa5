"""What a fit does not use it does not load: each process that starts one pays for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.small import small_options

UNUSED = ("torch", "scipy", "matplotlib", "sklearn", "skimage", "PIL", "dask", "distributed", "fsspec")
"""What draws pages, judges labelled pictures, makes networks of torch, and spreads work: up to a second each."""

BEFORE_A_NETWORK = (*UNUSED, "onnx")
"""The network of the package needs no graph made."""


@pytest.mark.slow
def test_fit_without_report_loads_nothing_that_draws_or_spreads(tmp_path: Path) -> None:
    """A fit with a network of its own and no report loads onnx and none of the other large packages."""
    words = ["fit", *small_options(tmp_path, tmp_path / "small.bundle")]
    code = f"""import sys, export.cli.main, export.fit
loaded = set({BEFORE_A_NETWORK!r}) & set(sys.modules)
assert not loaded, loaded
assert export.cli.main.main({words!r}) == 0
loaded = set({UNUSED!r}) & set(sys.modules)
assert not loaded, loaded
assert "onnx" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
