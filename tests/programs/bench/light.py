"""What a tolerance does on a real camera. Usage: python -m tests.programs.bench.light DATA_FOLDER WORK_FOLDER.

Learns the empty office (frames 1 to 400) once with `--may-vary none` and once with each tolerance, and scores its other
frames altered in steps over the tolerance: how many empty frames are over the threshold, and how many frames with
people. The frames are altered here, not by the code of `fit`. Prints a table in Markdown, a row when it is measured.
Bundles that are in WORK_FOLDER already are used again.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from runtime.frame import Image
from runtime.inference.load import load
from runtime.process.threads import limit_threads
from runtime.scoring.scorer import Scorer
from tests.programs.bench.machine import machine
from tests.programs.bench.published import fit, link

LEARNT, LAST_EMPTY = 400, 578
GAINS = (0.8, 0.9, 0.95, 1.05, 1.1, 1.2)
GAMMAS = (0.7, 0.85, 1.15, 1.4)
SHIFTS = ((1, 0), (-2, 1), (0, 3), (4, 0), (-4, 0), (0, -4))
TURNS = (-2.0, -1.0, 0.5, 1.5, 2.0)
BLURS = (0.3, 0.6, 1.0)

Alter = Callable[[Image], Image]


def gained(gain: float) -> Alter:
    """Multiply, and clip as a sensor does."""
    return lambda image: np.clip(np.rint(image * gain), 0, 255).astype(np.uint8)


def bent(gamma: float) -> Alter:
    """Raise the share of white to a power."""
    return lambda image: np.rint(255 * (image / 255) ** gamma).astype(np.uint8)


def moved(right: float, down: float, turn: float = 0.0) -> Alter:
    """Look from elsewhere: the outermost pixels are repeated where nothing was seen."""

    def alter(image: Image) -> Image:
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0) + np.array([[0, 0, right], [0, 0, down]])
        moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.uint8)

    return alter


def blurred(sigma: float) -> Alter:
    """Look out of focus."""
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


CASES: dict[str, dict[str, Alter]] = {
    "light=20%": {f"gain {gain}": gained(gain) for gain in GAINS} | {f"gamma {gamma}": bent(gamma) for gamma in GAMMAS},
    "shift=4px": {f"shift {right}, {down}": moved(right, down) for right, down in SHIFTS},
    "rotation=2": {f"rotation {turn:g}": moved(0, 0, turn) for turn in TURNS},
    "focus": {f"blur {sigma} px": blurred(sigma) for sigma in BLURS},
}
"""Tolerance -> what is judged with it."""


class Bundle:
    """A bundle of the office with one tolerance."""

    def __init__(self, data: Path, work: Path, tolerance: str, learnt: int, threads: int) -> None:
        path = work / f"{tolerance.replace('%', '')}.bundle"
        if not path.exists():
            frames = sorted((data / "office" / "frames").iterdir())[: LEARNT : LEARNT // learnt]
            images = work / "office"
            images = images if images.exists() else link(frames, images)
            fit(images, path, "--may-vary", tolerance, "--no-report", "--threads", str(threads))
        bundle, self.scorer = load(path, limit_threads(threads))
        self.threshold = bundle.manifest.calibration.threshold

    def over(self, pictures: Iterable[Image]) -> tuple[int, float, float]:
        """Return how many pictures are over the threshold, and their lowest and highest score."""
        scores = _scores(self.scorer, pictures)
        return int((scores > self.threshold).sum()), float(scores.min()), float(scores.max())


def _scores(scorer: Scorer, pictures: Iterable[Image]) -> np.ndarray:
    return np.array([scorer(picture).value for picture in pictures])


def read(data: Path, numbers: Iterable[int]) -> list[Image]:
    """Read frames of the office by their numbers, from 1."""
    frames = sorted((data / "office" / "frames").iterdir())
    return [cv2.imread(str(frames[number - 1])) for number in numbers]


def main() -> int:
    """Fit, score, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.light")
    parser.add_argument("data", type=Path, help="folder of the real pictures")
    parser.add_argument("work", type=Path, help="folder for bundles")
    parser.add_argument("--tolerances", default=next(iter(CASES)), help=f"of {', '.join(CASES)}; or all")
    parser.add_argument(
        "--learnt", type=int, default=LEARNT, help="pictures to learn from, spread evenly over 1 to 400"
    )
    parser.add_argument("--every", type=int, default=1, help="of the frames with people")
    parser.add_argument("--some", type=int, default=1, help="of the empty frames")
    parser.add_argument("--threads", type=int, default=0, help="limit of all threads; 0: all cores")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"light: skipped, {args.data} is absent")
        return 0
    args.work.mkdir(parents=True, exist_ok=True)
    with (args.data / "office" / "truth.csv").open() as stream:
        people = [int(row["frame"]) for row in csv.DictReader(stream) if row["label"] == "anomalous"][:: args.every]
    empty, busy = read(args.data, range(LEARNT + 1, LAST_EMPTY + 1, args.some)), read(args.data, people)
    print(machine())
    plain = Bundle(args.data, args.work, "none", args.learnt, args.threads)
    for tolerance in list(CASES) if args.tolerances == "all" else args.tolerances.split(","):
        bundle = Bundle(args.data, args.work, tolerance, args.learnt, args.threads)
        print(
            f"\n{tolerance}: threshold {bundle.threshold:.2f}, without {plain.threshold:.2f}; {len(empty)} empty frames"
        )
        print(
            "\n| frames | empty over the threshold, without | empty over, with | highest empty | people found, with |"
        )
        print("|---|--:|--:|--:|--:|", flush=True)
        for name, alter in {"as they are": lambda image: image, **CASES[tolerance]}.items():
            without, *_ = plain.over(alter(image) for image in empty)
            over, _, highest = bundle.over(alter(image) for image in empty)
            found, lowest, _ = bundle.over(alter(image) for image in busy)
            shares = f"{without / len(empty):.1%} | {over / len(empty):.1%} | {highest:.1f}"
            print(f"| {name} | {shares} | {found} of {len(busy)} (lowest {lowest:.1f}) |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
