"""The accuracy table. Usage: python -m tests.programs.bench.table DATA_FOLDER RESULTS_FILE.

Fits and evaluates every set with truth over input size, coreset, precision, layers and score mode. A finished row is
kept in the results file (JSON lines), so that a run of hours may be stopped and continued; the table goes to stdout.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from edge_config.bundle.files import BANK, MEASURE, NEIGHBOURS
from export.evaluation.dataset import Dataset, open_dataset
from export.evaluation.evaluate import evaluate
from export.evaluation.metrics import image_auroc
from export.fit import fit
from export.options import Options
from runtime.frame import Neighbours, Score
from runtime.inference.load import load
from runtime.scoring.score import Mode, ScoreFrame
from runtime.search.measure import read_measure
from tests.programs.bench.machine import machine
from tests.programs.bench.published import link

SETS = ("cookie", "bottle", "pill", "office")
MODES: tuple[Mode, ...] = ("paper", "max", "topk")
EVERY = 5
"""Of the office, every fifth frame is evaluated."""

LAYERS: dict[str, dict[str, Any]] = {
    "2 + 4 + 8": {},
    "2 + 4 + 10": {"layers": ("blocks.2", "blocks.4", "blocks.10"), "stride": 2},
    "4 + 10": {"layers": ("blocks.4", "blocks.10"), "stride": 1},
}
"""Blocks of EfficientNet-lite0; the first are the default. With block 2 every second position is kept: all have one
patch to 8 x 8 pixels."""


def settings() -> Iterator[dict[str, Any]]:
    """Yield the rows: the defaults, then each setting changed by itself, then 10 % and int8 at the smaller size too."""
    default = {"layers": "2 + 4 + 8", "size": 320, "coreset": 0.03, "precision": "float32"}
    yield default
    yield {**default, "precision": "int8"}
    yield {**default, "coreset": 0.1}
    yield {**default, "coreset": 0.01}
    yield {**default, "size": 224}
    yield {**default, "layers": "4 + 10"}
    yield {**default, "layers": "2 + 4 + 10"}
    yield {**default, "size": 224, "coreset": 0.1}
    yield {**default, "size": 224, "precision": "int8"}
    yield {**default, "size": 224, "coreset": 0.01}


def measure(data: Path, name: str, row: dict[str, Any], work: Path) -> dict[str, Any]:
    """Fit and evaluate once."""
    images, dataset = _open(data, name, work)
    chosen = {"size": row["size"], "coreset": row["coreset"], "precision": row["precision"], **LAYERS[row["layers"]]}
    report = fit(Options(images=str(images), out=str(work / "set.bundle"), force=True, **chosen))
    bundle, scorer = load(work / "set.bundle")
    scoring = bundle.manifest.scoring
    bank, neighbours = load_file(bundle.file(BANK))["bank"], load_file(bundle.file(NEIGHBOURS))["neighbours"]
    divisors = read_measure(bundle.file(MEASURE), *bank.shape).divisors
    by_mode = {mode: ScoreFrame(bank, neighbours, mode, scoring.k, divisors) for mode in MODES}
    scores: dict[str, list[float]] = {mode: [] for mode in MODES}

    def score_all(features: NDArray[np.float32], found: Neighbours) -> Score:
        """Score in every mode; the walk over the pictures uses the bundle's own."""
        results = {mode: score(features, found) for mode, score in by_mode.items()}
        if len(scores["max"]) < len(dataset.samples):  # the page's examples are scored a second time
            for mode, result in results.items():
                scores[mode].append(result.value)
        return results[scoring.mode]

    figures = evaluate(bundle, dataclasses.replace(scorer, score=score_all), dataset).evaluation
    truth = np.array([sample.anomalous for sample in dataset.samples])
    return {
        "set": name,
        **row,
        **{mode: image_auroc(np.array(values), truth) for mode, values in scores.items()},
        "pixel": figures.pixel_auroc,
        "aupro": figures.aupro,
        "false_alarms": figures.false_alarm_rate,
        "detected": figures.detection_rate,
        "promised": figures.promised_alpha,
        "graph_ms": figures.stage_ms["embed"],
        "frame_ms": figures.stage_ms["whole"],
        "bank": report.manifest.coreset.size,
        "fit_s": sum(report.seconds.values()),
    }


def _open(data: Path, name: str, work: Path) -> tuple[Path, Dataset]:
    if name != "office":
        return data / name / "train" / "good", open_dataset(data / name)
    frames = sorted((data / name / "frames").iterdir())
    images = work / "office"
    if not images.exists():
        link(frames[:400], images)
    with (data / name / "truth.csv").open() as stream:
        rows = list(csv.reader(stream))
    some = work / "office.csv"
    with some.open("w") as stream:
        csv.writer(stream).writerows([rows[0], *rows[401::EVERY]])
    return images, open_dataset(some, frames=data / name / "frames", masks=data / name / "masks")


def as_table(rows: list[dict[str, Any]]) -> str:
    """Write the rows in Markdown."""
    columns = ("set", "layers", "size", "coreset", "precision", "paper", "max", "topk", "pixel", "aupro")
    more = ("false_alarms", "detected")
    lines = ["| " + " | ".join((*columns, *more)) + " |", "|" + "---|" * (len(columns) + len(more))]
    for row in rows:
        rates = [f"{row[name]:.1%}" for name in more]
        cells = [
            f"{row[name]:.4f}" if isinstance(row[name], float) and name != "coreset" else str(row[name])
            for name in columns
        ]
        lines.append("| " + " | ".join([*cells, *rates]) + " |")
    return "\n".join(lines)


def main() -> int:
    """Measure what is not in the results file yet, and print the table."""
    data, results = Path(sys.argv[1]), Path(sys.argv[2])
    if not data.is_dir():
        print(f"accuracy table: skipped, {data} is absent")
        return 0
    results.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    for row in settings():
        for name in SETS:
            wanted = {"set": name, **row}
            if any(wanted.items() <= have.items() for have in done):
                continue
            with tempfile.TemporaryDirectory() as folder:
                done.append(measure(data, name, row, Path(folder)))
            with results.open("a") as stream:
                print(json.dumps(done[-1]), file=stream)
    print(machine(), as_table(sorted(done, key=lambda row: SETS.index(row["set"]))), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
