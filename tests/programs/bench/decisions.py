"""What the options of `fit` do to decisions. Usage: python -m tests.programs.bench.decisions DATA_FOLDER RESULTS_FILE.

Fits and scores the real sets with named variants of options, each with one command line for all sets, and compares the
first variant, the defaults, with the floors that must hold: exit code 1 if one does not. A finished row is kept in the
results file (JSON lines) with a hash of the code that made it, so that a run may be stopped and continued. One process
at a time. The page of the report is left out: no decision depends on it.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_config.errors import PatchedgeError
from export.cli import fit
from export.evaluation.dataset import Dataset, open_dataset
from export.evaluation.metrics import image_auroc
from runtime.inference.load import load
from runtime.process.threads import limit_threads
from tests.programs.bench import decision_table
from tests.programs.bench.published import link
from tests.support.processes import EXPORT

SETS = ("bottle", "cookie", "pill", "cells", "transistor", "office")
LEARNT = 400
"""Frames of the office to learn from, all empty; those after it are judged."""

EVERY = 10
"""Of the office's frames with people, every tenth is judged; of the empty ones each."""

VARIANTS = {
    "default": "",
    "coreset 3 %": "--coreset 0.03",
    "coreset 10 %": "--coreset 0.1",
    "score paper": "--score paper",
    "score max": "--score max",
    "scaling none": "--scaling none",
    "scaling channel": "--scaling channel",
    "position-means 0": "--position-means 0",
    "spacing none": "--spacing none",
    "spacing local": "--spacing local",
    "may-vary none": "--may-vary none",
    "may-vary light": "--may-vary light=20%",
    "exclude auto": "--exclude auto",
    "paper": "--score paper --coreset 0.1 --may-vary none --scaling none --spacing none --centring 0"
    " --position-means 0",
}
"""Name -> options of `fit`; the first are the defaults. `paper` is the method as it was published."""

ROOT = Path(__file__).parents[3]
CODE = ("edge_config", "runtime", "export")


def measure(data: Path, name: str, options: str, threads: int, every: int) -> dict[str, Any]:
    """Fit in a process of its own, score the test pictures, and return a row."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images, dataset = open_set(data, name, work, every)
        summary, seconds, peak = _fit(images, work / "set.bundle", options, threads)
        bundle, scorer = load(work / "set.bundle", limit_threads(threads))
        calibration, coreset = bundle.manifest.calibration, bundle.manifest.coreset
        start = time.perf_counter()
        pictures = dataset.pictures(depth=bundle.manifest.preprocessing.depth)
        scores = np.array([scorer(image).value for _, image in pictures])
        test_seconds = time.perf_counter() - start
    truth = np.array([sample.anomalous for sample in dataset.samples])
    flagged = scores > calibration.threshold
    return {
        "auroc": image_auroc(scores, truth),
        "threshold": calibration.threshold,
        "held_out": calibration.n,
        "promised": calibration.promised_alpha,
        "good": int((~truth).sum()),
        "false_alarms": int(flagged[~truth].sum()),
        "faults": int(truth.sum()),
        "detected": int(flagged[truth].sum()),
        "bank": coreset.size,
        "patches": coreset.patches,
        "stopped": coreset.stopped,
        "change": coreset.change,
        "fit_s": seconds,
        "peak_mb": peak,
        "test_s": test_seconds,
        "stages_s": summary["seconds"],
        "scores": {"good": _rounded(scores[~truth]), "faults": _rounded(scores[truth])},
    }


def open_set(data: Path, name: str, work: Path, every: int) -> tuple[Path, Dataset]:
    """Return the folder to learn from, and the pictures to judge."""
    if name != "office":
        return data / name / "train" / "good", open_dataset(data / name)
    frames = sorted((data / name / "frames").iterdir())
    images = link(frames[:LEARNT], work / "office")
    with (data / name / "truth.csv").open() as stream:
        rows = list(csv.DictReader(stream))[LEARNT:]
    people = [row for row in rows if row["label"] == "anomalous"][::every]
    judged = [row for row in rows if row["label"] == "normal"] + people
    some = work / "office.csv"
    with some.open("w") as stream:
        csv.writer(stream).writerows([("frame", "label"), *((row["frame"], row["label"]) for row in judged)])
    return images, open_dataset(some, frames=data / name / "frames")


def _fit(images: Path, out: Path, options: str, threads: int) -> tuple[dict[str, Any], float, float]:
    """Fit, and return the summary, seconds, and the peak of memory, MB."""
    command = [*EXPORT, "fit", "--images", images, "--out", out, "--json", "--no-report", "--threads", threads]
    command += shlex.split(options)
    start = time.perf_counter()
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        summary = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)  # the peak of this child, not of all
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return json.loads(summary), time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e6


def _rounded(scores: np.ndarray) -> list[float]:
    return [float(f"{score:.6g}") for score in scores]


def code() -> str:
    """Return a hash of the code that decides: rows of other code are measured again."""
    files = (path for room in CODE for path in (ROOT / room).rglob("*") if path.suffix in {".py", ".c", ".h"})
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()[:12]


def known(options: str) -> bool:
    """Return whether `fit` has these options."""
    parser = argparse.ArgumentParser(prog="fit", exit_on_error=False)
    fit.add_arguments(parser)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            parser.parse_args(shlex.split(options))
        except (argparse.ArgumentError, SystemExit):
            return False
    return True


def read(results: Path) -> list[dict[str, Any]]:
    """Return the rows that were measured so far."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.decisions")
    parser.add_argument("data", type=Path, help="folder of the real pictures")
    parser.add_argument("results", type=Path, help="JSON lines; continued if it is there")
    parser.add_argument("--sets", default=",".join(SETS), help="names with commas between them")
    parser.add_argument("--variants", default=next(iter(VARIANTS)), help="names with commas between them, or all")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=OPTIONS", help="one more variant")
    parser.add_argument("--every", type=int, default=EVERY, help="of the office's frames with people")
    parser.add_argument("--threads", type=int, default=0, help="limit of all threads; 0: all cores")
    parser.add_argument("--any-code", action="store_true", help="keep rows that other code has measured")
    parser.add_argument("--table", action="store_true", help="measure nothing, print what is there in Markdown")
    return parser.parse_args()


