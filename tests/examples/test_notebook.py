"""The notebook of examples/ runs from its first cell to its last, as in Jupyter but without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ENOUGH_S
from tests.support.tiny import write_pictures

NOTEBOOK = Path(__file__).parents[2] / "examples/scores.ipynb"
PICTURES, STRANGE = 40, set(range(11, 24))

SHOWN = """
import atexit
from matplotlib import pyplot
atexit.register(lambda: print("axes", [len(figure.axes) for figure in map(pyplot.figure, pyplot.get_fignums())],
    "pictures", [len(axes.images) for axes in pyplot.gcf().axes]))
"""
"""Figures stay open, as the backend that draws nothing shows none; at the end they are counted."""


def cells() -> list[str]:
    """Return the code of the notebook, cell by cell."""
    tree = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (tree["nbformat"], tree["nbformat_minor"]) == (4, 4)
    assert all(not cell.get("outputs") for cell in tree["cells"]), "outputs are not committed"
    return ["".join(cell["source"]) for cell in tree["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_notebook_runs(tiny_bundle: Path, tmp_path: Path) -> None:
    """It draws the score of each frame of a recording, and the picture and heat map of the one alert in it."""
    source = write_pictures(tmp_path / "pictures", STRANGE, PICTURES)
    first, *others = cells()
    code = first.replace("../build/demo/belt.bundle", str(tiny_bundle)).replace("../build/demo/camera.avi", str(source))
    assert code != first
    done = subprocess.run(
        [sys.executable, "-W", "ignore:FigureCanvasAgg is non-interactive", "-c", "\n".join([SHOWN, code, *others])],
        capture_output=True,
        text=True,
        check=False,
        cwd=NOTEBOOK.parent,
        env={"PATH": "/usr/bin:/bin", "MPLBACKEND": "agg", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        timeout=ENOUGH_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{PICTURES} frames, 1 alerts", "axes [1, 1] pictures [2]"]
    assert not done.stderr
