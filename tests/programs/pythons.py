"""Install the device half by the line of docs/guide/install.md on each Python that it is promised for, and use it.

Of each the first interpreter counts that is found on PATH or in pyenv's folder; those that are missing are named.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.programs.wheels.source import copy_source
from tests.support.tiny import make_bundle, write_pictures

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
PICTURES = 5
STRANGE = {3}
INSTALL = re.compile(r"pip (install -c constraints\.txt '\.\[cpu\]')")
"""What the page says for a device."""

AT_A_TIME = 2
"""Each compiles and installs on one processor."""

ENOUGH_S = 600.0


def main() -> int:
    """Try all; the exit code is 1 where one of them failed, or none was found."""
    found = {version: interpreter(version) for version in VERSIONS}
    with tempfile.TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder) / "tiny.bundle")
        pictures = write_pictures(Path(folder) / "pictures", STRANGE, PICTURES)
        tried = [(version, python) for version, python in found.items() if python]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            results = list(pool.map(lambda one: attempt(*one, bundle, pictures), tried))
    missing = [version for version, python in found.items() if not python]
    if missing:
        print(f"not found, and so not tried: Python {', '.join(missing)}", file=sys.stderr)
    return 0 if results and all(results) else 1


def interpreter(version: str) -> str | None:
    """Return an interpreter of this version that starts; None if there is none."""
    for path in candidates(version):
        asked = subprocess.run(
            [path, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
            timeout=ENOUGH_S,
        )
        if asked.stdout.strip() == version:
            return path
    return None


def candidates(version: str) -> Iterator[str]:
    """Find what may be an interpreter; on PATH it may be one of pyenv's shims, which starts nothing."""
    if path := shutil.which(f"python{version}"):
        yield path
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from (str(path) for path in sorted(root.glob(f"versions/{version}.*/bin/python3"), reverse=True))


def attempt(version: str, python: str, bundle: Path, pictures: Path) -> bool:
    """Install and use the device half, and say in a line how that went."""
    began, place = time.monotonic(), ROOT / "build/pythons" / version
    words = INSTALL.search((ROOT / "docs/guide/install.md").read_text(encoding="utf-8"))
    assert words, "docs/guide/install.md has no line that installs the device half"
    patchedge = place / "bin/patchedge"
    events = f"ipc://{bundle.parent}/events-{version}"
    # One picture in ten seconds, by their clock: so each strange one is an alert of its own.
    played = ["--source", pictures, "--pace", "max", "--fps", "0.1"]
    run = [patchedge, "run", "--bundle", bundle, *played, "--bind", events]
    call = partial(do, place / "state")
    try:
        call(python, "-m", "venv", "--clear", place)
        pip = (place / "bin/pip", "--disable-pip-version-check", "--quiet")
        call(*pip, *words[1].replace("'", "").split(), here=copy_source(place / "source"))
        call(patchedge, "check", bundle)
        call(place / "bin/python", "-I", "-c", "from patchedge import *; import patchedge; patchedge.__version__")
        learnt = place / "learnt.bundle"
        call(patchedge, "learn", "--images", pictures, "--coreset", "64", "--out", learnt)
        call(patchedge, "check", learnt)
        ended = json.loads(call(*run).splitlines()[-1])
        assert (ended["frames"], ended["not_scored"], ended["alerts"]) == (PICTURES, 0, len(STRANGE)), ended
    except (subprocess.CalledProcessError, AssertionError) as error:
        said = getattr(error, "stderr", "") or str(error)
        print(f"Python {version} ({python}): FAILED\n{said}", file=sys.stderr)
        return False
    took = time.monotonic() - began
    print(f"Python {version} ({python}): installed, checked, run and learnt with in {took:.0f} s", flush=True)
    return True


def do(state: Path, *words: str | Path, here: Path = ROOT) -> str:
    """Run a command in a folder to its good end, with a state folder of its own, and return what it logged."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state)}
    return subprocess.run(
        [str(word) for word in words],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=ENOUGH_S,
    ).stderr


if __name__ == "__main__":
    sys.exit(main())
