"""Put a version, or the bundle of the settings, into service between two frames, and make that last.

    looked up on disk -> the engine loads it beside the one in service, and takes it -> `active.json` -> told

Until `active.json` is written a restart serves the old bundle, from then on the new one: both are whole at any time.
The same with `root.json` where it is another root.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Protocol

from edge_config.errors import NotWritten
from runtime.events import Reloaded, ReloadRefused
from runtime.versions.disk_thread import DiskThread
from runtime.versions.events import Pointed, RootTarget, TargetFound, VersionEvent
from runtime.versions.records import SHORT, Active, RootPointer, Version
from runtime.versions.shelf import Shelf
from runtime.versions.shelves import Shelves, id_at

MAX_TRIES = 3
"""A bundle is loaded this often, where the worker dies while it loads it."""

ROOT = "root"
"""Name of the root in requests."""


class Loads(Protocol):
    """The engine, as far as it is needed here."""

    def reload(self, camera: str | None = None, path: str | None = None) -> set[str]:
        """Load the bundle at a path for a camera; a `Reloaded` or a `ReloadRefused` follows."""


@dataclass(slots=True)
class Activation:
    """A bundle that is being put into service.

    Attributes:
        number: of the activation.
        camera: name of the camera.
        by: public key of the client that asked for it.
        before: id of the bundle in service.
        done: called at the end, with the activation and the problem, if there is one.
        version: the version; None for the root.
        target: another root, if it is one.
        was: path of the bundle in service before, for another root.
        pointer_before: the assignment that counted before.
        path: of the bundle; empty until it was looked up.
        bundle_id: id of the bundle; empty until it is in service.
        tries: how often the engine was asked for it.
        taken: it is in service.
    """

    number: int
    camera: str
    by: str
    before: str
    done: Callable[[Activation, str], object]
    version: Version | None = None
    target: RootTarget | None = None
    was: str = ""
    pointer_before: RootPointer | None = None
    path: str = ""
    bundle_id: str = ""
    tries: int = 0
    taken: bool = False


class Activations:
    """The activations in progress, at most one of each camera. Use it from the main loop's thread."""

    def __init__(
        self, shelves: Shelves, engine: Loads, disk: DiskThread, tell: Callable[[VersionEvent], object]
    ) -> None:
        """Take the versions on disk, what loads bundles, what works on the disk, and what takes the events of that."""
        self._shelves = shelves
        self._engine = engine
        self._disk = disk
        self._tell = tell
        self._numbers = itertools.count(1)
        self._pending: dict[str, Activation] = {}

    def busy(self, camera: str) -> bool:
        """Return whether a bundle of this camera is being put into service."""
        return camera in self._pending

    def why_busy(self, camera: str) -> str:
        """Return why no other bundle of this camera can be put into service now; empty if it can."""
        return f"camera `{camera}` is loading another bundle; ask again in a moment" if self.busy(camera) else ""

    def wanted(self) -> frozenset[str]:
        """Return the ids of the versions that are being put into service, as far as they were looked up."""
        return frozenset(one.version.id for one in self._pending.values() if one.version is not None)

    def begin(
        self, camera: str, to: str | None, *, before: str, by: str, done: Callable[[Activation, str], object]
    ) -> None:
        """Put a bundle into service.

        Args:
            camera: which.
            to: `root`, or the first digits of the id of a version; None: the parent of the one in service.
            before: id of the bundle in service.
            by: public key of the client that asks.
            done: called at the end, with the problem or an empty text.
        """
        one = self._pending[camera] = Activation(next(self._numbers), camera, by, before, done)
        shelf, number = self._shelves.of[camera], one.number
        root = self._shelves.roots[camera]
        self._disk.do(lambda: self._tell(_find(shelf, root, number, to, before)))

    def begin_root(
        self,
        camera: str,
        find: Callable[[], RootTarget],
        *,
        before: tuple[str, str],
        by: str,
        done: Callable[[Activation, str], object],
    ) -> None:
        """Put another root into service, or what served before it.

        Args:
            camera: which.
            find: looks it up on disk; raises `ValueError` or `OSError` if it cannot serve.
            before: id and path of the bundle in service.
            by: public key of the client that asks.
            done: called at the end, with the problem or an empty text.
        """
        one = self._pending[camera] = Activation(next(self._numbers), camera, by, before[0], done, was=before[1])

        def look() -> None:
            try:
                found = TargetFound(camera, one.number, None, target=find())
            except (OSError, ValueError) as error:
                found = TargetFound(camera, one.number, None, str(error))
            self._tell(found)

        self._disk.do(look)

    def found(self, event: TargetFound) -> None:
        """Have the engine load what was looked up."""
        if (one := self._of(event.camera, event.number)) is None:
            return
        if event.problem:
            self._end(one, event.problem)
            return
        one.version, one.target = event.version, event.target
        if one.target is not None:
            one.path = one.target.path
            if one.path != one.target.root:
                self._shelves.expect(one.path, one.target.root)
            self._load(one)
            return
        shelf = self._shelves.of[one.camera]
        one.path = self._shelves.roots[one.camera] if one.version is None else str(shelf.path(one.version.id))
        self._load(one)

    def taken(self, event: Reloaded) -> None:
        """Write down what is in service now."""
        for one in [self._pending[name] for name in event.cameras if name in self._pending]:
            if one.path != event.info.path or one.taken:
                continue
            if one.target is not None:
                self._taken_root(one, one.target, event.info.id)
                continue
            if one.version is not None and one.version.id != event.info.id:
                self._end(one, f"{one.path}: is another bundle than {one.version.short}")
                continue
            one.taken, one.bundle_id = True, event.info.id
            root = event.info.id if one.version is None else one.version.root
            since = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            token, shelf = self._shelves.token(one.camera), self._shelves.of[one.camera]
            told = {"path": event.info.path, "since": since, "by": one.by, "assignment": token}
            active = Active(root=root, id=event.info.id, **told)
            self._point(one, partial(shelf.point, active))

    def refused(self, event: ReloadRefused) -> None:
        """Try again where the worker died, or give up."""
        for one in [self._pending[name] for name in event.cameras if name in self._pending]:
            if one.path != event.path or one.taken:
                continue
            if event.lost and one.tries < MAX_TRIES:
                self._load(one)
            else:
                self._end(one, event.error)

    def pointed(self, event: Pointed) -> None:
        """End the activation: it lasts now."""
        if (one := self._of(event.camera, event.number)) is None:
            return
        if event.problem and one.target is not None:
            self._shelves.assign(one.camera, one.pointer_before)
            self._undo(one, event.problem)
        else:
            again = "it is in service, but will not be after a restart: "
            self._end(one, again + event.problem if event.problem else "")

    def _taken_root(self, one: Activation, target: RootTarget, bundle_id: str) -> None:
        """Write down that another root serves, or go back where it is not the one that was wanted."""
        if bundle_id != target.pointer.serves:
            self._undo(one, f"{one.path}: is another bundle than {target.pointer.serves[:SHORT]}")
            return
        one.taken, one.bundle_id = True, bundle_id
        one.pointer_before = self._shelves.pointers.get(one.camera)
        self._shelves.assign(one.camera, target.pointer)
        self._point(one, partial(self._shelves.of[one.camera].assign, target.pointer))

    def _undo(self, one: Activation, problem: str) -> None:
        """Load the bundle before, as nothing was written down."""
        one.taken = False
        self._engine.reload(one.camera, one.was)
        self._end(one, f"{problem}; the bundle before goes on")

    def _point(self, one: Activation, write: Callable[[], object]) -> None:
        def point() -> None:
            try:
                write()
            except NotWritten as error:
                self._tell(Pointed(one.camera, one.number, str(error)))
            else:
                self._tell(Pointed(one.camera, one.number))

        self._disk.do(point)

    def _load(self, one: Activation) -> None:
        one.tries += 1
        self._engine.reload(one.camera, one.path)

    def _of(self, camera: str, number: int) -> Activation | None:
        one = self._pending.get(camera)
        return one if one is not None and one.number == number else None

    def _end(self, one: Activation, problem: str) -> None:
        del self._pending[one.camera]
        self._shelves.expect(one.path, "")
        one.done(one, problem)


