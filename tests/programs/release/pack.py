"""Archives that are the same for the same files, and checksums over a folder."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

SUMS = "SHA256SUMS"


def archive(folder: Path, name: str, target: Path, seconds: int) -> None:
    """Write a tar of a folder's files, below `name`; compressed if the target ends in .gz.

    Names are in order, and times and owners are the same everywhere, so that the same files give the same bytes.
    """
    plain = io.BytesIO() if target.suffix == ".gz" else target.open("wb")
    with plain:
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                member = tarfile.TarInfo(f"{name}/{path.relative_to(folder).as_posix()}")
                member.size, member.mtime, member.mode = path.stat().st_size, seconds, 0o644
                with path.open("rb") as file:
                    tar.addfile(member, file)
        if isinstance(plain, io.BytesIO):
            target.write_bytes(gzip.compress(plain.getvalue(), mtime=seconds))


def digest(path: Path) -> str:
    """Return the sha256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> Path:
    """Write SHA256SUMS over all files of a folder, as `sha256sum --check` reads it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return folder / SUMS
