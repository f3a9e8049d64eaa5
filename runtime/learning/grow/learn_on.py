"""Learn on: from a bundle and new normal pictures to a child that knows them, and a report on what it still finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.files import Bundle
from edge_config.bundle.lineage import MAX_PICTURES, HeldOutScore
from edge_config.bundle.manifest import Calibration
from edge_config.bundle.staging import refuse_target
from edge_config.errors import UnsafeLearning
from runtime.inference.golden_frames import exact
from runtime.learning.grow.child import ChildBundle, follow, from_scratch, seal, with_recall
from runtime.learning.grow.drop import kept, most_learnt
from runtime.learning.grow.growth import Growth, NewPictures, grow
from runtime.learning.grow.inherited import next_lineage, widened_scene
from runtime.learning.grow.job import LearningJob, LearningResult, SafetyReport
from runtime.learning.grow.new_pictures import UNCHANGED, KeptFeatures, PictureFile, look_at, split, still_there
from runtime.learning.grow.parent import Parent, load_parent
from runtime.learning.grow.places import new_places
from runtime.learning.grow.safety import Finder, check_faults, check_golden, problems_of, score_twice, scored
from runtime.learning.grow.threshold import calibrate_again
from runtime.learning.pictures.images import evenly
from runtime.learning.pictures.regions import Looked
from runtime.learning.vary.change import Change
from runtime.learning.vary.copies import plan
from runtime.learning.vary.strengths import at_random
from runtime.process.threads import limit_threads

T = TypeVar("T")

MAX_SHOWN = 24
"""Largest number of new pictures that synthetic faults are shown on, spread evenly."""

MAX_RECALL = 2
"""Largest number of pictures that recall is measured on: each is compared with the whole bank, twice."""

Told = Callable[[str, int, int], object]
"""Receives the stage of the work, how much of it is done, and how much there is."""


def learn_on(job: LearningJob, told: Told = lambda *_: None, *, unsafe: bool = True) -> LearningResult:
    """Make the child of a bundle, complete at `job.out`.

    Args:
        job: what to learn.
        told: receives the progress.
        unsafe: make it whatever its problems are, as a person decides later.

    Raises:
        BundleError: the parent must not be served.
        UsageError: pictures, target or parent that cannot be used; nothing is left behind.
        UnsafeLearning: it has problems, and should not be made then.
        ParityRefused: what was made scores otherwise than it should; nothing is left behind.
    """
    began = time.monotonic()
    out = Path(job.out)
    refuse_target(out, force=job.force)
    threads = limit_threads(job.threads)
    told("load", 0, 1)
    parent = load_parent(Path(job.bundle), threads)
    learning = _Learning(job, parent, threads, told)
    found = learning.measure()
    if found.problems and not unsafe:
        said = " ".join(found.problems)
        raise UnsafeLearning(said, where=job.bundle, remedy="leave out what is a fault, or give --force")
    sealed = learning.seal(found, out)
    return LearningResult(
        bundle_id=sealed.id,
        parent=parent.bundle.id,
        report=found.report,
        problems=found.problems,
        learnt=[one.name for one in found.report.learnt],
        held_out=learning.held_out,
        missing=learning.missing,
        seconds=round(time.monotonic() - began, 2),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """How the new pictures compare with the parent's bank.

    Attributes:
        new: the patches that may join, of altered copies too.
        news: of each picture, the patches that are new to the parent, bool [patches].
        scores: of each picture, by the parent.
    """

    new: NewPictures
    news: list[NDArray[np.bool_]]
    scores: list[float]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A child before it is sealed.

    Attributes:
        child: its bank, and what follows it.
        held: all held-out pictures.
        calibration: its threshold.
        report: what has changed.
        problems: why it should not serve, a sentence each.
    """

    child: ChildBundle
    held: list[HeldOutScore]
    calibration: Calibration
    report: SafetyReport
    problems: list[str]


