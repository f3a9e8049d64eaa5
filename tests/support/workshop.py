"""Which test modules need the packages of the workshop; a device has none of them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PACKAGES = ("torch", "onnx", "onnxscript", "timm", "sklearn", "scipy", "skimage", "matplotlib", "tqdm")

_ROOT = Path(__file__).parents[2]
_IMPORT = re.compile(r"^(?:from (?P<package>[\w.]+) )?import (?P<names>\([^)]*\)|.*)", re.MULTILINE)


def without(*packages: str) -> str:
    """Return the beginning of a program that can import none of the packages."""
    return f"""import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
sys.meta_path.insert(0, Block())
"""


@cache
def needs_workshop(path: Path) -> bool:
    """Return whether loading a module imports one of PACKAGES, directly or through other modules of this repository."""
    seen, todo = set(), [path]
    while todo:
        if (module := todo.pop()) in seen:
            continue
        seen.add(module)
        for name in _imported(module):
            if name.partition(".")[0] in PACKAGES:
                return True
            todo += _files(name)
    return False


@cache
def _imported(module: Path) -> tuple[str, ...]:
    """Return what is imported as the module is loaded, in full: `from a import b` may import `a.b`."""
    found = []
    for match in _IMPORT.finditer(module.read_text(encoding="utf-8")):
        package = match["package"] or ""
        names = re.findall(r"[\w.]+(?: as \w+)?", match["names"].partition("#")[0])
        found += [f"{package}.{name.split()[0]}".strip(".") for name in names]
    return tuple(found)


@cache
def _files(name: str) -> tuple[Path, ...]:
    """Return the files of this repository that are run when a module is imported."""
    parts = name.split(".")
    places = [_ROOT.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
    files = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
    return tuple(file for file in files if file.is_file())
