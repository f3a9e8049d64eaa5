"""Delete old versions, so that their number and their size stay within bounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from runtime.versions.shelf import Shelf


def prune(shelves: Collection[Shelf], keep: Mapping[str, Collection[str]], *, most: int, most_bytes: int) -> list[str]:
    """Delete the oldest versions beyond the bounds.

    Args:
        shelves: of all cameras.
        keep: camera -> ids of versions that stay in any case: what serves, and its parent as the way back.
        most: number of versions of each camera.
        most_bytes: size of all versions of all cameras.

    Returns:
        The paths of what was deleted.
    """
    deleted: list[str] = []
    rest: list[tuple[str, int, Shelf, str]] = []  # time, size
    total = 0
    for shelf in shelves:
        versions = shelf.versions()
        kept = keep.get(shelf.camera, ())
        surplus = len(versions) - most
        for version in versions:
            if surplus > 0 and version.id not in kept:
                shelf.delete(version.id)
                deleted.append(str(shelf.path(version.id)))
                surplus -= 1
                continue
            size = shelf.size(version.id)
            total += size
            if version.id not in kept:
                rest.append((version.at, size, shelf, version.id))
    for _, size, shelf, bundle_id in sorted(rest, key=lambda one: (one[0], one[3])):
        if total <= most_bytes:
            break
        shelf.delete(bundle_id)
        deleted.append(str(shelf.path(bundle_id)))
        total -= size
    return deleted
