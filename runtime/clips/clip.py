"""Clips: video of the seconds around an alert, and the folder that keeps the newest of them.

Time is cut into slots of 1 / fps seconds of the monotonic clock, and a film has one picture for each. A slot in which
none came shows the one before it, so that the time of a film is true with a slow camera, too.

Several processes write into one folder. A clip has a temporary name while it is written, and its writer holds a lock
on it: one without a lock was left behind by a process that was killed. A file with another name is never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from edge_config.settings.sections import Clips
from runtime.clips.avi import Avi

RING_BYTES = 32 << 20
"""Memory for the pictures before an alert, of each camera."""

SLACK_S = 5.0
"""The ring reaches back so much further: an alert is known some time after its first frame, and a disk may be slow."""

LATE_S = 0.5
"""The last picture of a clip is there so long after its time, or not at all."""

HOLD_S = 1.0
"""An alert is known so long after its first frame, or it has a clip of its own."""

MAX_BYTES = 1 << 30
"""Of one clip; players count to not much more."""

NAME = re.compile(r"[A-Za-z0-9_-]+-([0-9]{8}T[0-9]{6})Z-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.avi")
"""Of a clip: camera, time and alert. Its first group sorts by time."""

_PART = re.compile(rf"\.{NAME.pattern}\.part")
_SECOND_NS = 1_000_000_000


def clip_name(camera: str, t_start_ns: int, alert_id: str) -> str:
    """Name the clip of an alert: CAMERA-YYYYmmddTHHMMSSZ-ALERTID.avi.

    Args:
        camera: its name.
        t_start_ns: wall clock when the alert began, nanoseconds since 1970 UTC.
        alert_id: a uuid.
    """
    began = datetime.fromtimestamp(t_start_ns // _SECOND_NS, timezone.utc)
    return f"{camera}-{began:%Y%m%dT%H%M%SZ}-{alert_id}.avi"


def before_s(settings: Clips) -> float:
    """Return how much of a clip lies before its alert, seconds: at most half of it, however short `longest_s` is."""
    return min(settings.before_s, settings.longest_s / 2)


def hold_s(settings: Clips) -> float:
    """Return how long after its last picture a clip can still be extended, seconds: while an alert could touch it."""
    return before_s(settings) + HOLD_S


def slot_at(t_ns: int, fps: float) -> int:
    """Return the slot that a moment of the monotonic clock lies in."""
    return math.floor(t_ns * fps / _SECOND_NS)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What is shown in a slot.

    Attributes:
        slot: its number.
        hw: height and width, pixels.
        jpeg: the picture.
    """

    slot: int
    hw: tuple[int, int]
    jpeg: bytes


class Ring:
    """The pictures of the last seconds, bounded in time and in bytes."""

    def __init__(self, slots: int, most_bytes: int = RING_BYTES) -> None:
        """Keep the pictures of the newest `slots` slots, as far as they fit in `most_bytes`."""
        self.size = 0  # bytes
        self._slots = slots
        self._most_bytes = most_bytes
        self._pictures: deque[Picture] = deque()

    def add(self, picture: Picture) -> None:
        """Put in a picture, of a later slot than all before it."""
        self._pictures.append(picture)
        self.size += len(picture.jpeg)
        while self.size > self._most_bytes or self._pictures[0].slot <= picture.slot - self._slots:
            self.size -= len(self._pictures.popleft().jpeg)
            if not self._pictures:
                return

    def since(self, slot: int) -> list[Picture]:
        """Return the pictures of a slot and of those after it, in order."""
        return list(takewhile(lambda picture: picture.slot >= slot, reversed(self._pictures)))[::-1]


