"""List the versions of a camera, and keep their number and size within bounds. Everything here reads the disk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import structlog

from edge_config.wire.versions import KeptVersion, LearningProgress, VersionsKept
from runtime.versions.prune import prune
from runtime.versions.records import Version
from runtime.versions.shelf import Shelf
from runtime.versions.shelves import Shelves, id_at


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is kept at most.

    Attributes:
        versions: number of versions of each camera.
        most_bytes: size of all versions of all cameras, bytes.
    """

    versions: int = 5
    most_bytes: int = 500 << 20


def list_versions(
    shelf: Shelf, root: str, serving: str, progress: LearningProgress, notice: str, *, assigned: bool = False
) -> VersionsKept:
    """Return the answer to a request.

    Args:
        shelf: of the camera.
        root: path of the root.
        assigned: whether it was assigned in place of the bundle of the settings.
        serving: id of the bundle in service.
        progress: of learning.
        notice: what a person should know.
    """
    first = KeptVersion(id=id_at(root))
    kept = tuple(_kept(one, serving) for one in shelf.versions() if first.id in {"", one.root})
    versions = (KeptVersion(id=first.id, active=first.id == serving), *kept)
    root_id = first.id if assigned else ""
    return VersionsKept(camera=shelf.camera, versions=versions, learning=progress, notice=notice, assigned=root_id)


def _kept(version: Version, serving: str) -> KeptVersion:
    return KeptVersion(
        id=version.id,
        parent=version.parent,
        round=version.round,
        number=version.number or version.round,
        at=version.at,
        by=version.by,
        pictures=len(version.learnt),
        added=version.added,
        dropped=version.dropped,
        entries=version.entries,
        threshold=version.threshold,
        faults=version.faults,
        problems=version.problems,
        waits=version.waits,
        active=version.id == serving,
        report=version.report,
    )


def tidy(shelves: Shelves, bounds: Bounds, *, keep: Collection[str] = (), newest: Version | None = None) -> None:
    """Delete versions beyond the bounds, and those that wait while a newer one does.

    What serves, its parent and the newest version of each camera stay.

    Args:
        shelves: versions of all cameras.
        bounds: what is kept at most.
        keep: ids of versions that stay in any case.
        newest: a version that has just been learnt.
    """
    stay: dict[str, set[str]] = {}
    for camera, shelf in shelves.of.items():
        versions = shelf.versions()
        if newest is not None and any(one.id == newest.id for one in versions):
            for old in [one for one in versions if one.waits and one.id not in {newest.id, *keep}]:
                shelf.delete(old.id)
        parents = {one.id: one.parent for one in versions}
        try:
            active = shelf.active()
        except ValueError:
            continue  # nothing is known of what serves: nothing is deleted
        serving = "" if active is None else active.id
        pointed_to = {serving, *shelf.pointed_to()}
        stay[camera] = {*keep, *pointed_to, *(parents.get(one, "") for one in pointed_to)}
        stay[camera].add(versions[-1].id if versions else "")
    some = [shelf for camera, shelf in shelves.of.items() if camera in stay]
    deleted = prune(some, stay, most=bounds.versions, most_bytes=bounds.most_bytes)
    if deleted:
        structlog.get_logger().info("old versions deleted", paths=deleted)
