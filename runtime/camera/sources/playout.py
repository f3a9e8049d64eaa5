"""Pace the frames of a stream: one that arrives in bursts, as HLS does, is sampled evenly.

A camera's frames are due when they arrive. Of a stream that delivers many at once, all but the newest one of each burst
would be dropped, so its frames are released by its own time stamps. Nothing is buffered for that: a frame that is not
due yet is not grabbed yet, and waits, compressed, at the sender. So no memory is needed, whatever the size of the
frames, and the capture time of a frame is the moment when it was due.

A stream in segments (HLS, DASH), or that is a whole video, is paced from the start. The frames of any other are due
when they arrive, until it has come in bursts twice; and again when it does not any more, or its stamps are useless.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from runtime.camera.sources.grabber import Grabber

MAX_STEP_S = 2.0
"""Longest step from stamp to stamp. A longer one, one back or none is a break (a discontinuity of HLS, a restart of the
camera): the frame is due a usual step after the one before."""

JUMP_S, JUMP_STEPS = 0.5, 5.0
"""A step of both this time and so many usual steps is a break, too: a segment that the server removed before it was
read."""

MAX_BREAKS = 10
"""After more breaks in a row the stamps are not followed: frames are due when they arrive."""

FIRST_STEP_S = 0.04
"""Usual step before one was measured."""

GAP_S, GAP_STEPS = 0.15, 3.0
"""A burst ends when no frame arrives for both this time and so many usual steps."""

SHARE = 0.5
"""In a burst, frames came ahead of their time by at least this share of its media time."""

TRUE_RATE = (0.7, 1.4)
"""From burst to burst, stamps and clock agree within these factors; else the stamps are no times."""

MAX_BURST_S = 10.0
"""Longest media time of a burst; more is no stream of a camera."""

MIN_BURSTS = 2
"""Bursts in a row that are needed before a stream without segments is paced."""

HURRY_S, HURRY = 5.0, 0.02
"""If no frame had to be waited for in this time, frames are due earlier by this share of the time that passes, until
one is: so they are no later than they have to be."""

CATCH_UP = 0.03
"""That share from the start of a stream in segments, of which several exist then."""

PLENTY_S = 60.0
"""If no frame had to be waited for in this time, the stream is not paced any more: it has no bursts, or its stamps are
too slow. Not so for one in segments, which may be that far behind at the start."""

MAX_SLIP_S = 10.0
"""Every time that a segment is late, frames are due later by that. When this sums up to more, less the time that was
made up for since, frames are skipped, up to the newest."""

DRIFT = 0.002
"""A share of the time by which a camera's clock may be fast without being late."""


@runtime_checkable
class Stamped(Protocol):
    """A stream whose frames have time stamps.

    Attributes:
        segmented: it comes in files of some seconds each, or is one.
    """

    segmented: bool

    def stamp_s(self) -> float | None:
        """Return the time stamp of the frame that was grabbed last, seconds; None if it has none."""


class InTime:
    """Grabs the frames of a camera when they are due."""

    def __init__(self, camera: Grabber) -> None:
        """Take a camera; the frames of one that is not `Stamped` are due when they arrive."""
        self._camera = camera
        self._stamped = camera if isinstance(camera, Stamped) else None
        self._playout = Playout(segmented=self._stamped is not None and self._stamped.segmented)
        self._never = threading.Event()

    @property
    def paced(self) -> bool:
        """Whether frames are released by their time stamps now."""
        return self._playout.paced

    def grab(self) -> bool:
        """Wait for the next frame, and until it is due; False after the last one."""
        asked_s = time.monotonic()
        if not self._camera.grab():
            return False
        if self._stamped is not None:
            came_s = time.monotonic()
            left_s = self._playout(self._stamped.stamp_s(), asked_s, came_s) - came_s
            if left_s > 0:
                self._never.wait(min(left_s, MAX_STEP_S))
        return True


