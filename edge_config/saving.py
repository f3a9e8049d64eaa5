"""Atomic file writes: a file is written whole or not at all, and a disk error becomes one line."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_config.errors import NotWritten

REMEDY = "free disk space, or name another folder"
_REMEDIES = {
    errno.EROFS: "name another folder: this disk is read-only",
    errno.EACCES: "ask its owner for permission, or name another folder",
    errno.EPERM: "ask its owner for permission, or name another folder",
    errno.ENOENT: "make its folder first, or name another",
    errno.ENOTDIR: "make its folder first, or name another",
    errno.EEXIST: "choose another name",
    errno.EISDIR: "choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What to do about an error other than a full disk, in place of REMEDY."""
TEMPORARY = "free disk space, or set TMPDIR to another folder"
"""Remedy for the folder of temporary files."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})  # of file systems without fsync
_PUBLIC = 0o666  # less the umask
_PART = "only a part of it was written"
_TRY_BYTES = 1 << 20


def directory_identity(path: str) -> tuple[int, int] | None:
    """Return which directory lies at a path, as device and inode; None if there is none.

    While it is the same, the directory was not replaced by another.
    """
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def is_full(error: OSError) -> bool:
    """Return whether an error means that the disk is full or read-only; numpy's has no number."""
    return error.errno in _FULL or (error.errno is None and " requested and " in str(error))


def not_written(target: str | os.PathLike[str], error: OSError, remedy: str = REMEDY) -> NotWritten:
    """Return the one line about a file that cannot be written.

    Args:
        target: the file or folder.
        error: error of the system.
        remedy: how to fix it; the default is for a full disk, and depends on the error otherwise.
    """
    if remedy == REMEDY:
        remedy = _REMEDIES.get(error.errno or 0, REMEDY)
    said = error.strerror or cut_short(Path(target)).strerror  # numpy only reports how much was written
    return NotWritten(f"cannot be written ({said})", where=str(target), remedy=remedy)


def cut_short(path: Path) -> OSError:
    """Return the error of a file that a library wrote only in part, silently, by trying to write once more."""
    part = _part(path)
    try:
        _write(part, bytes(_TRY_BYTES), 0o600)
    except OSError as error:
        return error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return OSError(errno.ENOSPC, _PART)


@contextlib.contextmanager
def writing(target: str | os.PathLike[str], remedy: str = REMEDY, *, full_only: bool = False) -> Iterator[None]:
    """Translate errors of writing a file in the block into one line.

    Args:
        target: the file or folder.
        remedy: how to fix it.
        full_only: the block also reads files, so only errors of writing are about `target`.

    Raises:
        NotWritten: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        if full_only and not is_full(error):
            raise
        raise not_written(target, error, remedy) from error


def put(path: Path, data: bytes, *, mode: int = _PUBLIC, part: Path | None = None) -> None:
    """Write a file beside its target and rename it; after a failure the old content remains.

    Args:
        path: the target.
        data: its content.
        mode: mode of the file, from its first byte on.
        part: temporary file, on the same disk; by default a hidden one beside the target.

    Raises:
        NotWritten: the file cannot be written.
    """
    with writing(path):
        part = part or _part(path)
        try:
            _write(part, data, mode)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def put_all(files: Mapping[Path, bytes], modes: Mapping[Path, int] | None = None) -> None:
    """Write several files like `put`; they are renamed once all of them are complete.

    Args:
        files: path -> content.
        modes: path -> mode, unless it is the default.

    Raises:
        NotWritten: one of them cannot be written.
    """
    modes = modes or {}
    parts = {path: _part(path) for path in files}
    try:
        for path, data in files.items():
            with writing(path):
                _write(parts[path], data, modes.get(path, _PUBLIC))
        for path, part in parts.items():
            with writing(path):
                part.replace(path)
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; file systems without fsync are passed over.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def put_durably(path: Path, data: bytes, *, mode: int = _PUBLIC) -> None:
    """Write a file as `put` does, and wait until its name is on the disk, too: a power cut leaves it whole, or the old.

    Raises:
        NotWritten: the file cannot be written.
    """
    put(path, data, mode=mode)
    with writing(path):
        sync(path.parent)


def replace_content(path: Path, data: bytes) -> None:
    """Replace the content of a file, whole or not at all; owner and permissions stay. It is on the disk afterwards.

    Raises:
        NotWritten: it cannot be written, or its owner cannot be kept; the old one is as it was.
    """
    remedy = "check who may write to it and to its folder"
    with writing(path, remedy):
        old, part = path.stat(), _part(path)
        try:
            _write(part, data, 0o600)
            if (old.st_uid, old.st_gid) != ((new := part.stat()).st_uid, new.st_gid):
                os.chown(part, old.st_uid, old.st_gid)
            part.chmod(stat.S_IMODE(old.st_mode))
            part.replace(path)
            sync(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _write(path: Path, data: bytes, mode: int) -> None:
    """Create and write a file that has its mode from the first byte on; follows no link."""
    path.unlink(missing_ok=True)  # of a killed process with the same pid
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise
