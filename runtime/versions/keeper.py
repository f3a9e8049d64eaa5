"""Requests about learning on and its versions, answered; and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import structlog

from edge_config.wire.versions import (
    LearnOn,
    OfVersions,
    Rollback,
    RolledBack,
    StopLearning,
    Versions,
)
from runtime.events import Asked, Reloaded, ReloadRefused
from runtime.frame import BundleInfo
from runtime.versions.activations import Activation, Activations, Loads
from runtime.versions.disk_thread import DiskThread
from runtime.versions.events import LearnerEnded, LearnerMoved, Pointed, TargetFound, VersionEvent
from runtime.versions.learner_queue import LearnerQueue
from runtime.versions.learning_on import LearningOn
from runtime.versions.lessons import Lessons
from runtime.versions.listing import Bounds, list_versions
from runtime.versions.records import SHORT, Active
from runtime.versions.root_changes import AssignedRoots
from runtime.versions.shelves import Shelves, id_at

NO_CONSENT_KEY = "-"
"""Stands for the key of a client where there are no keys."""

_UNFINISHED = ("queued", "running", "activating")

_log = structlog.get_logger()


class Replier(Protocol):
    """The control socket, as far as it is needed here. Any thread may call."""

    def reply(self, asked: Asked, payload: Any) -> object:
        """Answer a request."""

    def refuse(self, asked: Asked, error: str) -> object:
        """Refuse a request; `error` is the reason, one line."""


class VersionKeeper:
    """Learns on, activates and goes back. Use it from the main loop's thread; `close` it before the engine.

    Attributes:
        roots: puts other roots in place of the bundles of the settings.
    """

    def __init__(
        self,
        shelves: Shelves,
        engine: Loads,
        control: Replier,
        serving: Callable[[str], BundleInfo],
        lessons: Lessons,
        *,
        tell: Callable[[VersionEvent], object],
        queue: LearnerQueue,
        bounds: Bounds,
    ) -> None:
        """Learn nothing yet.

        Args:
            shelves: versions of all cameras.
            engine: loads bundles.
            control: answers requests.
            serving: camera -> the bundle in service.
            lessons: the pictures to learn from.
            tell: receives events from other threads.
            queue: runs learners.
            bounds: number and size of the versions that are kept.
        """
        self._shelves = shelves
        self._control = control
        self._serving = serving
        self._queue = queue
        self._disk = DiskThread()
        self._activations = Activations(shelves, engine, self._disk, tell)
        with_these = (shelves, self._activations, serving, lessons)
        self._learning = LearningOn(*with_these, queue=queue, disk=self._disk, bounds=bounds)
        self.roots = AssignedRoots(shelves, self._activations, self._learning, serving, self._disk)
        self._resumed = False

    def ready(self) -> None:
        """Go on with what was begun before the last end of the runtime; call it when there are bundles."""
        if not self._resumed:
            self._resumed = True
            self._learning.resume()

    def turn(self) -> None:
        """Do the periodic work, once a second."""
        self._learning.turn()

    def give_way(self, *, busy: bool) -> None:
        """Hold the learner while frames are scored; call it at every turn of the loop."""
        self._queue.give_way(busy=busy)

    def ask(self, asked: Asked) -> None:
        """Answer a request of `OfVersions`, now or later."""
        request: OfVersions = asked.request  # type: ignore[assignment]
        if request.camera not in self._shelves.of:
            self._control.refuse(asked, self._shelves.off)
            return
        match request:
            case LearnOn():
                problem = self._shelves.may_not_learn or self._learning.ask(
                    request.camera, asked.by, force=request.force
                )
                if problem:
                    self._control.refuse(asked, problem)
                else:
                    self._control.reply(asked, self._learning.now(request.camera))
            case StopLearning():
                self._learning.discard(request.camera, "stopped by a request")
                self._control.reply(asked, self._learning.now(request.camera))
            case Rollback():
                self._roll_back(asked, request)
            case Versions():
                shelf, serving = self._shelves.of[request.camera], self._serving(request.camera).id
                root, notice = self._shelves.roots[request.camera], self._shelves.notices.get(request.camera, "")
                told = root, serving, self._learning.now(request.camera), notice
                assigned = bool(self._shelves.assigned(request.camera))
                self._disk.do(lambda: self._control.reply(asked, list_versions(shelf, *told, assigned=assigned)))

    def handle(self, event: VersionEvent) -> None:
        """Handle what other threads report."""
        match event:
            case LearnerMoved():
                self._learning.moved(event)
            case LearnerEnded():
                self._learning.ended(event)
            case TargetFound():
                self._activations.found(event)
            case Pointed():
                self._activations.pointed(event)

    def taken(self, event: Reloaded) -> None:
        """Take note of a bundle in service."""
        for camera in event.cameras:
            won = not self._activations.busy(camera) and event.info.path == self._shelves.settings[camera]
            if won and event.info.id == self._shelves.names_another(camera):
                self.roots.drop(camera, event.info)
        self._activations.taken(event)

    def refused(self, event: ReloadRefused) -> None:
        """Take note of a bundle that is not served."""
        if event.instead:
            for camera in event.cameras:
                if event.path == self._shelves.assigned(camera):
                    self._shelves.assign(camera, None)
                whose = "its root" if self._shelves.assigned(camera) else "the bundle of the settings"
                self._shelves.notices[camera] = f"{event.error}; {whose} serves"
        self._activations.refused(event)

    def new_roots(self, camera: str | None = None) -> dict[str, str]:
        """Return camera -> path of the bundle of the settings, where it is another than the version was learnt from.

        What was learnt is dropped there.
        """
        cameras = self._shelves.of if camera is None else {camera} & self._shelves.of.keys()
        return {name: path for name in cameras if (path := self._new_root(name))}

    def status(self) -> dict[str, Any]:
        """Return the part of the status that is about learning."""
        if self._shelves.off:
            return {"off": self._shelves.off}
        return {
            camera: {**msgspec.to_builtins(self._learning.now(camera)), "notice": self._shelves.notices.get(camera, "")}
            for camera in self._shelves.of
        }

    def watched(self) -> list[str]:
        """Return the paths of the settings' bundles, also of cameras that serve a version, or an assigned bundle."""
        return [self._shelves.settings[camera] for camera in self._shelves.of]

    def assigned(self) -> frozenset[str]:
        """Return the paths of the assigned bundles, where nobody else puts another one."""
        return frozenset(path for camera in self._shelves.of if (path := self._shelves.assigned(camera)))

    def close(self) -> None:
        """Kill the learner, and finish the work on the disk."""
        self._queue.close()
        self._disk.close()

    # Going back

    def _roll_back(self, asked: Asked, request: Rollback) -> None:
        camera, serving = request.camera, self._serving(request.camera)
        if busy := self._activations.why_busy(camera):
            self._control.refuse(asked, busy)
            return
        if request.to is None and serving.path == self._shelves.roots[camera]:
            whose = "that was assigned" if self._shelves.assigned(camera) else "of its settings"
            self._control.refuse(asked, f"camera `{camera}` serves the bundle {whose}: nothing to go back to")
            return
        self._learning.stop(camera, "stopped by a rollback")
        done = lambda one, problem: self._rolled_back(asked, one, problem)  # noqa: E731
        self._activations.begin(camera, request.to, before=serving.id, by=asked.by, done=done)

    def _rolled_back(self, asked: Asked, one: Activation, problem: str) -> None:
        if one.taken:
            self._shelves.notices.pop(one.camera, None)
            self._learning.forget_waiting(one.camera)
            self._learning.take_back(one.camera, one.before, one.bundle_id)
            _log.info("rolled back", camera=one.camera, before=one.before[:SHORT], now=one.bundle_id[:SHORT], by=one.by)
        if problem:
            self._control.refuse(asked, problem)
        else:
            self._control.reply(asked, RolledBack(camera=one.camera, bundle=one.bundle_id, before=one.before))

    # Another root

    def _new_root(self, camera: str) -> str:
        """Return the path of the bundle of the settings, if it is another than what serves comes from."""
        if other := self._shelves.names_another(camera):
            _log.info("another bundle at the path of the settings", camera=camera, bundle=other[:SHORT])
            return self._shelves.settings[camera]
        shelf, serving = self._shelves.of[camera], self._serving(camera)
        root = self._shelves.root_of(serving.path)
        root_id = id_at(root) if root else ""
        version = next((one for one in shelf.versions() if one.id == serving.id), None) if root_id else None
        if version is None or version.root == root_id or self._shelves.assigned(camera):
            return ""
        said = f"another bundle, {root_id[:SHORT]}, is at the path of the settings: what was learnt is dropped"
        self._shelves.notices[camera] = said
        _log.warning("learnt version dropped", camera=camera, version=version.short, why=said)
        self._learning.stop(camera, said)
        active = Active(root=root_id, id=root_id, path=root, since="", by="")
        self._disk.do(lambda: shelf.point(active))
        return root