class Playout:
    """Computes when each frame of one connection is due. It has no clock: times are arguments."""

    def __init__(self, *, segmented: bool) -> None:
        """Expect the first frame.

        Args:
            segmented: the stream comes in files of some seconds each.
        """
        self._segmented = segmented
        self._stamp_s: float | None = None
        self._step_s = FIRST_STEP_S
        self._breaks = 0
        self._media_s = 0.0  # time of the frame by the stamps, without their breaks
        self._offset_s: float | None = None  # from there to the clock; None: frames are due when they come
        self._slip_s = 0.0
        self._dry_s = 0.0  # when the stream was waited for last
        self._caught_up = not segmented
        self._burst: tuple[float, float] | None = None  # clock and media time of its first frame
        self._ahead_s = 0.0  # how far frames came ahead of their time in it
        self._bursts = 0
        self._began = False

    @property
    def paced(self) -> bool:
        """Whether frames are due by their stamps now."""
        return self._offset_s is not None

    def __call__(self, stamp_s: float | None, asked_s: float, came_s: float) -> float:
        """Return when a frame is due; at `came_s` or before: at once.

        Args:
            stamp_s: its time stamp, seconds; None where it has none.
            asked_s: when it was asked for, seconds on the clock that the answer is on.
            came_s: when it came.
        """
        self._advance(stamp_s)
        if not self._began:
            self._began, self._burst = True, (came_s, self._media_s)
            if self._segmented and stamp_s is not None:
                self._follow(came_s)
            return came_s
        if self._breaks > MAX_BREAKS:
            self._offset_s, self._bursts = None, 0
            return came_s
        return self._in_time(asked_s, came_s) if self.paced else self._as_it_comes(asked_s, came_s)

    def _advance(self, stamp_s: float | None) -> None:
        """Advance to the time of the next frame."""
        before_s, self._stamp_s = self._stamp_s, stamp_s
        step_s = 0.0 if stamp_s is None or before_s is None else stamp_s - before_s
        usual_s = self._step_s
        if 0 < step_s <= MAX_STEP_S:
            self._step_s += 0.1 * (step_s - usual_s)
            self._breaks = 0
        else:
            self._breaks += 1
        broken = self._breaks > 0 or step_s > max(JUMP_S, JUMP_STEPS * usual_s)
        self._media_s += usual_s if broken else step_s

    def _follow(self, came_s: float) -> None:
        """Have frames due by their stamps, this one now."""
        self._offset_s, self._dry_s, self._slip_s = came_s - self._media_s, came_s, 0.0

    def _in_time(self, asked_s: float, came_s: float) -> float:
        assert self._offset_s is not None  # noqa: S101 - it is paced
        due_s = self._offset_s + self._media_s
        if came_s - asked_s >= 0.5 * self._step_s:
            self._dry_s, self._caught_up = came_s, True
            if due_s < came_s:  # the stream is late, and what follows is due later by that
                self._offset_s += came_s - due_s
                self._slip_s += came_s - due_s
        self._slip_s = max(0.0, self._slip_s - DRIFT * self._step_s)
        plenty_s = came_s - self._dry_s
        if plenty_s > HURRY_S or not self._caught_up:
            earlier_s = self._step_s * (HURRY if self._caught_up else CATCH_UP)
            self._offset_s, self._slip_s = self._offset_s - earlier_s, max(0.0, self._slip_s - earlier_s)
        if (plenty_s > PLENTY_S and not self._segmented) or self._slip_s > MAX_SLIP_S:
            self._offset_s, self._burst, self._bursts = None, None, 0
        return due_s

    def _as_it_comes(self, asked_s: float, came_s: float) -> float:
        """Look for bursts; a gap ends one."""
        if came_s - asked_s >= max(GAP_S, GAP_STEPS * self._step_s):
            self._bursts = self._bursts + 1 if self._was_burst(came_s) else 0
            if self._segmented or self._bursts >= MIN_BURSTS:
                self._follow(came_s)
            self._burst, self._ahead_s = (came_s, self._media_s), 0.0
        elif self._burst is not None:
            began_s, media_s = self._burst
            self._ahead_s = max(self._ahead_s, self._media_s - media_s - (came_s - began_s))
        return came_s

    def _was_burst(self, came_s: float) -> bool:
        """Return whether the frames since the last gap were a burst, up to this one."""
        if self._burst is None:
            return False
        took_s, shown_s = came_s - self._burst[0], self._media_s - self._burst[1]
        true = TRUE_RATE[0] <= shown_s / took_s <= TRUE_RATE[1]
        return true and shown_s <= MAX_BURST_S and self._ahead_s >= SHARE * shown_s
