"""Does the promise of alerts a day hold? Usage: python -m tests.programs.bench.alerts_day [DATA_FOLDER] [WORK_FOLDER].

An hour of normal video of each scene (`alert_scenes`) is scored once, and the scores are stored in the work folder:
delete it to score again. Then, for each of 20 seeds, two thirds of the hour's pieces calibrate and promise, as
`recalibrate` does with a recording of them, and the alerts of the others are counted.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts
from runtime.learning.calibrate import calibrate
from runtime.learning.normals.foreign import count_foreign
from runtime.learning.pictures.images import DEFAULT_VIDEO_FRAMES, evenly
from runtime.learning.promise.count import DAY_HOURS, Stretch, count
from runtime.learning.promise.promise import from_stretches
from tests.programs.bench import alert_scenes
from tests.programs.bench.accuracy import DATA
from tests.programs.bench.machine import machine

SEEDS = range(20)
MIN_WITHIN, MAX_TIMES = 19, 3.0
ALPHAS = (0.01, 0.03)
"""The default, and one with more alerts to compare: of one alert in a few minutes the bound is 4.7, of none 3."""

WANTED_SEEDS = range(5)
WANTED = 48.0
"""Alerts a day that a threshold is extrapolated for: two in an hour."""


def pieces(scores: NDArray[np.float64]) -> list[Stretch]:
    """Cut the hour into its pieces; of each as many pictures calibrate as of a video of two thirds of them."""
    own = DEFAULT_VIDEO_FRAMES // _fitting(alert_scenes.PIECES)
    parts = np.array_split(scores, alert_scenes.PIECES)
    return [_stretch(part, part[evenly(len(part), own)]) for part in parts]


def _stretch(scores: NDArray[np.float64], calibration: NDArray[np.float64]) -> Stretch:
    seconds = np.arange(len(scores)) / alert_scenes.FPS
    return Stretch(seconds, scores, np.zeros(len(scores), dtype=bool), calibration)


def _fitting(number: int) -> int:
    return round(number * 2 / 3)


def split(parts: list[Stretch], seed: int) -> tuple[list[Stretch], list[Stretch]]:
    """Draw the pieces that calibrate, and those that judge."""
    drawn = np.random.default_rng(seed).permutation(len(parts))
    middle = _fitting(len(parts))
    fitting, judging = np.sort(drawn[:middle]), np.sort(drawn[middle:])
    return [parts[place] for place in fitting], [parts[place] for place in judging]


def row(scene: str, parts: list[Stretch], alpha: float, wanted: float | None = None) -> str:
    """Return a row of the table: the promise, and what is seen, over all seeds."""

    def threshold_of(scores: NDArray[np.float64]) -> float:
        return calibrate(scores, alpha, count_foreign(scores)).threshold

    within, promised, seen = 0, [], []
    seeds = SEEDS if wanted is None else WANTED_SEEDS
    for seed in seeds:
        fitting, judging = split(parts, seed)
        outcome = from_stretches(fitting, threshold_of, wanted, where=scene)
        kept = outcome.promise
        if kept is None:
            raise RuntimeError(outcome.text)
        pictures = np.concatenate([one.calibration for one in fitting])
        threshold = threshold_of(pictures) if outcome.threshold is None else outcome.threshold
        alerts = count(judging, threshold, Alerts(min_ms=kept.min_ms))
        hours = sum(one.hours for one in judging)
        within += alerts <= kept.upper * hours / DAY_HOURS
        promised.append(kept.upper)
        seen.append(alerts / hours * DAY_HOURS)
    times = float(np.mean(promised) / np.mean(seen)) if any(seen) else math.inf
    rule = f"--alerts-per-day {wanted:g}" if wanted else f"--alpha {alpha:g}"
    enough = "yes" if within * len(SEEDS) >= MIN_WITHIN * len(seeds) and (times <= MAX_TIMES or wanted) else "no"
    ratio = f"{times:.1f}" if any(seen) else "-"
    cells = (scene, f"`{rule}`", _spread(promised), _spread(seen), f"{within} of {len(seeds)}", ratio, enough)
    return f"| {' | '.join(cells)} |"


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def main() -> int:
    """Score what is not scored yet, and print the table."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    work = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("build/alerts-day")
    work.mkdir(parents=True, exist_ok=True)
    print(f"\n{machine()}\n")
    print("| scene | threshold by | promised a day (least to most) | seen a day | within | promised / seen | holds |")
    print("|---|---|--:|--:|--:|--:|---|")
    for scene in ("belt", "office"):
        parts = pieces(alert_scenes.scores(scene, data, work, 0))
        for alpha in ALPHAS:
            print(row(scene, parts, alpha), flush=True)
        print(row(scene, parts, ALPHAS[0], WANTED), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
