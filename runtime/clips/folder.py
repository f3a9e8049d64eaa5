"""The folder of clips: file names, locks, and which clips are removed.

Several processes write into one folder. A clip has a temporary name while it is written, and its writer holds a lock
on it: one without a lock was left behind by a process that was killed. A file with another name is never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, NamedTuple

from edge_config.saving import writing

NAME = re.compile(
    r"(?P<camera>[A-Za-z0-9_-]+)-(?P<time>[0-9]{8}T[0-9]{6})Z-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.avi"
)
"""File name of a clip: camera, time and alert. Its group `time` sorts by time."""

_DAY_S = 86_400
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


def keep_within(folder: Path, max_clips: int, max_bytes: int, max_days: float = math.inf) -> None:
    """Remove clips older than `max_days`, and the oldest until at most `max_clips` of `max_bytes` together are left.

    Other processes may do the same at the same time.

    Raises:
        OSError: one cannot be removed; newer ones were removed in its place.
    """
    clips = sorted(_clips(folder))
    number, size = len(clips), sum(clip.bytes for clip in clips)
    oldest = _stamp(time.time() - max_days * _DAY_S) if math.isfinite(max_days) else ""
    problem = None
    for clip in clips:
        if number <= max_clips and size <= max_bytes and clip.time >= oldest:
            break
        try:
            clip.path.unlink(missing_ok=True)
        except OSError as error:
            problem = error
        else:
            number, size = number - 1, size - clip.bytes
    if problem is not None:
        raise problem


def cameras_of(folder: Path) -> list[str]:
    """Return the names of the cameras that have clips."""
    return sorted({clip.camera for clip in _clips(folder)})


def delete_clips(folder: Path, camera: str | None) -> tuple[int, int]:
    """Delete the clips of a camera, or of all; return their number and size. One that is being written stays.

    Raises:
        NotWritten: one cannot be deleted.
    """
    number = size = 0
    for clip in _clips(folder):
        if camera in {None, clip.camera}:
            with writing(clip.path, "delete it by hand"):
                clip.path.unlink(missing_ok=True)
            number, size = number + 1, size + clip.bytes
    return number, size


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed; others may be writing now.

    Raises:
        OSError: one cannot be removed.
    """
    for entry in _files(folder, _PART):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), Path(entry).open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if a process is writing it
            Path(entry).unlink()


class _StoredClip(NamedTuple):
    time: str  # first, as clips are sorted by it
    path: Path
    bytes: int
    camera: str


def _clips(folder: Path) -> Iterator[_StoredClip]:
    for entry in _files(folder, NAME):
        match = NAME.fullmatch(entry.name)
        with contextlib.suppress(FileNotFoundError):
            if match is not None:
                size = entry.stat(follow_symlinks=False).st_size
                yield _StoredClip(match["time"], Path(entry), size, match["camera"])


def _stamp(t_s: float) -> str:
    """Return a wall clock, seconds since 1970 UTC, as in the name of a clip."""
    return f"{datetime.fromtimestamp(max(0.0, t_s), timezone.utc):%Y%m%dT%H%M%S}"


def _files(folder: Path, pattern: re.Pattern[str]) -> Iterator[os.DirEntry[str]]:
    """Yield the files with such a name; none if there is no such folder."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            yield entry