def main() -> int:
    """Measure what is not in the results file yet; print the table, and what holds of the floors."""
    args = arguments()
    if not args.data.is_dir():
        print(f"decisions: skipped, {args.data} is absent")
        return 0
    args.results.parent.mkdir(parents=True, exist_ok=True)
    variants = VARIANTS | dict(variant.split("=", 1) for variant in args.also)
    wanted = list(variants) if args.variants == "all" else [name.strip() for name in args.variants.split(",")]
    wanted += [variant.split("=", 1)[0] for variant in args.also if args.variants != "all"]
    wanted = list(dict.fromkeys(wanted))
    if unknown := set(wanted) - set(variants):
        print(f"decisions: no variant {', '.join(sorted(unknown))}; there are {', '.join(variants)}")
        return 2
    same = {} if args.any_code or args.table else {"code": code()}
    done = [row for row in read(args.results) if same.items() <= row.items()]
    rows, begin = [], time.perf_counter()
    for variant in wanted:
        if not known(variants[variant]):
            print(f"{variant}: left out, fit does not take {variants[variant]}", flush=True)
            continue
        for name in args.sets.split(","):
            key = {"set": name, "variant": variant, "options": variants[variant], "every": args.every}
            have = [row for row in done if key.items() <= row.items()]  # the last one is the newest
            if not have and not args.table:
                have = [_measured(args, key)]
            rows += have[-1:]
    if not args.table:
        print(f"{time.perf_counter() - begin:.0f} s", flush=True)
    print(decision_table.as_markdown(rows))
    verdicts = decision_table.verdicts([row for row in rows if row["variant"] == next(iter(VARIANTS))])
    print("", *verdicts, sep="\n")
    return int(any(verdict.startswith(decision_table.FAIL) for verdict in verdicts))


def _measured(args: argparse.Namespace, key: dict[str, Any]) -> dict[str, Any]:
    """Measure a row, keep it, and say it on a line."""
    try:
        row = {**key, "code": code(), **measure(args.data, key["set"], key["options"], args.threads, args.every)}
    except (PatchedgeError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"decisions: {key['variant']} on {key['set']}: {error}") from error
    with args.results.open("a") as stream:
        print(json.dumps(row), file=stream)
    print(decision_table.in_words(row), flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
