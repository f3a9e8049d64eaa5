"""Learning of each camera: from the request to a new bundle in service, or the reason why there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from edge_config.wire.versions import LearningProgress
from runtime.frame import BundleInfo
from runtime.versions.activations import Activation, Activations
from runtime.versions.disk_thread import DiskThread
from runtime.versions.events import LearnerEnded, LearnerMoved
from runtime.versions.learner_queue import MAX_STARTS, LearnerQueue
from runtime.versions.lessons import Lessons
from runtime.versions.listing import Bounds, tidy
from runtime.versions.records import LearningOrder, Version, line
from runtime.versions.seal import Task
from runtime.versions.shelf import Shelf
from runtime.versions.shelves import Shelves, id_at

NO_CONSENT_KEY = "-"
"""Stands for the key of a client where there are no keys."""

RESUME_S = 30.0
"""Time-out of the pictures of learning that goes on after a restart, seconds."""

_UNFINISHED = ("queued", "running", "activating")

_log = structlog.get_logger()


class LearningOn:
    """Learns on. Use it from the main loop's thread."""

    def __init__(
        self,
        shelves: Shelves,
        activations: Activations,
        serving: Callable[[str], BundleInfo],
        lessons: Lessons,
        *,
        queue: LearnerQueue,
        disk: DiskThread,
        bounds: Bounds,
    ) -> None:
        """Learn nothing yet.

        Args:
            shelves: versions of all cameras.
            activations: put them into service.
            serving: camera -> the bundle in service.
            lessons: the pictures to learn from.
            queue: runs learners.
            disk: works on the disk.
            bounds: number and size of the versions that are kept.
        """
        self._shelves = shelves
        self._activations = activations
        self._serving = serving
        self._lessons = lessons
        self._queue = queue
        self._bounds = bounds
        self._disk = disk
        self._orders: dict[str, tuple[LearningOrder, float]] = {}
        self._progress = {camera: LearningProgress(camera=camera, state="idle") for camera in shelves.roots}
        self._began_s = dict.fromkeys(shelves.roots, 0.0)
        roots = {camera: id_at(path) for camera, path in shelves.roots.items()}
        found = {camera: _newest_waiting(shelf, roots[camera]) for camera, shelf in shelves.of.items()}
        self._waiting = {camera: one for camera, one in found.items() if one is not None}
        for camera, version in self._waiting.items():
            self._move(camera, state="waiting", version=version.id, problems=version.problems)

    def resume(self) -> None:
        """Go on with what was begun before the last end of the runtime."""
        for camera, shelf in self._shelves.of.items():
            self._take_over_lessons(camera, shelf)
            if (order := shelf.order()) is not None:
                self._orders[camera] = order, time.monotonic() + RESUME_S
        self.turn()

    def turn(self) -> None:
        """Go on with what waits for its pictures, which are read in a thread of their own."""
        for camera, (order, until_s) in list(self._orders.items()):
            if self._lessons.pictures(camera).learn or time.monotonic() > until_s:
                del self._orders[camera]
                self._resume(camera, self._shelves.of[camera], order)

    def ask(self, camera: str, by: str, *, force: bool) -> str:
        """Begin to learn, or accept the problems of the bundle that waits; return why that cannot be, or nothing."""
        progress = self._progress[camera]
        self._orders.pop(camera, None)
        if progress.state in _UNFINISHED or self._activations.busy(camera):
            return f"camera `{camera}` is learning already ({progress.step or progress.state})"
        waiting = self._waiting.get(camera)
        if not force or waiting is None or waiting.parent != self._serving(camera).id:
            return self._queue_task(camera, LearningOrder(camera=camera, by=by, force=force))
        self._began_s[camera] = time.monotonic()
        self._consent(camera, waiting, by)
        return ""

    def stop(self, camera: str, reason: str) -> None:
        """Stop the learner of a camera; `ended` follows, if there is one."""
        if self._orders.pop(camera, None) is not None:
            self._disk.do(self._shelves.of[camera].end)
        self._disk.do(lambda: self._queue.stop(camera, reason))

    def discard(self, camera: str, reason: str) -> None:
        """Stop the learner of a camera, and delete the bundle that waits for consent."""
        self.stop(camera, reason)
        waiting = self._waiting.pop(camera, None)
        if waiting is not None:
            if self._progress[camera].state == "waiting":
                self._progress[camera] = LearningProgress(camera=camera, state="idle", reason=reason)
            self._disk.do(lambda: self._shelves.of[camera].delete(waiting.id))
            _log.info("version that waited deleted", camera=camera, version=waiting.short, why=waiting.problems)

    def forget_waiting(self, camera: str) -> None:
        """Ignore the bundle that waits: it is not a child of the bundle in service any more."""
        self._waiting.pop(camera, None)
        if self._progress[camera].state == "waiting":
            self._progress[camera] = LearningProgress(camera=camera, state="idle")

    def take_back(self, camera: str, before: str, now: str) -> None:
        """Take note that another version serves: pictures that are not in it were taken back, others are in it."""
        versions = {one.id: one for one in self._shelves.of[camera].versions()}
        gone, serving = line(versions, before), line(versions, now)
        names = {name for one in serving for name in (*one.learnt, *one.held_out)}
        back = [name for one in gone for name in (*one.learnt, *one.held_out) if name not in names]
        self._lessons.taken_back(camera, list(dict.fromkeys(back)))
        for one in serving:
            self._lessons.learnt(camera, one.learnt, one.held_out)

    def change_root(self, camera: str) -> None:
        """Take note that another root serves: what was learnt from others may be learnt again."""
        root, found = self._shelves.pointers[camera].id, self._shelves.of[camera].versions()
        others = [one for one in found if one.root != root]
        learnt = dict.fromkeys(name for one in others for name in one.learnt)
        held_out = dict.fromkeys(name for one in others for name in one.held_out)
        self._lessons.learn_again(camera, list(learnt), list(held_out))
        for one in line({one.id: one for one in found}, self._serving(camera).id):
            self._lessons.learnt(camera, one.learnt, one.held_out)

    def moved(self, event: LearnerMoved) -> None:
        """Take note of the learner's progress."""
        if self._progress[event.camera].state in ("queued", "running"):
            moved = {"step": event.step, "done": event.done, "total": event.total, "starts": event.starts}
            self._move(event.camera, state="running", **moved)

    def _queue_task(self, camera: str, order: LearningOrder) -> str:
        """Queue learning of a camera; return why that cannot be, or nothing."""
        shelf, serving, root = self._shelves.of[camera], self._serving(camera), self._shelves.roots[camera]
        pictures = self._lessons.pictures(camera)
        if not serving.id:
            return f"camera `{camera}` has no bundle in service yet"
        if serving.path != root and not self._shelves.root_of(serving.path):
            said = f"camera `{camera}` serves {serving.path} because of a request, its settings name {root}"
            return f"{said}; set `bundle` in the settings, and restart"
        if not pictures.learn:
            return f"camera `{camera}` has no accepted pictures to learn from; teach it, or mark a false alarm"
        held_out = next((one.held_out for one in shelf.versions() if one.id == serving.id), ())
        self._began_s[camera] = time.monotonic()
        self._progress[camera] = LearningProgress(camera=camera, state="queued")
        task = Task(shelf, order, root, serving.path, serving.id, pictures, held_out)
        self._disk.do(lambda: self._queue.ask(task))  # after what is still to be deleted of the last one
        _log.info("learning", camera=camera, pictures=len(pictures.learn), by=order.by, force=order.force)
        return ""

    def _resume(self, camera: str, shelf: Shelf, order: LearningOrder) -> None:
        problem = f"given up after {order.starts} starts" if order.starts >= MAX_STARTS else ""
        if problem := problem or self._queue_task(camera, order):
            _log.error("learning that was begun does not go on", camera=camera, problem=problem)
            self._move(camera, state="failed", reason=problem)
            self._disk.do(shelf.end)

    def _take_over_lessons(self, camera: str, shelf: Shelf) -> None:
        """Mark what is learnt: a power cut may have come between the new bundle and that."""
        serving = self._serving(camera).id
        if camera in self._shelves.pointers:
            self.change_root(camera)
        for version in shelf.versions():
            if version.id == serving:
                self._lessons.learnt(camera, version.learnt, version.held_out)

    def ended(self, event: LearnerEnded) -> None:
        """Put what was learnt into service, if it may serve."""
        camera, version, shelf = event.camera, event.version, self._shelves.of[event.camera]
        if version is None:
            said = _log.info if event.stopped else _log.error
            said("learning ended without a new bundle", camera=camera, reason=event.reason)
            self._move(camera, state="idle" if event.stopped else "failed", reason=event.reason)
            return
        wanted = self._wanted()
        self._disk.do(lambda: tidy(self._shelves, self._bounds, keep=wanted, newest=version))
        if version.parent != self._serving(camera).id:
            self._fail(camera, "another bundle was put into service meanwhile; learn again")
        elif version.waits and not event.force:
            self._waiting[camera] = version
            _log.warning("new bundle waits for consent", camera=camera, version=version.short, why=version.problems)
            self._move(camera, state="waiting", version=version.id, problems=version.problems)
            self._disk.do(shelf.end)
        elif version.waits:
            self._consent(camera, version, version.by)
        else:
            self._activate(camera, version, version.by)

    def _wanted(self) -> frozenset[str]:
        """Return the ids of what serves, whatever `active.json` says, and of what is about to."""
        return self._activations.wanted() | {self._serving(camera).id for camera in self._shelves.of}

    def _consent(self, camera: str, version: Version, by: str) -> None:
        """Activate a version in spite of its problems."""
        _log.warning("problems accepted", camera=camera, version=version.short, why=version.problems, by=by)
        agreed = msgspec.structs.replace(version, consent=by or NO_CONSENT_KEY)
        shelf = self._shelves.of[camera]
        self._disk.do(lambda: shelf.rewrite(agreed))
        self._activate(camera, agreed, by)

    def _activate(self, camera: str, version: Version, by: str) -> None:
        self._waiting.pop(camera, None)
        self._move(camera, state="activating", version=version.id, problems=version.problems)
        done = self._learnt
        self._activations.begin(camera, version.id, before=version.parent, by=by, done=done)

    def _learnt(self, one: Activation, problem: str) -> None:
        """Take note of a version that serves, or that does not."""
        version, shelf = one.version, self._shelves.of[one.camera]
        if version is None or (problem and not one.taken):
            self._fail(one.camera, problem)
            return
        self._lessons.learnt(one.camera, version.learnt, version.held_out)
        self._shelves.notices.pop(one.camera, None)
        self._move(one.camera, state="failed" if problem else "done", reason=problem)
        took = round(self.now(one.camera).seconds, 1)
        said = _log.error if problem else _log.info
        said("learnt bundle in service", camera=one.camera, version=version.short, seconds=took, problem=problem)
        self._disk.do(shelf.end)
        wanted = self._wanted()
        self._disk.do(lambda: tidy(self._shelves, self._bounds, keep=wanted))

    def _fail(self, camera: str, problem: str) -> None:
        _log.error("learnt bundle not in service", camera=camera, problem=problem)
        self._move(camera, state="failed", reason=problem)
        self._disk.do(self._shelves.of[camera].end)

    def _move(self, camera: str, **changed: Any) -> None:
        progress = self._progress[camera]
        if changed["state"] not in _UNFINISHED and self._began_s[camera]:
            changed["seconds"] = time.monotonic() - self._began_s[camera]
        self._progress[camera] = msgspec.structs.replace(progress, **changed)

    def now(self, camera: str) -> LearningProgress:
        """Return what happens now."""
        progress = self._progress[camera]
        if progress.state not in _UNFINISHED:
            return progress
        ahead = self._queue.ahead(camera) if progress.state == "queued" else 0
        return msgspec.structs.replace(progress, ahead=ahead, seconds=time.monotonic() - self._began_s[camera])


def _newest_waiting(shelf: Shelf, root: str) -> Version | None:
    return next((one for one in reversed(shelf.versions()) if one.waits and root in {"", one.root}), None)
