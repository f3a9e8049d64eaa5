"""The burn-in of one camera: its scores are collected, and at its end the threshold is set.

A silent burn-in is one of the settings (`cameras.NAME.burn_in`): no alert is raised while it runs. Any other runs in
the shadow: alerts go on by the threshold in service.

    off -> running -> evaluating -> off, with a proposal or a threshold that was applied

What counts is watched time: frames that were scored. A camera that is away, dark or paused is waited for; but a silent
burn-in ends after three times its duration, whatever was watched, so that alerts never stay away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

import msgspec
import structlog

from edge_config.settings.sections import Alerts
from edge_config.wire.burn_in import Applied, BurnInStatus, Proposal
from runtime.burnin import words
from runtime.burnin.collect import ScoreCollector
from runtime.burnin.disk import BurnInCounted, BurnInDisk, BurnInStored, CountJob
from runtime.burnin.kept import BurnInKept, BurnInPlan, BurnInRun, effective, why_not, with_run
from runtime.burnin.scores import MAX_RECORDS
from runtime.frame import BundleInfo, Frame, SharedFrame

MAX_WAIT = 3
"""A silent burn-in ends at the latest after this multiple of its duration, whatever was watched."""

STORE_S = 30.0
"""Scores are written to the disk this often, seconds: so many a power cut costs."""

_log = structlog.get_logger()


class BurnInCamera:
    """Collects the scores of one camera, and sets its threshold. Use it from the main loop's thread."""

    def __init__(
        self,
        name: str,
        plan: BurnInPlan,
        kept: BurnInKept,
        disk: BurnInDisk | None,
        *,
        alerts: Callable[[], Alerts],
        changed: Callable[[str], object],
        clock_s: Callable[[], float] = time.monotonic,
        why_no_disk: str = "",
    ) -> None:
        """Go on with what is kept of the camera `name`.

        Args:
            name: of the camera.
            plan: of the settings.
            kept: what was kept on the disk.
            disk: stores and counts; None: there is none, and no burn-in.
            alerts: the alert settings in force.
            changed: called when the threshold, or whether alerts are raised, may have changed; with what to tell.
            clock_s: monotonic seconds.
            why_no_disk: why there is no disk.
        """
        self._name, self._plan, self._kept = name, plan, kept
        self._disk, self._why_no_disk = disk, why_no_disk
        self._alerts, self._changed, self._clock_s = alerts, changed, clock_s
        self._bundle = BundleInfo(id="", path="", threshold=0.0, promised_alpha=1.0)
        self._collected = ScoreCollector(0 if kept.running is None else kept.running.records)
        self._counting = False
        self._turned_s = self._stored_s = clock_s()
        self._problem = ""
        self._note = ""

    @property
    def silent(self) -> bool:
        """No alert is raised now."""
        return self._kept.running is not None and self._kept.running.silent

    @property
    def threshold(self) -> float | None:
        """The threshold that a burn-in set for the bundle in service; None: that of the bundle holds."""
        applied = self._kept.applied
        return applied.threshold if applied is not None and applied.proposal.bundle == self._bundle.id else None

    @property
    def left_s(self) -> float | None:
        """Watched time that is left of a silent burn-in, seconds; None if none runs."""
        run = self._kept.running
        return None if run is None or not run.silent else run.left_s

    def serve(self, bundle: BundleInfo) -> None:
        """Take note of the bundle that scores come from now."""
        before, self._bundle = self._bundle.id, bundle
        running, plan = self._kept.running, self._plan
        if running is not None and running.silent:
            running = self._planned(running)
        if running is None and plan.duration_s is not None and not self._kept.settled:
            self._begin_silent(plan.duration_s)
        elif running is not None and running.bundle != bundle.id:
            self._begin_again(running)
        elif bundle.id != before and self._kept.applied is not None and self.threshold is None:
            self._say(words.other_bundle(self._kept.applied, bundle))

    def take(self, frame: Frame | SharedFrame, value: float, *, repeated: bool) -> None:
        """Take the score of a frame."""
        run = self._kept.running
        if run is not None and not run.over and not repeated:
            self._keep(running=self._collected.take(run, frame, value))

    def turn(self) -> None:
        """Do the periodic work, about once a second: store, and end what is over."""
        now_s = self._clock_s()
        since_s, self._turned_s = now_s - self._turned_s, now_s
        running = self._kept.running
        if running is None or not self._bundle.id:
            return
        if not running.over:
            running = msgspec.structs.replace(running, lasted_s=running.lasted_s + since_s)
            self._keep(running=running)
            if self._is_over(running):
                self._end(running)
            elif now_s - self._stored_s >= STORE_S:
                self._store()
        elif not self._counting:  # also what an earlier run of the runtime left
            self._count(running)

    def close(self) -> None:
        """Store what there is, before the runtime ends."""
        if self._kept.running is not None and self._bundle.id:
            self._store()

    def stored(self, event: BurnInStored) -> None:
        """Take note that the state is on the disk, or is not."""
        if event.problem and event.problem != self._problem:
            _log.error("burn-in cannot be stored, a restart begins it again", camera=self._name, problem=event.problem)
        self._problem = event.problem
        run = self._kept.running
        if event.problem and run is not None and run.silent:  # or no alert would ever be raised, where it often starts
            self._keep(running=msgspec.structs.replace(run, silent=False))
            self._say(words.not_stored(event.problem))

    def counted(self, event: BurnInCounted) -> None:
        """Take the proposal: it is applied, or waits for a person."""
        self._counting = False
        running = self._kept.running
        if running is None or not running.over:
            return  # stopped or begun again meanwhile
        settled = self._kept.settled or running.silent
        self._kept = msgspec.structs.replace(self._kept, running=None, proposal=event.proposal, settled=settled)
        self._note = event.problem
        proposal = event.proposal
        if proposal is not None and proposal.threshold is not None and running.apply and not proposal.problems:
            self._apply(proposal, proposal.threshold, running.by)
            self._say(words.applied(proposal, proposal.threshold))
        else:
            self._say(words.waits(proposal, event.problem, self._name))
        self._store()
        if self._disk is not None:
            self._disk.clear(self._name)

    def start(self, duration_s: float, wanted: float | None, *, apply: bool, by: str) -> str:
        """Begin in the shadow; return why not, empty if it has begun."""
        if self._disk is None:
            return f"there is no folder for its scores: {self._why_no_disk}"
        if self._kept.running is not None:
            return f"a burn-in of `{self._name}` is running; stop it first"
        if not self._bundle.id:
            return f"camera `{self._name}` has no bundle yet"
        wanted = self._plan.wanted if wanted is None else wanted
        new = BurnInRun(bundle=self._bundle.id, duration_s=duration_s, wanted=wanted, silent=False, apply=apply, by=by)
        self._begin(new, words.begins(duration_s, wanted))
        return ""

    def stop(self) -> str:
        """End it now; return why not, empty if it ends. What was watched becomes a proposal."""
        running = self._kept.running
        if running is None:
            return f"no burn-in of `{self._name}` is running"
        self._kept = msgspec.structs.replace(self._kept, settled=self._kept.settled or running.silent)
        stopped = msgspec.structs.replace(running, apply=False, silent=False)  # alerts are raised from now on
        self._keep(running=stopped)
        self._say(words.stopped(running))
        if not running.over:
            self._end(stopped)
        return ""

    def apply(self, *, of_all: bool, force: bool, by: str) -> str:
        """Put the proposal into service; return why not, empty if it is."""
        proposal = self._kept.proposal
        if proposal is None:
            return f"there is no proposal for `{self._name}`; run a burn-in first"
        threshold = proposal.threshold_of_all if of_all else proposal.threshold
        if threshold is None or (why := why_not(proposal, self._bundle, of_all=of_all, force=force)):
            return why if threshold is not None else f"there is no such threshold: {'; '.join(proposal.problems)}"
        self._apply(proposal, threshold, by)
        self._say(words.applied(proposal, threshold))
        self._store()
        return ""

    def drop(self) -> str:
        """Go back to the threshold of the bundle; return why not, empty if it is done."""
        if self._kept.applied is None and self._kept.proposal is None:
            return f"there is nothing to drop for `{self._name}`"
        self._kept = msgspec.structs.replace(self._kept, applied=None, proposal=None)
        self._say("the threshold is that of the bundle again")
        self._store()
        return ""

    def status(self) -> BurnInStatus:
        """Return how it is."""
        run, kept = self._kept.running, self._kept
        status = BurnInStatus(
            wanted=self._plan.wanted,
            note=self._problem or self._note or words.other_settings(kept.applied, self._alerts(), self._bundle),
            proposal=kept.proposal,
            applied=kept.applied,
            in_service=self.threshold is not None and self._alerts().threshold is None,
        )
        return status if run is None else with_run(status, run)

    def _is_over(self, running: BurnInRun) -> bool:
        full = self._collected.count >= MAX_RECORDS
        late = running.silent and running.lasted_s >= MAX_WAIT * running.duration_s
        return running.watched_s >= running.duration_s or full or late

    def _planned(self, running: BurnInRun) -> BurnInRun | None:
        """Return a silent burn-in as the settings ask for it now; None if they do no more."""
        if self._plan.duration_s is None:
            self._kept = msgspec.structs.replace(self._kept, running=None)
            self._say(words.UNPLANNED)
            self._store()
            return None
        planned = msgspec.structs.replace(running, duration_s=self._plan.duration_s, wanted=self._plan.wanted)
        self._keep(running=planned)
        return planned

    def _begin_silent(self, duration_s: float) -> None:
        if self._disk is None:  # it would begin again at each start, and no alert would ever be raised
            self._note = words.no_folder(self._why_no_disk)
            self._say(self._note)
            return
        wanted = self._plan.wanted
        new = BurnInRun(bundle=self._bundle.id, duration_s=duration_s, wanted=wanted, silent=True, apply=True)
        self._begin(new, words.begins(duration_s, wanted, silent=True))

    def _begin_again(self, running: BurnInRun) -> None:
        fresh = {"records": 0, "watched_s": 0.0, "gaps": 0, "gap_s": 0.0, "last_ns": 0, "over": False}
        again = running.began_again + 1  # the time that it lasted stays: alerts do not stay away for longer
        new = msgspec.structs.replace(running, bundle=self._bundle.id, began_again=again, **fresh)
        self._begin(new, words.begins_again(running, self._bundle))

    def _begin(self, new: BurnInRun, said: str) -> None:
        self._collected.restart()
        self._counting = False
        self._note = said if new.began_again else ""
        self._keep(running=new)
        self._say(said)
        self._store()

    def _end(self, running: BurnInRun) -> None:
        """Count what was watched, once it is on the disk."""
        over = msgspec.structs.replace(running, over=True)
        self._keep(running=over)
        _log.info("burn-in watched", camera=self._name, hours=round(over.watched_s / 3600, 3), gaps=over.gaps)
        self._store()
        self._count(over)

    def _count(self, running: BurnInRun) -> None:
        if self._disk is None:
            return
        self._counting = True
        folder, records = str(self._disk.folder(self._name)), self._collected.count
        job = CountJob.of(folder, records, self._bundle, running.wanted, effective(self._alerts(), self._bundle))
        self._disk.count(self._name, job)

    def _apply(self, proposal: Proposal, threshold: float, by: str) -> None:
        at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        applied = Applied(threshold=threshold, proposal=proposal, at=at, by=by)
        self._kept = msgspec.structs.replace(self._kept, applied=applied, proposal=None)

    def _keep(self, *, running: BurnInRun) -> None:
        self._kept = msgspec.structs.replace(self._kept, running=running)

    def _store(self) -> None:
        """Have the state and the new records written."""
        self._stored_s = self._clock_s()
        if self._disk is None:
            return
        at, records = self._collected.hand_over()
        if self._kept.running is not None:
            self._keep(running=msgspec.structs.replace(self._kept.running, records=self._collected.count))
        self._disk.store(self._name, self._kept, at, records)

    def _say(self, said: str) -> None:
        """Tell subscribers and the log, and have the camera look again."""
        _log.info("burn-in", camera=self._name, said=said)
        self._changed(said)