class Clip:
    """One clip on its way to the disk; every method but `end` may raise OSError, and then `discard` is left to do."""

    def __init__(self, settings: Clips, name: str, t_begin_ns: int) -> None:
        """Begin a clip.

        It begins `before_s` earlier.

        Args:
            settings: where and how.
            name: of the file, as of `clip_name`.
            t_begin_ns: when the alert began, monotonic clock.

        Raises:
            OSError: it cannot be written there.
            ValueError: it is not the name of a clip: it would never be removed.
        """
        if not NAME.fullmatch(name):
            raise ValueError(f"not the name of a clip: {name!r}")
        self._fps = settings.fps
        self._after_ns = round(settings.after_s * _SECOND_NS)
        self._hold_ns = round(hold_s(settings) * _SECOND_NS)
        self.next = slot_at(t_begin_ns - round(before_s(settings) * _SECOND_NS), self._fps)  # slot that is to be shown
        self._longest = self.next + math.ceil(settings.longest_s * self._fps) - 1  # the last slot there may be
        self._last = self._longest  # and the last there will be, as far as is known
        self._most_bytes = min(settings.most_mb << 20, MAX_BYTES)
        self._shown: Picture | None = None
        folder = Path(settings.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._whole = folder / name
        self._part = folder / f".{name}.part"
        self._file = _create_locked(self._part)
        try:
            self._avi = Avi(self._file, self._fps)
        except OSError:
            self.discard()
            raise

    @property
    def is_full(self) -> bool:
        """Whether it takes no more pictures, unless it is extended."""
        return self.next > self._last

    def end(self, t_end_ns: int) -> None:
        """Have the clip end `after_s` after this moment of the monotonic clock, unless it is extended."""
        self._last = min(self._longest, slot_at(t_end_ns + self._after_ns, self._fps))

    def extend(self) -> None:
        """Have the clip go on: another alert began before it was over."""
        self._last = self._longest

    def is_over(self, now_ns: int) -> bool:
        """Whether it is as long as it may be, or neither a picture of it nor another alert can come any more."""
        return self.next > self._longest or now_ns >= self.over_ns

    @property
    def over_ns(self) -> int:
        """When neither a picture of it nor another alert can come any more, monotonic clock."""
        held_ns = self._hold_ns if self._last < self._longest else 0
        return math.ceil((self._last + 1) / self._fps * _SECOND_NS) + round(LATE_S * _SECOND_NS) + held_ns

    def add(self, picture: Picture) -> None:
        """Show a picture in its slot, and the one before it in those that are left out between the two."""
        if self._shown is None:
            self.next = max(self.next, picture.slot)
        else:
            while self.next < picture.slot and not self.is_full:
                self._show(self._shown)
            if picture.hw != self._shown.hw:  # a film has one size
                self._cut()
        if not self.is_full:
            self._show(picture)

    def finish(self, *, durable: bool = True) -> bool:
        """Return the clip its name.

        Args:
            durable: wait until the disk has it, so that a loss of power leaves no half of it under this name.

        Returns:
            False if there was nothing to show: then there is no clip.
        """
        if self._shown is None:
            self.discard()
            return False
        self._avi.finish(self._shown.hw)
        if durable:
            os.fsync(self._file.fileno())
        self._part.rename(self._whole)
        self._file.close()
        return True

    def discard(self) -> None:
        """Leave nothing of it."""
        with contextlib.suppress(OSError):
            self._part.unlink()
        with contextlib.suppress(OSError):  # it may be the disk that is full
            self._file.close()

    def _show(self, picture: Picture) -> None:
        if self._avi.size + len(picture.jpeg) > self._most_bytes:
            self._cut()
            return
        self._avi.add(picture.jpeg)
        self._shown = picture
        self.next += 1

    def _cut(self) -> None:
        self._last = self._longest = self.next - 1


def keep_within(folder: Path, most: int, most_bytes: int) -> None:
    """Remove the oldest clips until there are at most `most`, of at most `most_bytes` together.

    Other processes may do the same at the same time.

    Raises:
        OSError: one cannot be removed; newer ones were removed in its place.
    """
    clips = sorted(_clips(folder))
    number, size = len(clips), sum(clip.size for clip in clips)
    problem = None
    for clip in clips:
        if number <= most and size <= most_bytes:
            break
        try:
            clip.path.unlink(missing_ok=True)
        except OSError as error:
            problem = error
        else:
            number, size = number - 1, size - clip.size
    if problem is not None:
        raise problem


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed have left of the clips they were writing; others may be writing now.

    Raises:
        OSError: one cannot be removed.
    """
    for entry in _files(folder, _PART):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), Path(entry).open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of who writes it, if anybody does
            Path(entry).unlink()


@dataclass(frozen=True, slots=True, order=True)
class _OnDisk:
    """A clip in the folder; the oldest is the least."""

    stamp: str
    path: Path
    size: int


def _clips(folder: Path) -> Iterator[_OnDisk]:
    for entry in _files(folder, NAME):
        match = NAME.fullmatch(entry.name)
        with contextlib.suppress(FileNotFoundError):
            yield _OnDisk(match[1] if match else "", Path(entry), entry.stat(follow_symlinks=False).st_size)


def _files(folder: Path, pattern: re.Pattern[str]) -> Iterator[os.DirEntry[str]]:
    """Yield the files with such a name; none if there is no such folder."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            yield entry


def _create_locked(path: Path) -> BinaryIO:
    """Make a file that is locked for as long as it is open.

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
        file.close()  # between the two lines somebody took it for a leftover
