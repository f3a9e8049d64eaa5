"""One clip, written frame by frame while its alert goes on.

A slot for which no frame came shows the one before it, so that the clip's time is true with a slow camera, too.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

from edge_config.settings.sections import Clips
from runtime.clips.avi import Avi
from runtime.clips.folder import NAME, create_locked
from runtime.clips.ring import ClipFrame, slot_at

LATE_S = 0.5
"""The last frame of a clip arrives this long after its time, or not at all."""

HOLD_S = 1.0
"""An alert that becomes known later than this after its first frame has a clip of its own."""

MAX_BYTES = 1 << 30
"""Of one clip; many players support little more."""

_SECOND_NS = 1_000_000_000


def before_s(settings: Clips) -> float:
    """Return how much of a clip lies before its alert, seconds: at most half of it, however short `longest_s` is."""
    return min(settings.before_s, settings.longest_s / 2)


def hold_s(settings: Clips) -> float:
    """Return how long after its last frame a clip can still be extended, seconds: while an alert could touch it."""
    return before_s(settings) + HOLD_S


class Clip:
    """A clip that is being written. Every method but `end` may raise OSError; then only `discard` may follow."""

    def __init__(self, settings: Clips, name: str, t_begin_ns: int) -> None:
        """Begin a clip, `before_s` before its alert.

        Args:
            settings: where and how.
            name: of the file, as in `folder.clip_name`.
            t_begin_ns: when the alert began, monotonic clock.

        Raises:
            OSError: it cannot be written there.
            ValueError: it is not the name of a clip, so the file would never be removed.
        """
        if not NAME.fullmatch(name):
            raise ValueError(f"not the name of a clip: {name!r}")
        self._fps = settings.fps
        self._after_ns = round(settings.after_s * _SECOND_NS)
        self._hold_ns = round(hold_s(settings) * _SECOND_NS)
        self.next = slot_at(t_begin_ns - round(before_s(settings) * _SECOND_NS), self._fps)  # slot to be shown next
        self._longest = self.next + math.ceil(settings.longest_s * self._fps) - 1  # the last slot it may have
        self._last = self._longest  # and the last it will have, as far as is known
        self._max_bytes = min(settings.most_mb << 20, MAX_BYTES)
        self._shown: ClipFrame | None = None
        folder = Path(settings.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._whole = folder / name
        self._part = folder / f".{name}.part"
        self._file = create_locked(self._part)
        try:
            self._avi = Avi(self._file, self._fps)
        except OSError:
            self.discard()
            raise

    @property
    def is_full(self) -> bool:
        """Whether it takes no more frames, unless it is extended."""
        return self.next > self._last

    def end(self, t_end_ns: int) -> None:
        """Have the clip end `after_s` after this moment of the monotonic clock, unless it is extended."""
        self._last = min(self._longest, slot_at(t_end_ns + self._after_ns, self._fps))

    def extend(self) -> None:
        """Have the clip go on: another alert began before it was over."""
        self._last = self._longest

    def is_over(self, now_ns: int) -> bool:
        """Return whether it has its full length, or neither a frame of it nor another alert can follow."""
        return self.next > self._longest or now_ns >= self.over_ns

    @property
    def over_ns(self) -> int:
        """Monotonic time from which neither a frame of it nor another alert can follow, nanoseconds."""
        held_ns = self._hold_ns if self._last < self._longest else 0
        return math.ceil((self._last + 1) / self._fps * _SECOND_NS) + round(LATE_S * _SECOND_NS) + held_ns

    def add(self, frame: ClipFrame) -> None:
        """Show a frame in its slot, and the one before it in the empty slots between the two."""
        if self._shown is None:
            self.next = max(self.next, frame.slot)
        else:
            while self.next < frame.slot and not self.is_full:
                self._show(self._shown)
            if frame.hw != self._shown.hw:  # a film has one size
                self._cut()
        if not self.is_full:
            self._show(frame)

    def finish(self, *, durable: bool = True) -> bool:
        """Complete the clip, and give it its name.

        Args:
            durable: wait until it is on the disk, so that a loss of power leaves no half of it under this name.

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
        """Delete it."""
        with contextlib.suppress(OSError):
            self._part.unlink()
        with contextlib.suppress(OSError):  # it may be the disk that is full
            self._file.close()

    def _show(self, frame: ClipFrame) -> None:
        if self._avi.size + len(frame.jpeg) > self._max_bytes:
            self._cut()
            return
        self._avi.add(frame.jpeg)
        self._shown = frame
        self.next += 1

    def _cut(self) -> None:
        self._last = self._longest = self.next - 1