def _find(shelf: Shelf, root: str, number: int, to: str | None, before: str) -> TargetFound:
    """Look a target up: the version of an id, or the root, whose path is `root`."""
    root_id = id_at(root)
    versions = {one.id: one for one in shelf.versions() if root_id in {"", one.root}}
    if to is None and before in versions:
        to = ROOT if versions[before].parent == versions[before].root else versions[before].parent
    if to == ROOT:
        return TargetFound(shelf.camera, number, None)
    if to is None:
        return TargetFound(shelf.camera, number, None, "the bundle in service was not learnt: it has no parent")
    matching = [one for one in versions.values() if one.id.startswith(to)]
    if len(matching) != 1:
        known = ", ".join([ROOT, *(one.short for one in versions.values())])
        said = "several versions begin with" if matching else "there is no version"
        return TargetFound(shelf.camera, number, None, f"{said} `{to[:SHORT]}`; known: {known}")
    problem = _why_not(shelf, matching[0], before)
    return TargetFound(shelf.camera, number, None if problem else matching[0], problem)


def _why_not(shelf: Shelf, version: Version, before: str) -> str:
    """Return why a version cannot serve; empty if it may be tried."""
    if version.id == before:
        return f"version {version.short} is in service already"
    if id_at(shelf.path(version.id)) != version.id:
        return f"version {version.short} is damaged"
    if version.waits:
        return f"version {version.short} waits for consent and never served: {' '.join(version.problems)}"
    return ""
