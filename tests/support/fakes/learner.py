"""A learner that is quick and does as it is told: its bundle is its parent with another threshold.

The names of the pictures to learn tell it what to do: `problem` makes a bundle that waits, `die` kills it before it
ends, `die_once` only at its first start, `bad` refuses in one line, `slow` waits to be killed, `stranger` makes a
bundle of another root, `steps` takes its time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import msgspec

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.lineage import LearntPicture, Lineage
from edge_config.bundle.staging import staging
from runtime.learning.grow.job import (
    LearningJob,
    LearningResult,
    SafetyReport,
    ScoredTwice,
    SyntheticFaults,
    read_job,
    write_result,
)
from runtime.process.child import module

COMMAND = module("tests.support.fakes.learner")

STEPS, STEP_S = 20, 0.02
REPORTED = 150
"""Pictures in its report: more than are kept."""

_never = threading.Event()


def main() -> None:
    """Learn."""
    job = read_job(Path(sys.argv[-1]))
    words = " ".join(Path(path).name for path in job.learn)
    _step("features", 0, STEPS)
    if "bad" in words:
        sys.exit("patchedge: the pictures are bad")
    if "slow" in words:
        _never.wait()
    for number in range(STEPS if "steps" in words else 0):
        _never.wait(STEP_S)
        _step("features", number + 1, STEPS)
    if "die" in words and not ("die_once" in words and (Path(job.work).parent / "died").exists()):
        (Path(job.work).parent / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    _grow(job, stranger="stranger" in words, problem="problem" in words)


def child(
    parent: Path, target: Path, *, camera: str = "", root: str | None = None, pictures: tuple[str, ...] = ()
) -> str:
    """Write a child of a bundle, with a higher threshold; return its id."""
    text = bundles.read_manifest(parent)
    found = manifests.decode(text, str(parent))
    mine = hashlib.sha256(text).hexdigest()
    before = found.lineage
    calibration = found.calibration
    lineage = Lineage(
        root=root or (before.root if before else mine),
        parent=mine,
        round=before.round + 1 if before else 1,
        camera=camera,
        root_entries=before.root_entries if before else found.coreset.size,
        root_calibration=before.root_calibration if before else calibration,
        pictures=tuple(LearntPicture(name, hashlib.sha256(name.encode()).hexdigest()) for name in pictures),
        added=0,
        dropped=0,
        learnt_entries=0,
        held_out=(),
        threshold_before=calibration.threshold,
    )
    raised = msgspec.structs.replace(calibration, threshold=calibration.threshold + 1)
    with staging(target, force=True) as folder:
        shutil.copytree(parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(bundles.SIGNATURE))
        (folder / bundles.MANIFEST).unlink()
        manifest = msgspec.structs.replace(found, lineage=lineage, calibration=raised)
        (folder / bundles.MANIFEST).write_bytes(manifests.encode(manifest))
    return bundles.read(target).id


def _grow(job: LearningJob, *, stranger: bool, problem: bool) -> None:
    names = tuple(Path(path).name for path in job.learn)
    root = "f" * 64 if stranger else None
    made = child(Path(job.bundle), Path(job.out), camera=job.camera, root=root, pictures=names[1:])
    threshold = manifests.decode(bundles.read_manifest(Path(job.out)), "").calibration.threshold
    report = SafetyReport(
        threshold_before=threshold - 1,
        threshold_after=threshold,
        threshold_root=threshold,
        golden=[],
        faults=SyntheticFaults(shown=9, found_before=9, found_after=8, lost=1),
        peaks=[],
        learnt=[
            ScoredTwice(name=f"{n}.png", before=float(n), after=0.0, found_before=True, found_after=False)
            for n in range(REPORTED)
        ],
        held_out=[],
        entries_before=1,
        entries_after=1,
        added=0,
        dropped=0,
    )
    result = LearningResult(
        bundle_id=made,
        parent=hashlib.sha256(bundles.read_manifest(Path(job.bundle))).hexdigest(),
        report=report,
        problems=["1 of 9 synthetic faults is lost."] if problem else [],
        learnt=list(names[1:]),
        held_out=list(names[:1]),
        seconds=0.1,
    )
    write_result(job.out, result)


def _step(stage: str, done: int, total: int) -> None:
    print(json.dumps({"stage": stage, "done": done, "total": total}), flush=True)


if __name__ == "__main__":
    main()
