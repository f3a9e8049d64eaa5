"""Another root for a camera, in place of the bundle of the settings, and the way back.

    looked up on disk -> the engine loads it beside the one in service, and takes it -> `root.json` -> told

What was learnt from the old root stays on disk, so that going back brings back the very bundle that served.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timezone
from pathlib import Path

import structlog

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.errors import BundleError
from edge_config.saving import sync
from edge_config.wire.candidates import DroppedLessons
from runtime.frame import BundleInfo
from runtime.versions.activations import Activation, Activations
from runtime.versions.disk_thread import DiskThread
from runtime.versions.events import RootTarget
from runtime.versions.learning_on import LearningOn
from runtime.versions.records import SHORT, Active, RootPointer, ServedBefore, Version, line
from runtime.versions.shelves import Shelves, id_at

Done = Callable[[Activation, str], object]
"""Takes the end of an activation: with the problem, or an empty text."""

_log = structlog.get_logger()


class AssignedRoots:
    """Puts other roots in place of the bundles of the settings. Use it from the main loop's thread."""

    def __init__(
        self,
        shelves: Shelves,
        activations: Activations,
        learning: LearningOn,
        serving: Callable[[str], BundleInfo],
        disk: DiskThread,
    ) -> None:
        """Take the parts.

        Args:
            shelves: versions and roots of all cameras.
            activations: put bundles into service.
            learning: is stopped.
            serving: camera -> the bundle in service.
            disk: works on the disk.
        """
        self._shelves = shelves
        self._activations = activations
        self._learning = learning
        self._serving = serving
        self._disk = disk

    def of(self, camera: str) -> RootPointer | None:
        """Return which root was assigned to a camera; None if none was."""
        return self._shelves.pointers.get(camera)

    def stage(self, camera: str, path: str) -> None:
        """Remember the path of the candidate of a camera beyond a restart, so that `collect` finds it then."""
        if (shelf := self._shelves.of.get(camera)) is not None:
            self._disk.do(lambda: shelf.remember(path))

    def collect(self, camera: str, needed: Collection[str], delete: Callable[[Collection[str]], object]) -> None:
        """Delete the bundles that were staged for a camera, and that nobody needs any more.

        Args:
            camera: name of the camera.
            needed: paths of bundles that stay.
            delete: deletes the bundles at some paths; called in another thread.
        """
        if (shelf := self._shelves.of.get(camera)) is None:
            return
        pointed_to = {path for one in self._shelves.pointers.values() for path in one.paths}
        stay = {*needed, *pointed_to, *self._shelves.settings.values()}

        def act() -> None:
            gone = shelf.staged_but(stay)
            delete(gone)
            shelf.forget(gone)  # last: after a power cut they are deleted the next time

        self._disk.do(act)

    def activate(self, camera: str, path: str, bundle_id: str, by: str, done: Done) -> None:
        """Make a bundle the root of a camera, and put it into service; learning of the camera is stopped.

        Args:
            camera: name of the camera.
            path: path of the bundle.
            bundle_id: id of the bundle.
            by: public key of the client that asks.
            done: called at the end, with the problem or an empty text.
        """
        serving = self._serving(camera).id
        find = lambda: another_root(self._shelves, camera, path, bundle_id, serving, by)  # noqa: E731
        self._begin(camera, find, by, done)

    def go_back(self, camera: str, by: str, done: Done, *, with_child: bool = True) -> None:
        """Put into service what served before the last assignment; `activate` says what the arguments are.

        Where a learnt version served that cannot be served any more, its root does.
        """
        serving = self._serving(camera).id
        find = lambda: way_back(self._shelves, camera, serving, by, with_child=with_child)  # noqa: E731

        def ended(one: Activation, problem: str) -> None:
            if not problem or one.taken or one.target is None or not one.target.pointer.active:
                done(one, problem)
                return
            _log.error("learnt version not in service", camera=camera, problem=problem, serves="its root")
            self._shelves.notices[camera] = f"{problem}; its root serves"
            self.go_back(camera, by, done, with_child=False)

        self._begin(camera, find, by, ended)

    def _begin(self, camera: str, find: Callable[[], RootTarget], by: str, done: Done) -> None:
        serving = self._serving(camera)
        busy = self._activations.why_busy(camera)
        if problem := self._shelves.off or (f"busy: {busy}" if busy else ""):  # clients retry then
            done(Activation(0, camera, by, serving.id, done), problem)
            return
        self._learning.stop(camera, "stopped, as another bundle was assigned")

        def ended(one: Activation, problem: str) -> None:
            if one.taken and one.target is not None:
                self._learning.forget_waiting(camera)
                self._learning.change_root(camera)
                told = {"before": one.before[:SHORT], "now": one.bundle_id[:SHORT], "by": one.by}
                _log.info("assigned bundle in service", camera=camera, **told, root=one.target.pointer.id[:SHORT])
            done(one, problem)

        self._activations.begin_root(camera, find, before=(serving.id, serving.path), by=by, done=ended)

    def drop(self, camera: str, bundle: BundleInfo) -> None:
        """Forget the assigned root: a person has put another bundle at the path of the settings, and it serves."""
        shelf = self._shelves.of[camera]
        said = f"another bundle, {bundle.id[:SHORT]}, is at the path of the settings: what was assigned is dropped"
        self._shelves.notices[camera] = said
        _log.warning("assigned bundle dropped", camera=camera, why=said)
        self._learning.stop(camera, said)
        self._shelves.assign(camera, None)
        self._learning.forget_waiting(camera)
        active = Active(root=bundle.id, id=bundle.id, path=bundle.path, since="", by="")

        def write() -> None:
            shelf.assign(None)
            shelf.point(active)

        self._disk.do(write)


