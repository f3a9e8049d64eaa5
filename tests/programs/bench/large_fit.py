"""Time and memory of a fit on thousands of pictures. Usage: python -m tests.programs.bench.large_fit DATA_FOLDER WORK.

Pictures of solar cells, most of them altered copies (turned, shifted, mirrored, lighter or darker, with noise), so that
no two are alike. They stay in the work folder. `--also '--coreset 0.03'` compares with other options.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.programs.bench.machine import machine
from tests.support.processes import EXPORT

PICTURES = 2156
SEED = 0


def make(source: Path, folder: Path, count: int) -> Path:
    """Write the pictures, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    files, random = sorted(source.iterdir()), np.random.default_rng(SEED)
    for number in range(count):
        target = folder / f"{number:05d}.png"
        image = np.asarray(cv2.imread(str(files[number % len(files)]), cv2.IMREAD_GRAYSCALE))
        image = image if number < len(files) else altered(image, random)
        if not target.exists():
            cv2.imwrite(str(target), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return folder


def altered(image: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Turn, enlarge, shift and mirror a picture a little; change its light, and add noise."""
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-2, 2), random.uniform(1, 1.06))
    matrix[:, 2] += random.uniform(-4, 4, 2)
    moved = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    moved = moved[:: random.choice((-1, 1)), :: random.choice((-1, 1))]
    noisy = moved * random.uniform(0.93, 1.07) + random.normal(0, 2, moved.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def measure(images: Path, out: Path, options: str) -> str:
    """Fit in a process of its own, and say what it took."""
    command = [*EXPORT, "fit", "--images", str(images), "--out", str(out), "--force", "--json", *shlex.split(options)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        written = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"fit {options} ended with {process.returncode}")
    summary = json.loads(written)
    coreset = summary["manifest"]["coreset"]
    stages = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in summary["seconds"].items())
    return (
        f"{options or 'defaults'}: {time.perf_counter() - start:.0f} s of the clock, "
        f"{usage.ru_utime + usage.ru_stime:.0f} s of processors, {usage.ru_maxrss * 1024 / 1e9:.2f} GB; "
        f"{coreset['size']:,} of {coreset['patches']:,} patches, covering radius {coreset['covering_radius']:.2f} "
        f"({coreset['stopped']}, {coreset['change']}); seconds: {stages}"
    )


def main() -> int:
    """Make the pictures, fit, and print what it took."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.large_fit")
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--options", default="", help="of fit")
    parser.add_argument("--also", action="append", default=[], help="options of one more fit")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"large fit: skipped, {args.data} is absent")
        return 0
    images = make(args.data / "cells" / "train" / "good", args.work / f"pictures-{args.pictures}", args.pictures)
    print(machine(), flush=True)
    for options in (args.options, *args.also):
        print(measure(images, args.work / "large.bundle", options), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
