"""Limits on the size of modules and folders, held by `make lint`: what outgrows them is split by idea.

Arrows between rooms and import cycles are import-linter's: see `pyproject.toml`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("edge_config", "runtime", "export", "patchedge")
MAX_LINES = 300
MAX_MODULES = 16
VERBS = ("runtime/cli", "export/cli")
"""A module for each verb of the command line: as many as there are."""


def too_large(root: Path) -> Iterator[str]:
    """Return a line for each module and folder of the packages that is over its limit."""
    for package in PACKAGES:
        for folder in (root / package, *(path for path in (root / package).rglob("*") if path.is_dir())):
            modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
            where = folder.relative_to(root).as_posix()
            if len(modules) > MAX_MODULES and where not in VERBS:
                yield f"{where}: {len(modules)} modules, at most {MAX_MODULES}"
            for path in modules:
                lines = path.read_text(encoding="utf-8").count("\n")
                if lines > MAX_LINES:
                    yield f"{path.relative_to(root).as_posix()}: {lines} lines, at most {MAX_LINES}"


if __name__ == "__main__":
    found = list(too_large(ROOT))
    print("\n".join(found) or "no module and no folder is too large")
    sys.exit(bool(found))
