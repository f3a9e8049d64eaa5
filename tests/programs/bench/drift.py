"""Is drift noticed before the first false alert, and only then? python -m tests.programs.bench.drift DATA WORK.

Learns the office (frames 1 to 300), the belt of the demo and bottle, scores cameras that drift and cameras that do not,
and plays the scores to the logic of the device: decisions, alerts, drift. Scores are kept in WORK, and used again.
Prints a table in Markdown, and how many of 100 simulated calibrations raise a false flag.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from edge_config.bundle.files import Bundle, read
from edge_config.bundle.held_out import p_value
from export.demo.clip import FPS, NORMAL, make_clip
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.drift.evidence import BLOCK_S, Evidence
from runtime.frame import BundleInfo, Frame, Image, Result
from runtime.inference.load import load
from runtime.measures import Measures, Normal
from runtime.process.threads import limit_threads
from runtime.scene.thumbnail import measure, shrink, size_for
from tests.programs.bench.drift_cases import LEARNT, SEED, Case, belt_case, bottle_case, office_cases
from tests.programs.bench.machine import machine
from tests.programs.bench.published import fit, link

CALIBRATIONS, HELD_OUT, STATIONARY = 100, 100, 100_000
WANDERINGS, WANDERING_S, WARM_S = 20, 4 * 86_400, 4000
AFTER_ALERT_S = 20.0
BELT_OPTIONS = ("--size", "224", "--coreset", "0.01", "--hold-out", "0.5", "--alpha", "0.0025")
"""As in the demo."""

_NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


class _Silent:
    """Takes messages."""

    def send(self, kind: str, camera: str, attached: Any = (), **fields: Any) -> None:
        """Drop it."""


class Player:
    """Plays results to the logic of the device.

    Attributes:
        camera: that logic.
        alert_s: when the first alert began; None: none.
        drift_s: when drift was noticed first; None: never.
        why: what was noticed.
    """

    def __init__(self, bundle: Bundle) -> None:
        calibration = bundle.manifest.calibration
        normal = Normal(calibration.n, bundle.manifest.scene.usual)
        self._calibration = calibration
        self.camera = MonitoredCamera("bench", _Silent())
        self.camera.serve(
            BundleInfo(bundle.id, str(bundle.path), calibration.threshold, calibration.promised_alpha, normal=normal)
        )
        self.alert_s: float | None = None
        self.drift_s: float | None = None
        self.why = ""

    def __call__(self, second: float, score: float, measures: Measures) -> None:
        """Play a frame."""
        at = round(second * 1e9)
        result = Result(score, peak_xy=(0, 0), p_value=self._calibration.p_value(score), measures=measures)
        self.camera.publish(Frame(_NO_PICTURE, round(second * FPS) + 1, at, at), result)
        self.camera.drift.turn()
        if self.alert_s is None and self.camera.alerts:
            self.alert_s = second
        if self.drift_s is None and self.camera.drift.causes:
            self.drift_s, self.why = second, self.camera.drift.said


class Noticed(NamedTuple):
    """What came of a case: when drift was noticed and why, and when the first alert began, seconds."""

    drift_s: float | None
    why: str
    alert_s: float | None


def play(case: Case, path: Path, work: Path, threads: int) -> Noticed:
    """Score a case, or take its scores from an earlier run; it is over some time after the first false alert."""
    bundle = read(path)
    kept = work / f"{bundle.id[:12]}-{case.name.replace(' ', '-').replace('%', '')}.npy"
    player = Player(bundle)
    if kept.exists():
        for second, score, *measured in np.load(kept):
            player(float(second), float(score), Measures(*map(float, measured)))
        return Noticed(player.drift_s, player.why, player.alert_s)
    _, scorer = load(path, limit_threads(threads))
    rows: list[tuple[float, ...]] = []
    known: dict[int | None, tuple[float, Measures]] = {}

    def look(image: Image) -> tuple[float, Measures]:
        return scorer(image).value, measure(shrink(image, size_for(*image.shape[:2])))

    for number in range(round(case.begin_s * FPS), round(case.seconds * FPS), case.step):
        second, same = number / FPS, case.same and case.same(number)
        score, measures = known[same] if same in known else look(case.source(number))
        if same is not None:
            known[same] = score, measures
        rows.append((second, score, *measures))
        player(second, score, measures)
        if case.drifts is not False and player.alert_s is not None and second > player.alert_s + AFTER_ALERT_S:
            break
    np.save(kept, np.array(rows))
    return Noticed(player.drift_s, player.why, player.alert_s)


def false_flags(frames_a_block: int, seed: int) -> int:
    """Return in how many simulated calibrations drift is noticed in frames that are exchangeable with them."""
    flagged = 0
    for number in range(CALIBRATIONS):
        random = np.random.default_rng([seed, number, frames_a_block])
        held_out = np.sort(random.uniform(size=HELD_OUT)).tolist()
        threshold = held_out[-1]
        evidence = Evidence(HELD_OUT, 1 / (HELD_OUT + 1))
        step_ns = round(10.1e9 / frames_a_block)
        scores: NDArray[np.float64] = random.uniform(size=STATIONARY)
        for place, score in enumerate(scores.tolist()):
            if score <= threshold:
                evidence(place * step_ns, 0, p_value(score, HELD_OUT, held_out) or 1.0)
            if evidence.is_drift:
                flagged += 1
                break
    return flagged


def wandering(forgets_s: float, block_s: float) -> tuple[int, float]:
    """Return how often drift is noticed in a stationary score that forgets its past so slowly, and in how many days.

    The score is a Gaussian process, a frame a second; 100 scores were held out over 2,000 s of it.

    Args:
        forgets_s: time in which its correlation falls to 1 / e.
        block_s: length of a block; the clock runs faster for shorter ones.
    """
    flags, seconds = 0, 0
    kept = float(np.exp(-1 / forgets_s))
    for number in range(WANDERINGS):
        random = np.random.default_rng([SEED, number, round(forgets_s)])
        scores = lfilter([np.sqrt(1 - kept**2)], [1, -kept], random.normal(size=WARM_S + WANDERING_S))[WARM_S // 2 :]
        held_out = np.sort(scores[: WARM_S // 2 : 20]).tolist()
        evidence = Evidence(len(held_out), 1 / (len(held_out) + 1))
        step_ns = round(BLOCK_S / block_s * 1e9)
        for place, score in enumerate(scores[WARM_S // 2 :].tolist()):
            seconds += 1
            if score <= held_out[-1]:
                evidence(place * step_ns, 0, p_value(score, len(held_out), held_out) or 1.0)
            if evidence.is_drift:
                flags += 1
                break
    return flags, seconds / 86_400


def bundles(data: Path, work: Path, threads: int) -> dict[str, Path]:
    """Learn what is not in `work` yet."""
    made = {name: work / f"{name}.bundle" for name in ("light", "none", "belt", "bottle")}
    usual = ("--no-report", "--threads", str(threads))
    office = work / "office"
    if not office.exists():
        link(sorted((data / "office" / "frames").iterdir())[:LEARNT], office)
    clip = work / "belt"
    if not clip.exists():
        clip.mkdir()
        make_clip(clip)
    wanted: dict[str, tuple[Path, tuple[str, ...]]] = {
        "light": (office, ()),
        "none": (office, ("--may-vary", "none")),
        "belt": (clip / NORMAL, BELT_OPTIONS),
        "bottle": (data / "bottle" / "train" / "good", ()),
    }
    for name, (images, options) in wanted.items():
        if not made[name].exists():
            fit(images, made[name], *options, *usual)
    return made


def _clock(seconds: float | None) -> str:
    return "never" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def row(case: Case, noticed: Noticed) -> tuple[str, bool]:
    """Return a row of the table, and whether it is as it should be."""
    drift_s, why, alert_s = noticed
    before = drift_s is not None and (alert_s is None or drift_s < alert_s)
    good = before if case.drifts else drift_s is None or case.drifts is None
    margin = "-" if drift_s is None or alert_s is None else f"{alert_s - drift_s:.0f} s"
    wanted = {True: "before the alert", False: "never", None: "-"}[case.drifts]
    cells = (case.name, wanted, _clock(drift_s), _clock(alert_s), margin, why or "-", "yes" if good else "**no**")
    return f"| {' | '.join(cells)} |", good


def show_cases(data: Path, work: Path, only: str, threads: int) -> int:
    """Print the table of cameras; return how many rows are not as wanted."""
    made = bundles(data, work, threads)
    print("\n| camera | wanted | drift noticed | first alert | margin | what is said | as wanted |")
    print("|---|---|--:|--:|--:|---|---|", flush=True)
    bad = 0
    for case in (*office_cases(data), belt_case(work / "belt"), bottle_case(data)):
        if only in case.name:
            line, good = row(case, play(case, made[case.bundle], work, threads))
            bad += not good
            print(line, flush=True)
    return bad


def show_simulations() -> int:
    """Print what simulated cameras without drift do; return how many figures are not as wanted."""
    bad = 0
    for frames_a_block in (1, 250):
        flagged = false_flags(frames_a_block, SEED)
        print(f"\n{frames_a_block} frames a block: {flagged} of {CALIBRATIONS} calibrations raise a false flag")
        bad += flagged > 1
    print("\n| the score forgets its past in | blocks of | false flags | in days |\n|--:|--:|--:|--:|")
    for forgets_s in (1, 10, 60, 600):
        for block_s in (5, BLOCK_S, 30):
            flags, days = wandering(forgets_s, block_s)
            print(f"| {forgets_s} s | {block_s:g} s | {flags} | {days:.1f} |", flush=True)
    return bad


def main() -> int:
    """Score, play, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench.drift")
    parser.add_argument("data", type=Path, help="folder of the real pictures")
    parser.add_argument("work", type=Path, help="folder for bundles and scores")
    parser.add_argument("--threads", type=int, default=0, help="limit of all threads; 0: all cores")
    parser.add_argument("--simulate", action="store_true", help="only what needs no pictures")
    parser.add_argument("--only", default="", help="cases whose names have this in them")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"drift: skipped, {args.data} is absent")
        return 0
    args.work.mkdir(parents=True, exist_ok=True)
    print(machine())
    bad = 0 if args.simulate else show_cases(args.data, args.work, args.only, args.threads)
    return int(bad + show_simulations() > 0)


if __name__ == "__main__":
    sys.exit(main())
