"""The learnt versions of all cameras, and which bundle each camera serves at the start."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import structlog

from edge_config.bundle import files as bundles
from edge_config.errors import BundleError
from runtime.versions.records import SHORT
from runtime.versions.shelf import Shelf

_log = structlog.get_logger()


class Shelves:
    """A shelf for each camera.

    Attributes:
        roots: camera -> path of the bundle that the settings name.
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
        self.roots = dict(roots)
        self.off = off
        self.may_not_learn = may_not_learn
        self.notices: dict[str, str] = {}
        self.of = {} if folder is None else {camera: Shelf(folder, camera) for camera in roots}
        self._root_of = {str(shelf.versions_folder): roots[camera] for camera, shelf in self.of.items()}
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
        return self._root_of.get(str(Path(path).parent), "")

    def at_start(self) -> dict[str, str]:
        """Return which bundle each camera serves, and note where it is not the one that served last."""
        return {camera: self._choose(camera, root) for camera, root in self.roots.items()}

    def _choose(self, camera: str, root: str) -> str:
        """Return the path of the version in service if it is there; other faults are found by the worker."""
        shelf = self.of.get(camera)
        try:
            active = None if shelf is None else shelf.active()
        except ValueError as error:
            return self._instead(camera, root, f"which version is in service is not known, active.json is {error}")
        root_id = id_at(root)
        if shelf is None or active is None or not root_id or active.id == root_id:
            return root
        if active.root != root_id:
            said = f"the settings name another bundle, {root_id[:SHORT]}: what was learnt from {active.root[:SHORT]}"
            return self._instead(camera, root, f"{said} is dropped")
        path = shelf.path(active.id)
        if id_at(path) != active.id:
            return self._instead(camera, root, f"version {active.id[:SHORT]} is missing or damaged")
        _log.info("learnt version serves", camera=camera, version=active.id[:SHORT], since=active.since, by=active.by)
        return str(path)

    def _instead(self, camera: str, root: str, reason: str) -> str:
        self.notices[camera] = f"{reason}; the bundle of the settings serves"
        _log.error("learnt version not in service", camera=camera, problem=reason, serves=root)
        return root


def id_at(path: str | Path) -> str:
    """Return the id of the bundle at a path, from its manifest alone; empty if there is none."""
    try:
        return hashlib.sha256(bundles.read_manifest(Path(path))).hexdigest()
    except (BundleError, OSError, ValueError):
        return ""
