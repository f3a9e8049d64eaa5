"""Does a burn-in keep the wanted number of alerts a day? Simulated scenes that do not change, and what counting costs.

Scores are log-normal with a memory of a second. Each burn-in sets a threshold, and alerts of later days are counted.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts
from runtime.burnin.evaluate import Judging, evaluate
from runtime.burnin.scores import RECORD_BYTES, Segment
from runtime.learning.promise.count import Stretch, count

ALERTS = Alerts(min_ms=150)
CASES = ((24.0, 1.0), (24.0, 5.0), (72.0, 1.0), (4.0, 6.0))
"""Hours of burn-in, and wanted alerts a day."""

DAYS = 10
"""Days after each burn-in whose alerts are counted."""


def scores(hours: float, fps: float, seed: int) -> NDArray[np.float64]:
    """Simulate scores."""
    random = np.random.default_rng(seed)
    count_ = round(hours * 3600 * fps)
    length = max(1, round(fps))
    sums = np.cumsum(random.standard_normal(count_ + length))
    return np.asarray(10 * np.exp(0.2 * (sums[length:] - sums[:-length]) / np.sqrt(length)))


def keep_number(hours: float, wanted: float, fps: float, runs: int) -> str:
    """Burn in several times, and return a row of the table."""
    rates, uppers, basis = [], [], ""
    for seed in range(runs):
        values = scores(hours, fps, seed)
        found = evaluate([Segment(0.0, np.arange(len(values)) / fps, values)], Judging(wanted, ALERTS, 1e9))
        assert found.threshold is not None
        assert found.upper is not None
        later = scores(24 * DAYS, fps, 10_000 + seed)
        stretch = Stretch(np.arange(len(later)) / fps, later, np.zeros(len(later), dtype=bool))
        rates.append(count([stretch], found.threshold, ALERTS) / DAYS)
        uppers.append(found.upper)
        basis = str(found.basis)
    within = sum(rate <= upper for rate, upper in zip(rates, uppers, strict=True))
    seen = f"{np.mean(rates):.2g} ({min(rates):.2g} to {max(rates):.2g})"
    bound = f"{np.mean(uppers):.2g} ({min(uppers):.2g} to {max(uppers):.2g})"
    return f"| {hours:g} h | {wanted:g} | {basis} | {seen} | {bound} | {within} of {runs} |"


def cost(hours: float, fps: float) -> str:
    """Count once, and return a row of the table; memory is the most that this process had so far."""
    values = scores(hours, fps, 1)
    begun = time.perf_counter()
    evaluate([Segment(0.0, np.arange(len(values)) / fps, values)], Judging(1.0, ALERTS, 1e9))
    seconds, most_mb = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    stored_mb = len(values) * RECORD_BYTES / 1e6
    return f"| {hours:g} h at {fps:g} | {len(values):,} | {stored_mb:.1f} MB | {seconds:.1f} s | {most_mb:.0f} MB |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="burn-ins of each case")
    parser.add_argument("--fps", type=float, default=2.0, help="frames a second of the simulated camera")
    args = parser.parse_args()
    for hours, fps in ((24.0, 5.0), (24.0, 25.0), (77.0, 25.0)):
        print(cost(hours, fps), flush=True)
    for hours, wanted in CASES:
        print(keep_number(hours, wanted, args.fps, args.runs), flush=True)


if __name__ == "__main__":
    main()
