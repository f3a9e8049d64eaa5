"""Write a bundle as a whole: in a folder beside its target, which is renamed once all is on the disk."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_config.bundle import network_file
from edge_config.bundle.files import NAMES
from edge_config.errors import TargetExists, UsageError
from edge_config.saving import not_written, sync, writing

_EARLIER = frozenset({"bank.npy", "neighbours.npy", "golden.npz"})
"""Files of bundles of format 2, which `fit --force` may replace."""


def refuse_target(target: Path, *, force: bool) -> None:
    """Fail early where `staging` would fail late.

    Raises:
        TargetExists: something is at `target` that may not be replaced: with `force`, anything but a bundle.
        UsageError: the folder that `target` would be in does not exist or cannot be written.
    """
    target = target.absolute()
    if os.path.lexists(target):
        if not force:
            raise TargetExists("exists already", where=str(target), remedy="choose another name or give --force")
        if not _holds_a_bundle_at_most(target):
            raise TargetExists("is not a bundle, and will not be replaced", where=str(target))
    if not os.access(target.parent, os.W_OK | os.X_OK):
        if target.parent.is_dir():
            raise UsageError("nothing can be written in this folder", where=str(target.parent), remedy="name another")
        raise UsageError("no such folder", where=str(target.parent), remedy="make it first, or name another")


@contextmanager
def staging(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a folder beside `target` that becomes `target` if the block succeeds and vanishes if it fails.

    Args:
        target: path of the bundle.
        force: replace an existing bundle, once the new one is complete.

    Raises:
        TargetExists: `target` exists, and `force` is false or it is not a bundle.
        UsageError: the folder of `target` cannot be written.
        NotWritten: the bundle cannot be written.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100 - Path.absolute keeps "..", which cannot be renamed
    refuse_target(target, force=force)
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise not_written(target, error) from error
    staged, replaced = work / "new", work / "old"
    try:
        with _folder(work) as held, writing(target, full_only=True):  # other files are read meanwhile
            with suppress(OSError):  # of file systems without locks, where nothing is removed either
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            staged.mkdir()
            yield staged
            _sync(staged)
            _put_in_place(staged, target, replaced, force=force)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def remove_abandoned(target: Path) -> None:
    """Remove what `staging` left beside a target where its process was killed; what another one is at stays."""
    for work in target.absolute().parent.glob(f".{glob.escape(target.name)}.*.part"):
        with suppress(OSError), _folder(work) as found:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the lock ended with its process
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _put_in_place(staged: Path, target: Path, replaced: Path, *, force: bool) -> None:
    """Rename `staged` to `target`; an old bundle moves to `replaced`, and back if that fails."""
    refuse_target(target, force=force)
    try:
        if os.path.lexists(target):
            target.rename(replaced)
        staged.rename(target)
    except BaseException:  # an interrupt too must not cost the old bundle
        if replaced.exists() and not os.path.lexists(target):
            replaced.rename(target)
        raise
    sync(target.parent)


def _holds_a_bundle_at_most(target: Path) -> bool:
    """Return whether a folder contains only files of a bundle or network file, so that --force may delete it."""
    if target.is_symlink() or not target.is_dir():
        return False
    names = {entry.name for entry in target.iterdir()}
    return names <= NAMES | _EARLIER or names <= network_file.NAMES


def _sync(folder: Path) -> None:
    """Sync the files of a folder and the folder itself, so that they are on disk before the rename."""
    for entry in folder.iterdir():
        sync(entry)
    sync(folder)
