"""Scratches of three sizes on 12-megapixel pictures of brushed metal: found as one input, and in tiles?

Makes the normal pictures, fits two bundles (as one input, and with `--smallest-fault 4`), and judges fresh pictures,
without a fault and with one, at each bundle's own threshold. `make bench-small-faults`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import betabinom

from export.network.tiles import smallest_seen
from runtime.inference.load import load
from runtime.process.threads import limit_threads
from tests.programs.bench.brushed_metal import metal, scratch

HW = (3000, 4000)
SIZES = ((4, 40), (12, 120), (40, 400))
LEVELS = 40.0
"""How much darker a scratch is, grey levels; the metal itself has a standard deviation of 13."""

ACROSS, ALONG = (-70.0, 70.0), (80.0, 100.0)
"""Degrees from straight across the brush. What runs along it, dark and thin, is what the brush leaves too."""

SMALLEST = 4
FRESH = 100_000  # seeds of pictures that are judged


def main() -> None:
    """Do the whole bench, or a part of it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/small-faults"), help="folder for pictures and bundles")
    parser.add_argument("--normals", type=int, default=32, help="pictures to learn from")
    parser.add_argument("--fresh", type=int, default=10, help="pictures to judge, each without a fault and with each")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.judge:
        print(json.dumps(_judge(args.judge, args.fresh, args.threads)))
        return
    images = args.work / "normal"
    images.mkdir(parents=True, exist_ok=True)
    for seed in range(args.normals):
        path = images / f"{seed:03d}.png"
        if not path.exists():
            cv2.imwrite(str(path), metal(seed, HW), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    for name, options in (("one input", []), (f"--smallest-fault {SMALLEST}", ["--smallest-fault", str(SMALLEST)])):
        bundle = args.work / f"{'tiles' if options else 'one'}.bundle"
        seconds, memory_mb = _fit(images, bundle, [*options, "--threads", str(args.threads)])
        print(f"\n{name}: fit {seconds:.0f} s, peak {memory_mb:.0f} MB", flush=True)
        command = [sys.executable, "-m", __spec__.name, "--judge", str(bundle), "--fresh", str(args.fresh)]
        found = subprocess.run([*command, "--threads", str(args.threads)], check=True, capture_output=True, text=True)
        print(_in_words(json.loads(found.stdout)), flush=True)


def _fit(images: Path, bundle: Path, options: list[str]) -> tuple[float, float]:
    """Return the seconds and the peak memory, MB, of a fit."""
    command = [sys.executable, "-m", "export.cli.main", "fit", "--images", str(images), "--out", str(bundle)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--force", "--no-report", *options])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"fit failed with {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1e3


def _judge(path: Path, fresh: int, threads: int) -> dict[str, object]:
    """Score fresh pictures: the shares found, the false alarms, the time and the memory."""
    bundle, scorer = load(path, limit_threads(threads, blas=1))
    manifest = bundle.manifest
    threshold, spent = manifest.calibration.threshold, []
    over: dict[str, list[bool]] = {}
    highest: dict[str, list[float]] = {}
    kinds = [(f"{width} x {length}", (width, length), ACROSS) for width, length in SIZES]
    kinds.append(("12 x 120 along the brush", SIZES[1], ALONG))
    for number in range(fresh):
        picture = metal(FRESH + number, HW)
        for name, size, turned in [("normal", None, ACROSS), *kinds]:
            judged, middle = (picture, (0, 0)) if size is None else scratch(picture, size, LEVELS, turned, number)
            start = time.perf_counter()
            tensor = scorer.preprocess(judged)
            features = scorer.embed(tensor)
            embedded = time.perf_counter()
            score = scorer.judge(features)
            spent.append((embedded - start, time.perf_counter() - embedded))
            x, y = scorer.preprocess.to_camera(score.patch, scorer.grid, HW)
            there = size is None or np.hypot(x - middle[0], y - middle[1]) <= max(size) / 2 + 64
            over.setdefault(name, []).append(bool(score.value > threshold and there))
            highest.setdefault(name, []).append(score.value / threshold)
    network, search = np.median(spent, axis=0) * 1e3
    calibration, tiles = manifest.calibration, manifest.preprocessing.tiles
    return {
        "over": {name: (sum(found), len(found)) for name, found in over.items()},
        "median score by threshold": {name: round(float(np.median(values)), 2) for name, values in highest.items()},
        "allowed": int(betabinom.ppf(0.99, fresh, 1, calibration.n)),
        "promised": calibration.promised_alpha,
        "tiles": (len(tiles.tops), len(tiles.lefts)) if tiles else (1, 1),
        "seen": smallest_seen(manifest.preprocessing.resize_hw, HW),
        "patches": scorer.grid.hw,
        "entries": manifest.coreset.size,
        "bundle_mb": sum(file.stat().st_size for file in path.iterdir()) / 1e6,
        "network_ms": network,
        "search_ms": search,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def _in_words(found: dict[str, object]) -> str:
    over, scores = found.pop("over"), found.pop("median score by threshold")
    assert isinstance(over, dict)
    assert isinstance(scores, dict)
    lines = [
        f"  {name}: {count} of {total} over the threshold, median score {scores[name]} of it"
        for name, (count, total) in over.items()
    ]
    return "\n".join([*lines, *(f"  {name}: {value}" for name, value in found.items())])


if __name__ == "__main__":
    main()
