"""The folder of clips: file names, locks, and which clips are removed.

Several processes write into one folder. A clip has a temporary name while it is written, and its writer holds a lock
on it: one without a lock was left behind by a process that was killed. A file with another name is never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

NAME = re.compile(r"[A-Za-z0-9_-]+-([0-9]{8}T[0-9]{6})Z-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.avi")
"""File name of a clip: camera, time and alert. Its first group sorts by time."""

_PART = re.compile(rf"\.{NAME.pattern}\.part")


def clip_name(camera: str, t_start_ns: int, alert_id: str) -> str:
    """Return the file name of an alert's clip: CAMERA-YYYYmmddTHHMMSSZ-ALERTID.avi.

    Args:
        camera: name of the camera.
        t_start_ns: wall clock at the start of the alert, nanoseconds since 1970 UTC.
        alert_id: a uuid.
    """
    began = datetime.fromtimestamp(t_start_ns // 1_000_000_000, timezone.utc)
    return f"{camera}-{began:%Y%m%dT%H%M%SZ}-{alert_id}.avi"


def create_locked(path: Path) -> BinaryIO:
    """Create a file that is locked for as long as it is open.

    Raises:
        FileExistsError: it is being written already.
    """
    while True:
        file = path.open("xb+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
        except OSError:
            path.unlink()
            file.close()
            raise
        file.close()  # another process took it for a leftover before it was locked


def keep_within(folder: Path, max_clips: int, max_bytes: int) -> None:
    """Remove the oldest clips until at most `max_clips` are left, of at most `max_bytes` together.

    Other processes may do the same at the same time.

    Raises:
        OSError: one cannot be removed; newer ones were removed in its place.
    """
    clips = sorted(_clips(folder))
    number, size = len(clips), sum(bytes_ for _, _, bytes_ in clips)
    problem = None
    for _, path, bytes_ in clips:
        if number <= max_clips and size <= max_bytes:
            break
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            problem = error
        else:
            number, size = number - 1, size - bytes_
    if problem is not None:
        raise problem


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed; others may be writing now.

    Raises:
        OSError: one cannot be removed.
    """
    for entry in _files(folder, _PART):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), Path(entry).open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if a process is writing it
            Path(entry).unlink()


def _clips(folder: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield the time stamp, the path and the bytes of each clip."""
    for entry in _files(folder, NAME):
        match = NAME.fullmatch(entry.name)
        with contextlib.suppress(FileNotFoundError):
            yield match[1] if match else "", Path(entry), entry.stat(follow_symlinks=False).st_size


def _files(folder: Path, pattern: re.Pattern[str]) -> Iterator[os.DirEntry[str]]:
    """Yield the files with such a name; none if there is no such folder."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            yield entry
