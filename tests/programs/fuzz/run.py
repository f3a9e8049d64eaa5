"""Fuzz one reader under atheris, or all one by one: `python -m tests.programs.fuzz.run NAME|all --minutes 10`.

A run ends with a line of what was done. What broke a reader is kept in build/fuzz: put it into its FOUND.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.programs.fuzz.targets import TARGETS

WORK = Path("build/fuzz")

MAX_S = 2
"""Of processor time: a reader that takes longer hangs."""

MAX_MB = 1024
"""Of the whole process, atheris and numpy included."""

MAX_INPUT = 70_000


def main() -> int:
    """Fuzz, each reader in a process of its own; the exit code says whether anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=(*TARGETS, "all"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        fuzz(args.name, args.minutes)
    names = TARGETS if args.name == "all" else (args.name,)
    return max(run(name, args.minutes) for name in names)


def run(name: str, minutes: float) -> int:
    """Fuzz one reader in a process, and print its figures."""
    WORK.mkdir(parents=True, exist_ok=True)
    log = WORK / f"{name}.log"
    with log.open("w") as stream:
        words = [sys.executable, "-m", "tests.programs.fuzz.run", name, "--minutes", str(minutes), "--inside"]
        done = subprocess.run(words, stdout=stream, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(errors="replace")
    counts = re.findall(r"^#(\d+)\s.*?cov: (\d+)", text, flags=re.MULTILINE) or [("0", "0")]
    peaks = re.findall(r"rss: (\d+)Mb", text) or ["0"]
    verdict = "nothing found" if done.returncode == 0 else f"FOUND SOMETHING: see {log}"
    print(
        f"{name:<14}{counts[-1][0]:>10} executions {counts[-1][1]:>6} branches {peaks[-1]:>5} MB  {verdict}", flush=True
    )
    return int(done.returncode != 0)


def fuzz(name: str, minutes: float) -> None:
    """Fuzz until the time is over; this ends the process."""
    import atheris

    with atheris.instrument_imports(include=["edge_config", "runtime", "tarfile", "zipfile", "yaml", "tomllib"]):
        from tests.programs.fuzz.targets import target

        reader = target(name)
    corpus = WORK / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate((*reader.seeds(), *reader.FOUND)):
        (corpus / f"seed-{number}").write_bytes(data)

    def check(data: bytes) -> None:
        start = time.process_time()
        reader.check(data)
        assert time.process_time() - start < MAX_S, "it hangs"

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        changed = reader.mutate(data, seed) if seed % 2 and hasattr(reader, "mutate") else atheris.Mutate(data, most)
        return changed[:most]

    longest = getattr(reader, "LONGEST", MAX_INPUT)
    options = [f"-max_total_time={minutes * 60:.0f}", f"-rss_limit_mb={MAX_MB}", f"-max_len={longest}"]
    options += ["-timeout=60", "-print_final_stats=1", f"-artifact_prefix={WORK}/{name}-"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], check, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
