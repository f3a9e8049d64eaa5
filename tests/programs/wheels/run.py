"""Build the wheels and the wheelhouses. Usage: python -m tests.programs.wheels.run [--help].

On x86-64 it builds for x86-64 with each Python that it finds, and for aarch64 under emulation in roots of Debian, as
root; on aarch64 it builds for that. The result is build/wheelhouse/x86_64 and build/wheelhouse/aarch64.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.programs.arm64.root import Unable
from tests.programs.pythons import interpreter
from tests.programs.wheels import roots
from tests.programs.wheels.source import LISTS, ROOT, copy_source
from tests.programs.wheels.wheelhouse import HOUSES, download, faults, pack, say, too_new

WORK = Path("build/wheels")

PYTHONS = {"x86_64": ("3.10", "3.11", "3.12", "3.13"), "aarch64": ("3.11", "3.13")}

RELEASES = {"3.11": ("bookworm", "g++"), "3.13": ("trixie", "g++-12")}
"""Where Debian has a Python for aarch64, and the compiler: with a later libstdc++ the wheels would need a later one."""

EMULATED = "aarch64"
EPOCH = "1700000000"
"""Date of files where git knows none."""


def main() -> int:
    """Build for each machine; 0 if each wheelhouse has all that it must have."""
    parser = argparse.ArgumentParser(description="Build wheels of patchedge and hnswlib, and a wheelhouse a platform.")
    machines = [EMULATED] if platform.machine() == EMULATED else ["x86_64", EMULATED]
    parser.add_argument("--platform", choices=machines, action="append", help="only this one (default: all)")
    parser.add_argument(
        "--python",
        choices=PYTHONS["x86_64"],
        action="append",
        help="only this one, in the wheelhouse too (default: all)",
    )
    args = parser.parse_args()
    wrong: list[str] = []
    try:
        for machine in args.platform or machines:
            wrong += make_house(machine, [each for each in PYTHONS[machine] if each in (args.python or [each])])
    except Unable as error:
        say(f"{error}; for x86-64 alone: make wheels WHEELS_OPTIONS='--platform x86_64'")
        return 69
    print("\n".join(dict.fromkeys(wrong) or ["each wheelhouse has all that it must have"]))
    return 1 if wrong else 0


def make_house(machine: str, versions: Sequence[str]) -> list[str]:
    """Build for a machine, pack the wheelhouse, and return what is wrong with it."""
    files: list[Path] = []
    built = []
    for version, python in found(versions):
        began_s, out = time.monotonic(), (WORK / machine / version).resolve()
        wheels = make_wheels(python, version, machine, out)
        names = ", ".join(path.name for path in wheels)
        say(f"{machine}, Python {version}: {names} ({time.monotonic() - began_s:.0f} s)")
        if late := too_new(wheels):
            return [f"{name} needs a later glibc than 2.34: build on Debian 12" for name in late]
        download(pip_of(python, machine, out), version, machine, wheels, out / "needed", ROOT / "constraints.txt")
        files += [*wheels, *sorted((out / "needed").glob("*.whl"))]
        built.append(version)
    return finish(machine, built, files)


def found(versions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return the versions for which there is an interpreter, and it; say which are missing."""
    for version in versions:
        if python := interpreter(version):
            yield version, python
        else:
            say(f"Python {version} is not found here, so there are no wheels for it")


def make_wheels(python: str, version: str, machine: str, out: Path) -> list[Path]:
    """Compile into an empty folder, and return the wheels that auditwheel accepted."""
    shutil.rmtree(out, ignore_errors=True)
    copy_source(out / "source")
    if machine == platform.machine():
        command = [python, str(out / "source/wheels/compile.py"), str(out / "source"), str(out)]
        subprocess.run(command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": date()})
    else:
        compile_emulated(version, machine, out)
    return sorted((out / "dist").glob("*.whl"))


def finish(machine: str, versions: list[str], files: list[Path]) -> list[str]:
    """Pack the wheelhouse, and return what is wrong with it."""
    house = HOUSES / machine
    packed = pack(files, house)
    megabytes = sum(path.stat().st_size for path in packed) / 1e6
    say(f"{house}: {len(packed)} wheels, {megabytes:.0f} MB, for Python {', '.join(versions) or 'none'}")
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    wrong = [line for version in versions for line in faults(house, version, machine, constraints)]
    return wrong if versions else [f"no Python for {machine} was found"]


def compile_emulated(version: str, machine: str, out: Path) -> None:
    """Compile with the Python and the compiler of a release of Debian, in a root of its own."""
    suite, compiler = RELEASES[version]
    roots.prepare(machine)
    root = roots.with_packages(suite, machine, "compiler", [compiler, "python3-dev", "python3-venv"])
    settings = {"SOURCE_DATE_EPOCH": date(), "CXX": compiler, "CC": compiler.replace("g++", "gcc")}
    words = [*roots.for_build(root, out), *roots.settings(settings)]
    subprocess.run([*words, "python3", "/work/source/wheels/compile.py", "/work/source", "/work"], check=True)


def date() -> str:
    """Return the time of the last commit, which the files in the wheels get, so that two builds give the same bytes."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return EPOCH
    return done.stdout.strip() or EPOCH


def pip_of(python: str, machine: str, out: Path) -> Path:
    """Return an interpreter of this machine with the pip of tools.txt: that of the build, if it was made here."""
    if machine == platform.machine():
        return out / "env/bin/python"
    subprocess.run([python, "-m", "venv", "--clear", str(out / "pip")], check=True)
    made = out / "pip/bin/python"
    tools = (LISTS / "tools.txt").read_text(encoding="utf-8").splitlines()
    pip = next(line for line in tools if line.startswith("pip=="))
    subprocess.run([made, "-m", "pip", "install", "--quiet", pip], check=True)
    return made


if __name__ == "__main__":
    sys.exit(main())
