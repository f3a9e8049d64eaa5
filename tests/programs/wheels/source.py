"""A copy of what patchedge is built from, without what a developer's tree has besides."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[3]
LISTS = Path(__file__).parent
PACKAGES = ("edge_config", "runtime", "export", "patchedge")
FILES = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE")


def copy_source(folder: Path) -> Path:
    """Copy into an empty folder: no compiled modules, and no build folder, from which setuptools would install."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in FILES:
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(LISTS, folder / "wheels", ignore=shutil.ignore_patterns("__pycache__"))
    return folder