class _Learning:
    """One run of a job."""

    def __init__(self, job: LearningJob, parent: Parent, threads: int, told: Told) -> None:
        self._job = job
        self._parent = parent
        self._threads = threads
        self._told = told
        self._may_vary, self._seed = parent.manifest.may_vary, parent.manifest.coreset.seed
        depth = parent.manifest.preprocessing.depth
        self._learnt, self._held = split(look_at(job.learn, depth))
        known = {one.sha256 for one in parent.earlier}
        kept, gone = still_there(job.hold_out, depth)
        self._kept = {one.sha256: one for one in kept if one.sha256 in known}
        self._peaks, no_peaks = still_there(job.peaks, depth)
        self.missing = gone + no_peaks
        learnt_hw = parent.golden()[0].frame.shape[:2]
        self._features = KeptFeatures(parent.bundle, parent.scorer, Path(job.work), (learnt_hw[0], learnt_hw[1]))

    @property
    def held_out(self) -> list[str]:
        """Names of the new pictures that are held out."""
        return [one.name for one in self._held]

    def measure(self) -> Measured:
        """Let the bank grow, set the threshold, and measure what is still found."""
        parent = self._parent
        compared = self._compare()
        growth = self._grow(compared.new)
        grown = follow(parent.bundle, parent.scorer, growth.grown, self._threads, parent.neighbours)
        child, dropped = self._without_useless(grown)
        held, held_scores = self._score_held_out(child, dropped)
        calibration = calibrate_again(parent.root, np.array([one.score for one in held]))
        finders = (
            Finder(parent.scorer, parent.manifest.calibration.threshold, parent.k),
            Finder(child.scorer, calibration.threshold, parent.k),
        )
        report = self._report(growth, child, dropped, finders, compared, held_scores)
        return Measured(child, held, calibration, report, problems_of(report, full=growth.full))

    def _compare(self) -> Compared:
        """Measure how far each patch of the pictures to learn, and of altered copies, is from the bank."""
        parent = self._parent
        judged = slice(None) if parent.scorer.judged is None else parent.scorer.judged
        compared = Compared(_room(parent), [], [])
        for picture, change in self._tell("compare", self._to_learn()):
            features = self._features(picture, change)
            found = exact(parent.scorer, features)
            compared.new.add(features[judged], found.distance[judged])
            if change == UNCHANGED:
                compared.news.append(found.distance > parent.limit)
                compared.scores.append(parent.scorer.score(features, found).value)
        return compared

    def _to_learn(self) -> list[tuple[PictureFile, Change]]:
        """Return the pictures to learn, and altered copies of them as a fit makes them."""
        copies = plan(self._may_vary, np.zeros(len(self._learnt), np.bool_), self._seed).learnt
        altered = [(self._learnt[number], change) for number, change in copies]
        return [*((picture, UNCHANGED) for picture in self._learnt), *altered]

    def _grow(self, new: NewPictures) -> Growth:
        parent = self._parent
        most = most_learnt(parent.root_entries)
        self._told("grow", 0, most)
        return grow(
            parent.bank,
            new,
            radius=parent.radius,
            most=most,
            added=lambda count: self._told("grow", count, most),
        )

    def _without_useless(self, child: ChildBundle) -> tuple[ChildBundle, int]:
        """Drop learnt entries if there are too many; return how many were dropped."""
        size, root = len(child.bank.bank), self._parent.root_entries
        if size - root <= most_learnt(root):
            return child, 0
        uses = np.zeros(size, np.int64)
        pictures = [*self._learnt, *self._held, *self._kept.values()]
        for picture in self._tell("count uses", pictures):
            found = exact(child.scorer, self._features(picture))
            uses += np.bincount(found.index, minlength=size)
        rows = kept(root, uses)
        bank = child.bank.select(rows)
        return from_scratch(self._parent.bundle, self._parent.scorer, bank, self._threads), size - len(rows)

    def _score_held_out(
        self, child: ChildBundle, dropped: int
    ) -> tuple[list[HeldOutScore], list[tuple[str, float, float]]]:
        """Score the held-out pictures that there are, altered as in a fit.

        A score of an earlier round whose picture is gone remains an upper bound, unless entries were dropped.

        Returns:
            What the lineage holds; and name, score by the parent and score by the child of what was scored.
        """
        held: list[HeldOutScore] = []
        told: list[tuple[str, float, float]] = []
        earlier = self._parent.earlier
        gone = [] if dropped else [one for one in earlier if one.sha256 not in self._kept]
        held += gone
        pictures = [*(self._kept[one.sha256] for one in earlier if one.sha256 in self._kept), *self._held]
        for picture in self._tell("score held-out pictures", pictures):
            features = self._features(picture, at_random(self._may_vary, self._seed, int(picture.sha256[:8], 16)))
            score = child.scorer.judge(features).value
            held.append(HeldOutScore(sha256=picture.sha256, score=score))
            told.append((picture.name, self._parent.scorer.judge(features).value, score))
        return held[-MAX_PICTURES:], told

    def _report(
        self,
        growth: Growth,
        child: ChildBundle,
        dropped: int,
        finders: tuple[Finder, Finder],
        compared: Compared,
        held: Sequence[tuple[str, float, float]],
    ) -> SafetyReport:
        """Measure what the child still finds."""
        shown = evenly(len(self._learnt), MAX_SHOWN)
        self._told("show faults", 0, 1)
        pictures = [(self._learnt[number].read(), compared.news[number]) for number in shown]
        manifest = self._parent.manifest
        looked = Looked(manifest.regions, manifest.ignore, manifest.regions_hw)
        height, width = pictures[0][0].shape[:2]
        faults = check_faults(pictures, *finders, self._seed, looked.pixels)
        names = zip(self._learnt, compared.scores, strict=True)
        learnt = [
            scored(one.name, before, child.scorer.judge(self._features(one)).value, *finders)
            for one, before in self._tell("score again", list(names))
        ]
        return SafetyReport(
            threshold_before=finders[0].threshold,
            threshold_after=finders[1].threshold,
            threshold_root=self._parent.root.threshold,
            golden=check_golden(self._parent.golden(), *finders),
            faults=faults,
            peaks=[score_twice(one.name, one.read(), *finders) for one in self._tell("score alerts", self._peaks)],
            learnt=learnt,
            held_out=[scored(name, before, after, *finders) for name, before, after in held],
            entries_before=len(self._parent.bank.bank),
            entries_after=len(child.bank.bank),
            added=len(growth.joined),
            dropped=dropped,
            places=new_places(compared.news, self._parent.scorer, (height, width)),
        )

    def seal(self, found: Measured, out: Path) -> Bundle:
        """Write the child, and remove what a later run of the job would have used."""
        parent, report = self._parent, found.report
        lineage = next_lineage(parent, report, self._learnt, found.held, self._job)
        self._told("seal", 0, 1)
        index = found.child.section
        if report.added or report.dropped:
            some = self._held or self._learnt
            images = [some[place].read() for place in evenly(len(some), MAX_RECALL)]
            index = with_recall(found.child, images, self._threads)
        sections = found.calibration, widened_scene(parent, (one.read() for one in self._learnt)), lineage, index
        golden = parent.golden()
        force = self._job.force
        sealed = seal(parent.bundle, found.child, golden, *sections, out, self._threads, force=force)
        self._features.clear()
        return sealed

    def _tell(self, stage: str, items: Sequence[T]) -> Iterator[T]:
        """Yield items, and tell the progress."""
        for done, item in enumerate(items):
            self._told(stage, done, len(items))
            yield item


def _room(parent: Parent) -> NewPictures:
    """Return what takes the patches of new pictures."""
    sizes = parent.bank.bank.shape[1], parent.k
    return NewPictures(*sizes, parent.root.threshold, parent.usual, min(parent.limit, parent.usual))
