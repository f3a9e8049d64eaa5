"""Does learning on keep its promises? On the office, where something on a shelf has changed, and on the demo's belt.

    python -m tests.programs.bench.learn_on DATA WORK

Office: learnt from frames 1 to 400, taught with frames 2044 to 2047. Belt: a label of 40 pixels appears on every frame
of the demo's clip; twenty frames are taught. Then an object of the clip is taught, as nobody should: the report must
say what is lost. The bundles are kept in WORK.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Alerts
from export.demo import clip
from export.demo.camera import with_label
from export.demo.play import _LEARN_OPTIONS
from runtime.alerts.decide import Decide
from runtime.camera.image_files import read_picture
from runtime.camera.sources.recording import open_video, read_video
from runtime.frame import Image, Result, SharedFrame
from runtime.inference.load import load
from runtime.learning.grow.job import LearningJob, LearningResult
from runtime.learning.grow.learn_on import learn_on

FPS = 25
TAUGHT = range(2044, 2048)
AFTER = range(2048, 2051)
EMPTY = range(401, 579)
TEACH = range(7, 147, 7)
"""Frames of the clip before the first object: twenty."""


def main(data: Path, work: Path) -> int:
    """Run all parts, print what was found, and return 1 if a promise was broken."""
    work.mkdir(parents=True, exist_ok=True)
    broken = [line for may_vary in ("light=20%", "none") for line in office(data / "office", work, may_vary)]
    broken += belt(work)
    print("\n".join(f"BROKEN: {line}" for line in broken) or "all promises are kept")
    return bool(broken)


def office(folder: Path, work: Path, may_vary: str) -> Iterator[str]:
    """Teach the changed shelf; yield what is not as it should be."""
    paths = {number: folder / "frames" / f"{number:06d}.jpg" for number in range(1, 2051)}
    name = f"office-{may_vary.partition('=')[0]}"
    root = made_bundle(work / f"{name}.bundle", [paths[n] for n in range(1, 401)], "--may-vary", may_vary)
    found = learnt(root, [paths[n] for n in TAUGHT], work / f"{name}-child.bundle")
    with (folder / "truth.csv").open(newline="", encoding="utf-8") as stream:
        truth = {int(row["frame"]): row["label"] for row in csv.DictReader(stream)}
    frames = range(401, 2051)
    labels = np.array([truth[n] for n in frames])
    numbers = np.array(frames)
    for bundle in (root, work / f"{name}-child.bundle"):
        scores, threshold = scored(bundle, (read_picture(paths[n]) for n in frames))
        people, normal = scores[labels == "anomalous"], scores[labels == "normal"]
        alerts = spans(scores, threshold)
        stretches = runs(labels == "anomalous")
        missed = [one for one in stretches if not any(first <= one[1] and last >= one[0] for first, last in alerts)]
        area = float((people[:, None] > normal).mean() + (people[:, None] == normal).mean() / 2)
        over = int((scores[np.isin(numbers, EMPTY)] > threshold).sum())
        after = scores[np.isin(numbers, AFTER)]
        changed = scores[numbers >= TAUGHT[0]]
        print(
            f"{name}, {bundle.name}: threshold {threshold:.4f}; frames 2044 to 2050 score "
            f"{changed.min():.3f} to {changed.max():.3f}; empty frames over it "
            f"{over} of {len(EMPTY)}; AUROC {area:.5f}; people found in {(people > threshold).mean():.1%} of their "
            f"frames, in {len(stretches) - len(missed)} of {len(stretches)} stretches by an alert"
        )
    checks = {
        f"{name}: a frame of 2048 to 2050 is over the threshold": (after > threshold).any(),
        f"{name}: {over} empty frames are over the threshold": over,
        f"{name}: AUROC {area:.5f}": area < 0.999,
        f"{name}: no alert in {missed}": missed,
        f"{name}: {found.problems}": found.problems,
    }
    yield from (line for line, wrong in checks.items() if wrong)


def belt(work: Path) -> Iterator[str]:
    """Teach the label, and then a defect; yield what is not as it should be."""
    plain, labelled = made(work / "belt", lambda image: image), made(work / "belt-labelled", with_label)
    root = made_bundle(work / "belt.bundle", sorted((plain / clip.NORMAL).iterdir()), *_LEARN_OPTIONS)
    truth = clip.read_truth(plain / clip.TRUTH)
    seen = {one.name: [place.frame for place in truth if place.name == one.name] for one in clip.CUTOUTS}
    films = {"plain": frames_of(plain), "labelled": frames_of(labelled)}
    taught = saved(work / "label-taught", films["labelled"], [*TEACH])
    scores, _ = scored(root, films["plain"])
    peaks = [max(numbers, key=lambda number: scores[number - 1]) for numbers in seen.values()]
    kept = saved(work / "peaks", films["plain"], peaks)
    found = learnt(root, taught, work / "belt-child.bundle", peaks=kept)
    for bundle in (root, work / "belt-child.bundle"):
        for kind, film in films.items():
            hits, wrong, over = judged(bundle, film, seen)
            print(f"belt, {bundle.name}, {kind} clip: {hits} of {len(seen)} objects, {wrong} false alerts, {over}")
    if hits < len(seen) or wrong:
        yield f"belt with the label: {hits} of {len(seen)} objects, {wrong} false alerts"
    if found.problems:
        yield f"belt: {found.problems}"
    coin = saved(work / "coin-taught", films["plain"], [seen["coin"][n] for n in range(20, 60, 2)])
    forced = learnt(root, coin, work / "belt-defect.bundle", peaks=kept)
    hits, wrong, over = judged(work / "belt-defect.bundle", films["plain"], seen)
    lost = [one.name for one in forced.report.peaks if one.lost]
    print(f"belt, the coin was taught: {hits} of {len(seen)} objects, peaks lost {lost}; {over}")
    if not forced.problems:
        yield "a defect was taught, and the report says nothing"


def made_bundle(bundle: Path, pictures: list[Path], *options: str) -> Path:
    """Learn a bundle, unless it is there."""
    if not bundle.exists():
        folder = bundle.with_suffix(".pictures")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for picture in pictures:
            (folder / picture.name).symlink_to(picture.resolve())
        command = [sys.executable, "-m", "runtime.cli.main", "learn", "--images", str(folder), "--out", str(bundle)]
        subprocess.run([*command, *options], check=True)
    return bundle


def learnt(root: Path, pictures: list[Path], out: Path, peaks: list[Path] | None = None) -> LearningResult:
    """Learn on, print the report, and return the result."""
    job = LearningJob(
        bundle=str(root),
        camera="bench",
        learn=[str(path) for path in pictures],
        peaks=[str(path) for path in peaks or []],
        out=str(out),
        work=str(out.with_suffix(".work")),
        by="bench",
        force=True,
    )
    found = learn_on(job)
    report = found.report
    print(
        f"{out.name}: {len(found.learnt)} pictures learnt and {len(found.held_out)} held out in {found.seconds:.1f} s; "
        f"{report.entries_before} + {report.added} entries; threshold {report.threshold_before:.4f} to "
        f"{report.threshold_after:.4f}; synthetic faults found {report.faults.found_before} and then "
        f"{report.faults.found_after} of {report.faults.shown}, {report.faults.lost} lost; golden "
        f"{[(round(one.before, 3), round(one.after, 3)) for one in report.golden]}; peaks "
        f"{[(round(one.before, 3), round(one.after, 3)) for one in report.peaks]}"
    )
    print(json.dumps(found.problems, indent=1))
    return found


def scored(bundle: Path, frames: Iterator[Image] | list[Image]) -> tuple[NDArray[np.float64], float]:
    """Return the score of each frame, and the threshold."""
    loaded, scorer = load(bundle, 0)
    return np.array([scorer(frame).value for frame in frames]), loaded.manifest.calibration.threshold


def spans(scores: NDArray[np.float64], threshold: float) -> list[tuple[int, int]]:
    """Return first and last frame of each alert, by the alert logic of the runtime."""
    decide = Decide(Alerts(), threshold)
    found: list[tuple[int, int]] = []
    for number, score in enumerate(scores.tolist()):
        time_ns = round(number * 1e9 / FPS)
        frame = SharedFrame(1, 0, None, number, t_capture_ns=time_ns, t_mono_ns=time_ns)
        alert = decide(frame, Result(value=score)).alert
        if alert is not None and alert.phase == "start":
            found.append((round(alert.t_start_ns * FPS / 1e9), len(scores)))
        elif alert is not None and alert.phase == "end":
            found[-1] = (found[-1][0], number)
    return found


def runs(true: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last place of each stretch of true values."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(int)))
    return [(int(first), int(last) - 1) for first, last in steps.reshape(-1, 2)]


def judged(bundle: Path, film: list[Image], seen: dict[str, list[int]]) -> tuple[int, int, str]:
    """Return how many objects an alert overlaps, how many alerts overlap none, and scores in words."""
    scores, threshold = scored(bundle, film)
    alerts = [set(range(first + 1, last + 1)) for first, last in spans(scores, threshold)]
    hits = sum(any(alert & set(numbers) for alert in alerts) for numbers in seen.values())
    wrong = sum(not any(alert & set(numbers) for numbers in seen.values()) for alert in alerts)
    empty = np.setdiff1d(np.arange(len(scores)), np.array(sorted({n for one in seen.values() for n in one})) - 1)
    highest = {name: max(scores[number - 1] for number in numbers) for name, numbers in seen.items()}
    told = ", ".join(f"{name} {score:.3f}" for name, score in highest.items())
    return (
        hits,
        wrong,
        (
            f"threshold {threshold:.3f}, empty frames up to {scores[empty].max():.3f}, "
            f"{(scores[empty] > threshold).mean():.1%} of them over it; {told}"
        ),
    )


def made(folder: Path, change: Callable[[Image], Image]) -> Path:
    """Make the demo's pictures, each changed, unless they are there."""
    if not (folder / clip.TRUTH).exists():
        folder.mkdir(parents=True, exist_ok=True)
        film = clip.film
        clip.film = lambda *args: map(change, film(*args))  # type: ignore[assignment]
        try:
            clip.make_clip(folder)
        finally:
            clip.film = film
    return folder


def frames_of(folder: Path) -> list[Image]:
    """Return the frames of the clip."""
    return list(read_video(open_video(folder / clip.CLIP)))


def saved(folder: Path, film: list[Image], numbers: list[int]) -> list[Path]:
    """Write some frames, from 1, as a device stores them, and return their paths."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    paths = [folder / f"frame-{number:04d}.png" for number in numbers]
    for path, number in zip(paths, numbers, strict=True):
        cv2.imwrite(str(path), film[number - 1])
    return paths


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
