"""The learnt versions of one camera on disk.

    CAMERA/active.json              which bundle serves; absent: the root
    CAMERA/root.json                which root was assigned in place of the bundle of the settings; absent: none
    CAMERA/staged.json              bundles that were staged, and may have to be deleted
    CAMERA/versions/ID.bundle       a version, whole from the moment that it has this name
    CAMERA/versions/ID.json         what is known of it: written before the bundle gets its name, deleted after it
    CAMERA/work/                    of the learner; what is left there may always be deleted

Names that begin with a dot are of what is being written or deleted. `clear` removes them at the start, and whatever has
no other half, so that a power cut leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from edge_config.saving import sync, writing
from runtime.versions import records
from runtime.versions.records import SHORT, Active, LearningOrder, RootPointer, StagedPaths, Version

SUFFIX = ".bundle"


class Shelf:
    """The versions of a camera. Any thread may call, one at a time."""

    def __init__(self, folder: Path, camera: str) -> None:
        """Name the folders, in the learning folder; they are made when they are needed."""
        self.camera = camera
        self.folder = folder / camera
        self.versions_folder = self.folder / "versions"
        self.work = self.folder / "work"
        self._active = self.folder / "active.json"
        self._root = self.folder / "root.json"
        self._staged = self.folder / "staged.json"
        self._order = self.work / "order.json"

    @property
    def sealed(self) -> Path:
        """Where the learner puts a new bundle."""
        return self.work / f"child{SUFFIX}"

    @property
    def features(self) -> Path:
        """Where the learner keeps what it can use if it is started again; it deletes this at its end."""
        return self.work / "features"

    def path(self, bundle_id: str) -> Path:
        """Return the path of a version."""
        return self.versions_folder / f"{bundle_id[:SHORT]}{SUFFIX}"

    def active(self) -> Active | None:
        """Return which bundle serves; None if nothing else than the root ever did.

        Raises:
            ValueError: the file is damaged.
        """
        return records.read(self._active, Active)

    def point(self, active: Active) -> None:
        """Write which bundle serves, durably.

        Raises:
            NotWritten: it cannot be written.
        """
        with writing(self._active):
            self.folder.mkdir(parents=True, exist_ok=True)
        records.write(self._active, active)

    def pointer(self) -> RootPointer | None:
        """Return which root was assigned; None if none was.

        Raises:
            ValueError: the file is damaged.
        """
        return records.read(self._root, RootPointer)

    def assign(self, pointer: RootPointer | None) -> None:
        """Write which root is assigned, durably; None: none is.

        Raises:
            NotWritten: it cannot be written.
        """
        with writing(self._root):
            self.folder.mkdir(parents=True, exist_ok=True)
            sync(self.folder.parent)
            if pointer is None:
                self._root.unlink(missing_ok=True)
                sync(self.folder)
        if pointer is not None:
            records.write(self._root, pointer)

    def remember(self, path: str) -> None:
        """Write down that a bundle was staged.

        Raises:
            NotWritten: it cannot be written.
        """
        if path not in (staged := self._staged_paths()):
            with writing(self._staged):
                self.folder.mkdir(parents=True, exist_ok=True)
            records.write(self._staged, StagedPaths(paths=(*staged, path)))

    def staged_but(self, stay: Collection[str]) -> list[str]:
        """Return the bundles that were staged and are not needed any more."""
        return [path for path in self._staged_paths() if path not in stay]

    def forget(self, paths: Collection[str]) -> None:
        """Write down that bundles are deleted.

        Raises:
            NotWritten: it cannot be written.
        """
        if paths:
            records.write(self._staged, StagedPaths(paths=tuple(self.staged_but(paths))))

    def _staged_paths(self) -> tuple[str, ...]:
        with contextlib.suppress(ValueError):
            if found := records.read(self._staged, StagedPaths):
                return found.paths
        return ()

    def versions(self) -> list[Version]:
        """Return the versions, the oldest first."""
        found = (self._read(path) for path in self._paths("*.json"))
        whole = [one for one in found if one is not None and self.path(one.id).is_dir()]
        return sorted(whole, key=lambda one: (one.at, one.id))

    def put(self, version: Version) -> None:
        """Take the bundle that the learner sealed.

        Raises:
            NotWritten: the disk does not take it.
        """
        target = self.path(version.id)
        with writing(target):
            self.versions_folder.mkdir(parents=True, exist_ok=True)
            sync(self.folder)
            records.write(self._record(version.id), version)
            if not target.is_dir():  # else the same was learnt again, after a power cut
                self.sealed.rename(target)
            sync(self.versions_folder)

    def rewrite(self, version: Version) -> None:
        """Write what is known of a version once more.

        Raises:
            NotWritten: the disk does not take it.
        """
        records.write(self._record(version.id), version)

    def delete(self, bundle_id: str) -> None:
        """Delete a version: it is gone as a whole, or there as a whole."""
        path = self.path(bundle_id)
        gone = path.with_name(f".{path.name}.gone")
        with contextlib.suppress(FileNotFoundError):
            path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        self._record(bundle_id).unlink(missing_ok=True)

    def pointed_to(self) -> set[str]:
        """Return the ids of the versions that `root.json` names."""
        with contextlib.suppress(ValueError):
            if pointer := self.pointer():
                before = pointer.before.active if pointer.before else ""
                return {pointer.active, before} - {""}
        return set()

    def size(self, bundle_id: str) -> int:
        """Return the size of a version, bytes."""
        return sum(path.stat().st_size for path in self.path(bundle_id).iterdir())

    def order(self) -> LearningOrder | None:
        """Return the learning that has not ended; None if there is none that can be read."""
        with contextlib.suppress(ValueError):
            return records.read(self._order, LearningOrder)
        return None

    def begin(self, order: LearningOrder) -> None:
        """Write down that learning has begun.

        Raises:
            NotWritten: the disk does not take it.
        """
        with writing(self.work):
            self.work.mkdir(parents=True, exist_ok=True)
        records.write(self._order, order)

    def end(self) -> None:
        """Delete all that belongs to learning that has ended."""
        self._order.unlink(missing_ok=True)  # first of all: without it the rest is deleted at the next start
        shutil.rmtree(self.work, ignore_errors=True)

    def clear(self) -> list[str]:
        """Remove what a power cut or a kill left behind; return the names of it."""
        left = list(self._left())
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return [str(path.relative_to(self.folder)) for path in left]

    def _left(self) -> Iterator[Path]:
        yield from (path for path in self.folder.glob(".*") if path.is_file())
        yield from self._paths(".*")
        serving = self._serving()
        for path in self._paths(f"*{SUFFIX}"):
            if not path.with_suffix(".json").exists() and path.stem not in serving:
                yield path
        for path in self._paths("*.json"):
            if not path.with_suffix(SUFFIX).is_dir():
                yield path
        if self.order() is None:
            yield from [self.work] if self.work.exists() else []
        else:
            yield from self.work.glob(".*")
            yield from self.work.glob(f"{self.sealed.name}*")

    def _serving(self) -> set[str]:
        """Return the short ids of what serves, or did before another root was assigned."""
        found = set()
        with contextlib.suppress(ValueError):
            if active := self.active():
                found.add(active.id[:SHORT])
        return found | {one[:SHORT] for one in self.pointed_to()}

    def _paths(self, pattern: str) -> list[Path]:
        if not self.versions_folder.is_dir():
            return []
        found = self.versions_folder.glob(pattern)
        return sorted(path for path in found if path.name.startswith(".") == pattern.startswith("."))

    def _record(self, bundle_id: str) -> Path:
        return self.path(bundle_id).with_suffix(".json")

    def _read(self, path: Path) -> Version | None:
        with contextlib.suppress(ValueError):
            return records.read(path, Version)
        return None
