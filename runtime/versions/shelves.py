"""The learnt versions of all cameras, their roots, and which bundle each camera serves at the start.

The root of a camera is the bundle that the settings name, or one that was assigned in its place (`root.json`): that
counts until the settings name another bundle than at the time of the assignment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import structlog

from edge_config.bundle import files as bundles
from edge_config.errors import BundleError, NotWritten
from runtime.versions.records import SHORT, Active, RootPointer
from runtime.versions.shelf import Shelf

_log = structlog.get_logger()


class Shelves:
    """A shelf for each camera.

    Attributes:
        settings: camera -> path of the bundle that the settings name.
        roots: camera -> path of its root.
        pointers: camera -> the assignment of its root, where there was one.
        of: camera -> its shelf; empty where nothing can be learnt.
        off: why nothing can be learnt and no version can be served; empty if it can.
        may_not_learn: why nothing can be learnt, though versions are served; empty if it can.
        notices: camera -> what a person should know of its bundle.
    """

    def __init__(
        self, roots: Mapping[str, str], folder: Path | None, off: str = "", *, may_not_learn: str = ""
    ) -> None:
        """Remove what a power cut left behind.

        Args:
            roots: camera -> path of the bundle that the settings name.
            folder: of all that is learnt; None: nothing is.
            off: why there is no folder.
            may_not_learn: why nothing can be learnt.
        """
        self.settings = dict(roots)
        self.roots = dict(roots)
        self.pointers: dict[str, RootPointer] = {}
        self.off = off
        self.may_not_learn = may_not_learn
        self.notices: dict[str, str] = {}
        self.of = {} if folder is None else {camera: Shelf(folder, camera) for camera in roots}
        self._camera_of = {str(shelf.versions_folder): camera for camera, shelf in self.of.items()}
        self._expected: dict[str, str] = {}  # path of a version -> path of its root, while it is being put into service
        for shelf in self.of.values():
            try:
                left = shelf.clear()
            except OSError as error:
                _log.warning("what was left of learning cannot be removed", camera=shelf.camera, problem=str(error))
                continue
            if left:
                _log.info("removed what was left of learning that did not end", camera=shelf.camera, files=left)

    def root_of(self, path: str) -> str:
        """Return the path of the bundle that a version was learnt from; empty if `path` is no version."""
        if (expected := self._expected.get(path)) is not None:
            return expected
        camera = self._camera_of.get(str(Path(path).parent))
        return "" if camera is None else self.roots[camera]

    def instead_of(self, camera: str, path: str) -> str:
        """Return the path of the bundle that serves where the one at `path` is refused at the start; empty: none."""
        if root := self.root_of(path):
            return root
        return self.settings[camera] if path == self.assigned(camera) else ""

    def expect(self, path: str, root: str) -> None:
        """Take a version for a child of another root than that of its camera; an empty root ends it."""
        if root:
            self._expected[path] = root
        else:
            self._expected.pop(path, None)

    def assigned(self, camera: str) -> str:
        """Return the path of the root that was assigned in place of the bundle of the settings; empty: none was."""
        return pointer.path if (pointer := self.pointers.get(camera)) else ""

    def token(self, camera: str) -> str:
        """Return what `active.json` must name to count."""
        return pointer.token if (pointer := self.pointers.get(camera)) else ""

    def assign(self, camera: str, pointer: RootPointer | None) -> None:
        """Take note of an assignment that is in service; None: the bundle of the settings is."""
        self.roots[camera] = self.settings[camera]
        self.pointers.pop(camera, None)
        if pointer is not None:
            self.pointers[camera] = pointer
            self.roots[camera] = pointer.path or self.settings[camera]

    def names_another(self, camera: str) -> str:
        """Return the id of the bundle of the settings if it is another than at the time of the assignment."""
        pointer, found = self.pointers.get(camera), id_at(self.settings[camera])
        return found if pointer is not None and found not in {"", pointer.settings, pointer.id} else ""

    def at_start(self) -> dict[str, str]:
        """Return which bundle each camera serves, and note where it is not the one that served last."""
        return {camera: self._choose(camera, root) for camera, root in self.settings.items()}

    def _choose(self, camera: str, settings: str) -> str:
        """Return the path of the version in service if it is there; other faults are found by the worker."""
        shelf = self.of.get(camera)
        if shelf is None:
            return settings
        self._find_root(camera, shelf)
        root, pointer = self.roots[camera], self.pointers.get(camera)
        try:
            active = _in_force(shelf.active(), pointer)
        except ValueError as error:
            return self._instead(camera, f"which version is in service is not known, active.json is {error}")
        root_id = id_at(root)
        if active is None or not root_id or active.id == root_id:
            return root
        if active.root != root_id:
            said = f"the settings name another bundle, {root_id[:SHORT]}: what was learnt from {active.root[:SHORT]}"
            return self._instead(camera, f"{said} is dropped")
        path = shelf.path(active.id)
        if id_at(path) != active.id:
            return self._instead(camera, f"version {active.id[:SHORT]} is missing or damaged")
        _log.info("learnt version serves", camera=camera, version=active.id[:SHORT], since=active.since, by=active.by)
        return str(path)

    def _find_root(self, camera: str, shelf: Shelf) -> None:
        """Find out whether a root was assigned, and whether that counts."""
        try:
            pointer = shelf.pointer()
        except ValueError as error:
            self._instead(camera, f"which bundle was assigned is not known, root.json is {error}")
            return
        self.assign(camera, pointer)
        if pointer is None:
            return
        if other := self.names_another(camera):
            self.assign(camera, None)
            said = f"the settings name another bundle, {other[:SHORT]}: {pointer.serves[:SHORT]}, which was assigned,"
            self._instead(camera, f"{said} is dropped")
            try:
                shelf.assign(None)
            except NotWritten as error:  # it counts for nothing all the same
                _log.warning("an assignment that is dropped cannot be deleted", camera=camera, problem=str(error))
        elif pointer.path and id_at(pointer.path) != pointer.id:
            self.assign(camera, None)
            self._instead(camera, f"bundle {pointer.id[:SHORT]}, which was assigned, is missing or damaged")
        elif pointer.path:
            _log.info("assigned bundle", camera=camera, root=pointer.id[:SHORT], since=pointer.since, by=pointer.by)

    def _instead(self, camera: str, reason: str) -> str:
        root = self.roots[camera]
        serves = "the assigned bundle serves" if self.assigned(camera) else "the bundle of the settings serves"
        self.notices[camera] = f"{reason}; {serves}"
        _log.error("learnt version not in service", camera=camera, problem=reason, serves=root)
        return root


def _in_force(active: Active | None, pointer: RootPointer | None) -> Active | None:
    """Return which bundle serves, of `active.json` and `root.json`; None: the root."""
    if pointer is None:
        return None if active is not None and active.assignment else active
    if active is not None and active.assignment == pointer.token:
        return active
    told = {"path": pointer.path, "since": pointer.since, "by": pointer.by, "assignment": pointer.token}
    return Active(root=pointer.id, id=pointer.serves, **told)


def id_at(path: str | Path) -> str:
    """Return the id of the bundle at a path, from its manifest alone; empty if there is none."""
    try:
        return hashlib.sha256(bundles.read_manifest(Path(path))).hexdigest()
    except (BundleError, OSError, ValueError):
        return ""
