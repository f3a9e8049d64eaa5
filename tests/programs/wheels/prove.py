"""Install from the wheelhouses in empty roots, without compiler and network, and wait for the first score.

Usage: python -m tests.programs.wheels.prove [--help], as root, after `make wheels` and `make demo`.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.programs.arm64.root import Unable
from tests.programs.pythons import interpreter
from tests.programs.wheels import roots
from tests.programs.wheels.run import EMULATED, PYTHONS, RELEASES
from tests.programs.wheels.source import LISTS
from tests.programs.wheels.wheelhouse import HOUSES, SUMS, say

WORK = Path("build/wheels/proof")
LOG = "output.log"

MAX_S = 60.0
"""From the wheelhouse to the first score, on x86-64; emulated, time says nothing."""

OF_PYENV = "/opt/python/bin/python3"


@dataclass(frozen=True, slots=True)
class Case:
    """A root and a Python in it.

    Attributes:
        machine: that the root is for.
        python: its version.
        suite: release of Debian.
        command: the interpreter inside.
        mounted: the folder of an interpreter that is mounted; None where Debian's own is taken.
    """

    machine: str
    python: str
    suite: str
    command: str = "/usr/bin/python3"
    mounted: Path | None = None


def main() -> int:
    """Try each case; 0 if all went well."""
    parser = argparse.ArgumentParser(description="Install from the wheelhouses without compiler and network.")
    machines = [EMULATED] if platform.machine() == EMULATED else ["x86_64", EMULATED]
    parser.add_argument("--platform", choices=machines, action="append", help="only this one (default: all)")
    parser.add_argument("--demo", type=Path, default=Path("build/demo"), help="folder of `make demo`")
    args = parser.parse_args()
    try:
        demo = find_demo(args.demo)
        results = [attempt(case, demo) for machine in args.platform or machines for case in cases(machine)]
    except Unable as error:
        say(str(error))
        return 69
    return 0 if results and all(results) else 1


def find_demo(folder: Path) -> Path:
    """Return the folder, if it has a bundle and a clip.

    Raises:
        Unable: it has not.
    """
    if not (folder / "belt.bundle/manifest.json").exists() or not (folder / "camera.avi").exists():
        raise Unable(f"no bundle in {folder}: run `make demo` first")
    return folder


def cases(machine: str) -> Iterator[Case]:
    """Return what is to be tried: each Python of the wheelhouse, in Debian's release that has it or mounted into one.

    Raises:
        Unable: there is no wheelhouse.
    """
    house = HOUSES / machine
    if not (house / SUMS).exists():
        raise Unable(f"no wheelhouse in {house}: run `make wheels` first")
    for python in PYTHONS[machine]:
        tag = f"-cp{python.replace('.', '')}-"
        if not any(tag in path.name for path in house.glob("patchedge-*.whl")):
            say(f"{house} has no wheels for Python {python}, so it is not tried")
        elif python in RELEASES:
            yield Case(machine, python, RELEASES[python][0])
        elif path := interpreter(python):
            yield Case(machine, python, "bookworm", OF_PYENV, Path(path).resolve().parents[1])


def attempt(case: Case, demo: Path) -> bool:
    """Install and run in a root, print the times, and return whether all went well."""
    root = roots.with_packages(case.suite, case.machine, "python", ["python3-venv"])
    roots.prepare(case.machine)
    work = (WORK / f"{case.machine}-{case.python}").resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    mounts = {"/mnt/wheelhouse": HOUSES / case.machine, "/mnt/belt.bundle": demo / "belt.bundle"}
    mounts |= {"/mnt/camera.avi": demo / "camera.avi", "/mnt/first_score.sh": LISTS / "first_score.sh"}
    if case.mounted:
        mounts["/opt/python"] = case.mounted
    words = [*roots.without_network(root, case.machine, work, mounts), "--setenv", "LD_LIBRARY_PATH", "/opt/python/lib"]
    words += ["/bin/sh", "/mnt/first_score.sh", case.command]
    name = f"Python {case.python} on {case.machine}, Debian {case.suite}"
    times, code = follow(words, work / LOG)
    if code:
        print(f"{name}: FAILED\n{(work / LOG).read_text(encoding='utf-8', errors='replace')}", file=sys.stderr)
        return False
    whole = times["scored"] - times["verify"]
    emulated = case.machine != platform.machine()
    steps = ", ".join(f"{step} {times[then] - times[step]:.1f}" for step, then in STEPS)
    print(f"{name}: first score after {whole:.1f} s ({steps}){', emulated' if emulated else ''}", flush=True)
    shutil.rmtree(work / "venv")
    return emulated or whole <= MAX_S


STEPS = (("verify", "install"), ("install", "check"), ("check", "run"), ("run", "scored"))


def follow(words: list[str], log: Path) -> tuple[dict[str, float], int]:
    """Run a command, write down what it prints, and return when each `step NAME` came, and its exit code.

    Raises:
        ValueError: what should be the first score is not one.
    """
    times: dict[str, float] = {}
    with (
        log.open("w", buffering=1, encoding="utf-8") as kept,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running,
    ):
        assert running.stdout is not None
        for line in running.stdout:
            kept.write(line)
            if line.startswith("step "):
                times[line.split()[1]] = time.monotonic()
            elif line.startswith('{"topic"') and json.loads(line)["message"]["score"] is None:
                raise ValueError(f"no score: {line}")
    return times, running.returncode


if __name__ == "__main__":
    sys.exit(main())
