"""Pictures of faults among the normal ones. Usage: python -m tests.programs.bench.dirty DATA_FOLDER RESULTS_FILE.

Plants defective pictures among the normals of a real set, fits with and without `--exclude auto`, and counts what is
warned of, named, and found at the threshold of the bundle. Likewise `recalibrate`. A finished row is kept in the
results file (JSON lines), so that a run may be stopped and continued; the table goes to stdout.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from edge_config.errors import PatchedgeError
from export.fit import fit
from export.options import Options
from export.recalibrate import recalibrate
from export.report.facts import FitReport
from runtime.camera.image_files import read_picture
from runtime.inference.load import load
from tests.programs.bench.machine import machine
from tests.programs.bench.published import link

Asked = Literal["auto"] | None

EMPTY = 99
"""Frames of the empty office to learn from, of the first 400."""

JUDGED = 10
"""Of the office's frames with people, every tenth is judged."""

CASES = [
    ("office", 3),
    ("bottle", 10),
    ("office", 0),
    ("bottle", 0),
    ("bottle", 3),
    ("bottle", 1),
    ("office, in a row", 5),
    ("bottle", 23),
]
"""Set, and number of defective pictures among its normal ones; 23 are 10 %."""

CLEAN = ("cookie", "transistor", "pill", "cells")
"""Sets that are fitted as they are: no picture of theirs should be called foreign."""

HEAD = "| set | planted | exclude | warned | named of ten | left out (planted) | threshold | found | false alarms |"


def pictures(data: Path, name: str) -> tuple[list[Path], list[Path], list[Path]]:
    """Return normal pictures to learn from, normal ones to judge, and defective ones."""
    if not name.startswith("office"):
        normal, test = sorted((data / name / "train" / "good").iterdir()), sorted((data / name / "test").glob("*/*"))
        good = [path for path in test if path.parent.name == "good"]
        return normal, good, [path for path in test if path.parent.name != "good"]
    with (data / "office" / "truth.csv").open() as stream:
        labels = {int(row["frame"]): row["label"] for row in csv.DictReader(stream)}
    frames: dict[str, list[Path]] = {}
    for path in sorted((data / "office" / "frames").iterdir()):
        frames.setdefault(labels[int(path.stem)], []).append(path)
    return frames["train"][::4][:EMPTY], frames["normal"], frames["anomalous"]


def dirty(normal: list[Path], defective: list[Path], planted: int, name: str) -> tuple[list[Path], set[int]]:
    """Plant pictures, and return all of them in order and the places of those planted."""
    chance = random.Random(planted)  # noqa: S311 - no secret
    if "row" in name:
        first, at = len(defective) // 3, len(normal) // 2
        chosen, places = defective[first : first + planted], [at] * planted
    else:
        chosen = chance.sample(defective, planted)
        places = sorted(chance.randrange(len(normal)) for _ in range(planted))
    together = list(normal)
    for place, path in zip(reversed(places), chosen, strict=True):
        together.insert(place, path)
    return together, {together.index(path) for path in chosen}


def detection(bundle: Path, good: list[Path], defective: list[Path]) -> dict[str, float]:
    """Return which share of both is over the threshold."""
    loaded, scorer = load(bundle)
    limit = loaded.manifest.calibration.threshold
    over = [[scorer(read_picture(path)).value > limit for path in paths] for paths in (good, defective)]
    return {"false": sum(over[0]) / len(good), "found": sum(over[1]) / len(defective)}


def row(data: Path, name: str, planted: int, exclude: Asked, work: Path) -> dict[str, Any]:
    """Fit once, and judge what the set has to judge with, without the planted pictures."""
    normal, good, defective = pictures(data, name)
    together, places = dirty(normal, defective, planted, name)
    images = link(together, work / "images")
    out = work / "set.bundle"
    report = fit(Options(images=str(images), out=str(out), exclude=exclude, no_report=True))
    left = [path for path in defective if path not in {together[place] for place in places}]
    judged = left[::JUDGED] if name.startswith("office") else left
    return {
        **_named(report, places),
        "n": report.manifest.calibration.n,
        "foreign": report.manifest.calibration.foreign,
        "promised": report.manifest.calibration.promised_alpha,
        "seconds": report.seconds,
        "threshold": report.manifest.calibration.threshold,
        **detection(out, good, judged),
    }


def _named(report: FitReport, places: set[int]) -> dict[str, Any]:
    excluded = report.manifest.excluded.pictures if report.manifest.excluded else ()
    named = [_place(one.name) in places for one in report.strangest]
    normal = [one.deviations for one in report.strangest if _place(one.name) not in places and not one.excluded]
    return {
        "warnings": report.warnings,
        "named": sum(named),
        "excluded": len(excluded),
        "excluded_planted": sum(_place(one.name) in places for one in excluded),
        "deviations": sorted(one.deviations for one in report.strangest if _place(one.name) in places),
        "farthest_normal": max(normal, default=0.0),
    }


def _place(name: str) -> int:
    return int(Path(name).stem)


def recalibrated(data: Path, planted: int, exclude: Asked, work: Path) -> dict[str, Any]:
    """Learn the empty office, and recalibrate with other empty frames and some with people."""
    normal, good, defective = pictures(data, "office")
    fit(Options(images=str(link(normal, work / "images")), out=str(work / "old.bundle"), no_report=True))
    together, places = dirty(good[:EMPTY], defective, planted, "office")
    new, out = link(together, work / "new"), work / "new.bundle"
    try:
        done = recalibrate(work / "old.bundle", new, out, exclude=exclude)
    except PatchedgeError as error:
        return {"refused": str(error)}
    judged = [path for path in defective if path not in {together[place] for place in places}][::JUDGED]
    return {
        "warnings": done.warnings,
        "threshold": done.after.threshold,
        "before": done.before.threshold,
        "foreign": done.after.foreign,
        "promised": done.after.promised_alpha,
        **detection(out, good[EMPTY:], judged),
    }


def main(data: Path, results: Path) -> None:
    """Fill in what is missing, and print all."""
    wanted: list[tuple[str, int, Asked]] = [(*case, asked) for case in CASES for asked in (None, "auto")]
    wanted += [("recalibrate", planted, asked) for planted in (0, 3) for asked in (None, "auto")]
    wanted += [(name, 0, "auto") for name in CLEAN]
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    for case in wanted:
        if list(case) in [one["case"] for one in done]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            found = recalibrated(data, *case[1:], work) if case[0] == "recalibrate" else row(data, *case, work)
        done.append({"case": list(case), **found})
        with results.open("a") as stream:
            print(json.dumps(done[-1]), file=stream)
    print(f"{machine()}\n\n{HEAD}\n|---|--:|---|---|--:|--:|--:|--:|--:|")
    for one in done:
        print(_line(one))


def _line(one: dict[str, Any]) -> str:
    name, planted, asked = one["case"]
    if "refused" in one:
        return f"| {name} | {planted} | {asked or 'no'} | refused | | | | | |"
    warned = "yes" if one["warnings"] else "no"
    left = f"{one['excluded']} ({one['excluded_planted']})" if "excluded" in one else ""
    return (
        f"| {name} | {planted} | {asked or 'no'} | {warned} | {one.get('named', '')} | {left} "
        f"| {one['threshold']:.2f} | {one['found']:.1%} | {one['false']:.1%} |"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
