"""What runs on a device says nothing to anyone that its user did not ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ENOUGH_S = 60.0


@pytest.mark.parametrize("module", ["runtime.scoring.embed", "export.network.make_network"])
def test_onnxruntime_collects_nothing(module: str, tmp_path: Path) -> None:
    """ONNX Runtime, which would make an identifier of the device and send events to its maker, leaves no trace."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        env={**environment, "HOME": str(tmp_path)},
        check=True,
        timeout=ENOUGH_S,
    )
    assert list(tmp_path.rglob("*onnxruntime*")) == []
