"""What the learner is asked, and what it answers: files of JSON between it and the process that started it.

Nothing heavy is imported here: the main process of a device reads and writes them too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge_config.errors import UsageError
from edge_config.saving import put

RESULT_SUFFIX = ".result.json"
"""Of the result, beside the new bundle."""


class LearningJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to learn.

    Attributes:
        bundle: path of the parent.
        camera: name of the camera, which the new bundle belongs to.
        learn: paths of the new normal pictures, in the order of time. A quarter of them is held out.
        hold_out: paths of the pictures that were held out in earlier rounds and are still kept.
        peaks: paths of the peak pictures of alerts that nobody marked as false: they should still be found.
        out: path of the new bundle.
        work: folder for what a later run of the same job can use.
        by: name of the key or person that asked.
        threads: threads of all libraries together; 0 means all cores.
        memory_mb: maximum memory of the learner, MB; 0: no limit.
        force: replace an existing bundle at `out`.
    """

    bundle: str
    camera: str
    learn: Annotated[list[str], Meta(min_length=1)]
    hold_out: list[str] = []
    peaks: list[str] = []
    out: str
    work: str
    by: str = ""
    threads: Annotated[int, Meta(ge=0)] = 1
    memory_mb: Annotated[int, Meta(ge=0)] = 0
    force: bool = False


class ScoredTwice(msgspec.Struct, frozen=True, kw_only=True):
    """A picture, scored by the parent and by the new bundle.

    Attributes:
        name: name of the picture.
        before, after: its scores.
        found_before, found_after: whether they are over the threshold of their bundle.
    """

    name: str
    before: float
    after: float
    found_before: bool
    found_after: bool

    @property
    def lost(self) -> bool:
        """Whether it is no longer found."""
        return self.found_before and not self.found_after


class SyntheticFaults(msgspec.Struct, frozen=True, kw_only=True):
    """Synthetic faults on the new normal pictures. What is new in these pictures does not count as a fault.

    Attributes:
        shown: number of faults.
        found_before, found_after: how many are found by the parent and by the new bundle.
        lost: how many the parent finds and the new bundle does not.
    """

    shown: int
    found_before: int
    found_after: int
    lost: int


class NewPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A box in which learnt pictures are new to the parent.

    Attributes:
        x, y, width, height: in pixels of the pictures.
        pictures: number of learnt pictures in which something there is new.
    """

    x: int
    y: int
    width: int
    height: int
    pictures: int


class SafetyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What learning has changed.

    Attributes:
        threshold_before, threshold_after: thresholds of the parent and of the new bundle.
        threshold_root: threshold of the bundle that was fitted.
        golden: golden frames of the parent.
        faults: synthetic faults.
        peaks: peak pictures of alerts that nobody marked as false.
        learnt: the pictures that were learnt.
        held_out: the pictures that were held out, those of earlier rounds too.
        entries_before, entries_after: size of the bank.
        added, dropped: entries that joined, and that were dropped.
        places: where the learnt pictures are new to the parent, the largest first.
    """

    threshold_before: float
    threshold_after: float
    threshold_root: float
    golden: list[ScoredTwice]
    faults: SyntheticFaults
    peaks: list[ScoredTwice]
    learnt: list[ScoredTwice]
    held_out: list[ScoredTwice]
    entries_before: int
    entries_after: int
    added: int
    dropped: int
    places: list[NewPlace] = []


class LearningResult(msgspec.Struct, frozen=True, kw_only=True):
    """The new bundle, which is complete at `LearningJob.out`.

    Attributes:
        bundle_id: its id.
        parent: id of the bundle that it was made from.
        report: what learning has changed.
        problems: why it should not serve without a person's consent, a sentence each; empty if it may serve.
        learnt: names of the pictures that were learnt.
        held_out: names of the new pictures that were held out: keep them for the next round.
        missing: names of pictures to hold out, and of alerts, that were not there any more.
        seconds: duration.
    """

    bundle_id: str
    parent: str
    report: SafetyReport
    problems: list[str]
    learnt: list[str]
    held_out: list[str]
    seconds: float
    missing: list[str] = []


def write_job(path: Path, job: LearningJob) -> None:
    """Write a job to a file.

    Raises:
        NotWritten: the disk does not take it.
    """
    put(path, msgspec.json.encode(job))


def read_job(path: Path) -> LearningJob:
    """Read a job.

    Raises:
        UsageError: there is none, or it is not a job.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=LearningJob)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"not a job of the learner ({error})", where=str(path)) from error


def result_path(out: str | Path) -> Path:
    """Return where the result of a job with this `out` is written."""
    return Path(f"{out}{RESULT_SUFFIX}")


def write_result(out: str | Path, result: LearningResult) -> None:
    """Write the result of a job as a whole: a reader sees none or all of it.

    Raises:
        NotWritten: the disk does not take it.
    """
    put(result_path(out), msgspec.json.encode(result))


def read_result(out: str | Path) -> LearningResult | None:
    """Return the result of a job with this `out`; None if there is none that can be read."""
    try:
        return msgspec.json.decode(result_path(out).read_bytes(), type=LearningResult)
    except (OSError, msgspec.MsgspecError):
        return None
