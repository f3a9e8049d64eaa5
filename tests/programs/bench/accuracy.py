"""Accuracy, alerts and search on real pictures. Usage: python -m tests.programs.bench.accuracy [DATA_FOLDER].

Scores are those that a subscriber received. Searches are compared in this process, on the same bundle and pictures.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score

from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from runtime.camera.image_files import read_picture
from runtime.inference.load import load
from runtime.learning.bank.index import recall_at_1
from runtime.search.full import ExactSearch, GraphSearch, distances
from runtime.search.measure import read_measure
from tests.programs.bench.alerts import FPS, count_alerts
from tests.programs.bench.machine import machine
from tests.programs.bench.published import fit, link, published_scores

DATA = Path(__file__).parents[3].parent / "shared" / "data"


def office(data: Path, work: Path) -> str:
    """Fit on frames 1 to 400 of a fixed camera, score the rest in order; other labels than the two count nowhere."""
    with (data / "office" / "truth.csv").open() as stream:
        truth = {int(row["frame"]): row["label"] for row in csv.DictReader(stream)}
    frames = sorted((data / "office" / "frames").iterdir())
    bundle = work / "office.bundle"
    fit(link(frames[:400], work / "office-train"), bundle)
    rest = link(frames[400:], work / "office-test")
    scored = published_scores(bundle, rest, len(frames) - 400)
    labels = np.array([truth[400 + message.frame_id] for message in scored])
    figures = _figures("office", scored, labels == "anomalous", labels == "normal")
    few = frames[400::20]
    return "\n".join((figures, _alerts(scored, labels, load(bundle)[0]), _search(bundle, few)))


def mvtec(data: Path, work: Path, name: str) -> str:
    """Fit on train/good of a set in MVTec layout, score all test pictures."""
    bundle = work / f"{name}.bundle"
    fit(data / name / "train" / "good", bundle)
    pictures = sorted((data / name / "test").rglob("*.*"))
    scored = published_scores(bundle, link(pictures, work / f"{name}-test"), len(pictures))
    good = np.array([pictures[message.frame_id - 1].parent.name == "good" for message in scored])
    return _figures(name, scored, ~good, good)


def _alerts(scored: list, labels: np.ndarray, bundle: Bundle) -> str:
    """Say what alerts these frames make, and what was left out."""
    threshold = bundle.manifest.calibration.threshold
    found = count_alerts([message.score for message in scored], labels.tolist(), threshold)
    others = {label: int((labels == label).sum()) for label in sorted(set(labels) - {"normal", "anomalous"})}
    alarms = {label: sum(m.label == "anomalous" for m in np.array(scored)[labels == label]) for label in others}
    left = ", ".join(f"{others[label]} {label} ({alarms[label]} over the threshold)" for label in others)
    return (
        f"  alerts by the default settings at {FPS} frames a second: {found.true} true, {found.false} false, "
        f"{found.left_out} on frames left out; left out of the figures: {left or 'none'}"
    )


def _figures(name: str, scored: list, anomalous: np.ndarray, normal: np.ndarray) -> str:
    scores = np.array([message.score for message in scored])
    alarms = np.array([message.label == "anomalous" for message in scored])
    known = anomalous | normal
    return (
        f"{name:<8} AUROC {roc_auc_score(anomalous[known], scores[known]):.4f}"
        f"  false alarms {alarms[normal].sum()} of {normal.sum()}"
        f"  detected {alarms[anomalous].sum()} of {anomalous.sum()}"
        f"  age p50 {np.median([message.age_ms for message in scored]):.1f} ms"
    )


def _search(path: Path, pictures: list[Path]) -> str:
    """Compare the graph, and what the device makes of it, with the exact search."""
    bundle, scorer = load(path)
    manifest = bundle.manifest
    bank = load_file(bundle.file(bundles.BANK))["bank"]
    measure = read_measure(bundle.file(bundles.MEASURE), *bank.shape)
    near, exact = ExactSearch(bank), ExactSearch(bank, measure.divisors)  # the graph proposes what is near undivided
    graph = GraphSearch.load(bundle.file(bundles.INDEX), dimension=manifest.features.dimension, ef=manifest.index.ef)
    recall, above, device = [], [], []
    for picture in pictures:
        features = scorer.embed(scorer.preprocess(read_picture(picture)))
        true = exact(features)
        true_score = scorer.score(features, true).value
        proposed = graph(features)
        recall.append(recall_at_1(proposed, near(features)))
        divided = distances(features, bank, proposed.index, measure.divisors)
        above.append(scorer.score(features, replace(proposed, distance=divided)).value - true_score)
        device.append(abs(scorer.score(features, scorer.search(features)).value - true_score))
    return (
        f"  search over {len(pictures)} of them at ef {manifest.index.ef}: recall@1 {np.mean(recall):.4f}; frame "
        f"score of the graph alone {min(above):+.1e} to {max(above):+.2f} against exact, on a device {max(device):.0e}"
    )


def main() -> int:
    """Print a line for each set that is there."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    if not data.is_dir():
        print(f"accuracy: skipped, {data} is absent")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        lines = [office(data, Path(folder))]
        lines += [mvtec(data, Path(folder), name) for name in ("bottle", "cookie", "pill")]
    print(machine(), *lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