def another_root(shelves: Shelves, camera: str, path: str, bundle_id: str, serving: str, by: str) -> RootTarget:
    """Return what to do so that a bundle becomes the root of a camera; its files are on the disk then.

    Args:
        shelves: versions and roots of all cameras.
        camera: name of the camera.
        path: path of the bundle.
        bundle_id: id of the bundle.
        serving: id of the bundle in service.
        by: public key of the client that asks.

    Raises:
        ValueError: it is not there any more.
        OSError: the disk failed.
    """
    if id_at(path) != bundle_id:
        raise ValueError(f"{path}: is not bundle {bundle_id[:SHORT]} any more")
    _sync(Path(path))
    now = shelves.pointers.get(camera)
    root = now.id if now else id_at(shelves.settings[camera])
    version = _versions(shelves, camera).get(serving)
    active = serving if version is not None and version.root == root else ""
    before = ServedBefore(root=root, path=shelves.assigned(camera), active=active)
    return _target(shelves, camera, bundle_id, path, by, serving, before=before)


def way_back(shelves: Shelves, camera: str, serving: str, by: str, *, with_child: bool) -> RootTarget:
    """Return what to do so that what was before the last assignment serves again.

    Args:
        shelves: versions and roots of all cameras.
        camera: name of the camera.
        serving: id of the bundle in service.
        by: public key of the client that asks.
        with_child: a version that served then serves again; else its root does.

    Raises:
        ValueError: there is nothing to go back to, or it is not there any more.
    """
    now = shelves.pointers.get(camera)
    if now is None or now.before is None:
        raise ValueError(f"camera `{camera}` has nothing to go back to")
    before = now.before
    path = before.path or shelves.settings[camera]
    if id_at(path) != before.root:
        raise ValueError(f"{path}: is not bundle {before.root[:SHORT]}, which served before")
    child = before.active if with_child else ""
    return _target(shelves, camera, before.root, before.path, by, serving, active=child)


def _target(
    shelves: Shelves,
    camera: str,
    root: str,
    path: str,
    by: str,
    serving: str,
    *,
    active: str = "",
    before: ServedBefore | None = None,
) -> RootTarget:
    now, shelf = shelves.pointers.get(camera), shelves.of[camera]
    root_path = path or shelves.settings[camera]
    pointer = RootPointer(
        token=secrets.token_hex(8),
        settings=id_at(shelves.settings[camera]) or (now.settings if now else ""),
        id=root,
        path=path,
        since=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        active=active,
        before=before,
        by=by,
    )
    dropped = _dropped(_versions(shelves, camera), serving, pointer.serves, shelves.roots[camera])
    return RootTarget(str(shelf.path(active)) if active else root_path, root_path, pointer, dropped)


def _dropped(versions: Mapping[str, Version], before: str, now: str, root: str) -> DroppedLessons:
    """Return what the bundle before has learnt and the one now has not; `root`: path of the root before."""
    kept = {one.id for one in line(versions, now)}
    gone = [one for one in line(versions, before) if one.id not in kept]
    if not gone:
        return DroppedLessons()
    rounds = gone[0].round - max([_round(root), *(versions[one].round for one in kept)])
    return DroppedLessons(rounds=max(rounds, len(gone)), pictures=len({name for one in gone for name in one.learnt}))


def _round(path: str) -> int:
    """Return the number of the round that made the bundle at a path; 0 if it was fitted."""
    try:
        lineage = manifests.decode(bundles.read_manifest(Path(path)), path).lineage
    except (BundleError, OSError):
        return 0
    return lineage.round if lineage else 0


def _versions(shelves: Shelves, camera: str) -> dict[str, Version]:
    return {one.id: one for one in shelves.of[camera].versions()}


def _sync(bundle: Path) -> None:
    """Wait until a bundle is on the disk: the program that put it there may not have."""
    for path in bundle.iterdir():
        sync(path)
    sync(bundle)
    sync(bundle.parent)
