"""Named degradation levels, for a device that cannot keep up: one step down at a time, and one step up.

Down after `BAD_S` of trouble: frames are missed, the device is hot, or memory is short. Up after `CALM_S` without any,
where calm begins well below what counts as trouble. A step up that brings the missed frames back is tried again only
after twice the time, so that a device that is too small for its cameras does not swing for ever. No step changes a
score: the frames that are scored are scored as always.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from edge_config.settings.sections import Degrade as Limits

BAD_S = 3.0
"""Trouble of so long leads one step down."""

CALM_S = 6.0
"""Calm of so long leads one step up: from the lowest level to the highest in three of these."""

MAX_CALM_S = 600.0
"""The longest wait for a step up that failed before."""

MISSED_BAD = 0.25
"""Overload: so large a share of the due frames is missed."""

MISSED_CALM = 0.05
"""No overload: no larger a share is missed."""

MEMORY_CALM = 1.25
"""Memory is enough again with so many times the least."""


class Level(IntEnum):
    """What is done less; each level does the less of those before it, too."""

    FULL = 0
    """All."""
    LOWER_RATE = 1
    """Of live cameras every second frame."""
    NO_MAPS = 2
    """And no maps."""
    FEWEST = 3
    """Of live cameras every fourth frame, and no maps."""

    @property
    def title(self) -> str:
        """The level in words."""
        return ("full", "lower rate", "no maps", "every 4th frame")[self]

    @property
    def every(self) -> int:
        """Of live cameras every n-th frame is scored."""
        return (1, 2, 2, 4)[self]

    @property
    def maps(self) -> bool:
        """Whether anomaly maps are made."""
        return self < Level.NO_MAPS


class Load:
    """Counts the frames that were due, and those that were missed: dropped, or scored after their time.

    Where all are missed, time and again, the worker hangs or is gone. That is no overload: to do less is no help.
    """

    def __init__(self) -> None:
        self._due = 0
        self._missed = 0
        self._share = 0.0
        self._idle = False

    def count(self, due: int = 1, missed: int = 0) -> None:
        """Count frames; those missed are among the due ones."""
        self._due += due
        self._missed += missed

    def take(self) -> float:
        """Return the share that was missed since the last call, 0 to 1; 0 where no frame was due.

        Where all were missed, it is the share of before, as one frame may take that long; and 0 the next time.
        """
        was_idle, self._idle = self._idle, 0 < self._due <= self._missed
        if not self._idle:
            self._share = self._missed / self._due if self._due else 0.0
        elif was_idle:
            self._share = 0.0
        self._due = self._missed = 0
        return self._share


@dataclass(frozen=True, slots=True)
class Strain:
    """What a device bears at one moment.

    Attributes:
        missed: share of the due frames that were missed of late, 0 to 1.
        temperature_c: degrees Celsius; None if it is not known.
        available_mb: memory that is left, MiB; None if it is not known.
    """

    missed: float
    temperature_c: float | None
    available_mb: float | None


class Degrade:
    """The level, from one look at the strain to the next. It has no clock: time is told to it.

    Attributes:
        level: what is done now.
        reason: why it changed last, in a few words.
    """

    def __init__(self, limits: Limits) -> None:
        self.level = Level.FULL
        self.reason = ""
        self._limits = limits
        self._bad_since_s: float | None = None
        self._calm_since_s: float | None = None
        self._wait_s = dict.fromkeys(Level, CALM_S)  # before a step up to each level
        self._rose_s: float | None = None

    def update(self, now_s: float, strain: Strain) -> bool:
        """Take in the strain, about once a second, and tell whether the level changed.

        Args:
            now_s: monotonic time, seconds.
            strain: at that time.
        """
        trouble = self._trouble(strain)
        calm = not trouble and self._is_calm(strain)
        self._bad_since_s = (now_s if self._bad_since_s is None else self._bad_since_s) if trouble else None
        self._calm_since_s = (now_s if self._calm_since_s is None else self._calm_since_s) if calm else None
        self._prove(now_s)
        if self._bad_since_s is not None and now_s - self._bad_since_s >= BAD_S and self.level < max(Level):
            self._fall(trouble, overloaded=strain.missed >= MISSED_BAD)
        elif (
            self._calm_since_s is not None
            and self.level > Level.FULL
            and now_s - self._calm_since_s >= self._wait_s[Level(self.level - 1)]
        ):
            self._rise(now_s)
        else:
            return False
        self._bad_since_s = self._calm_since_s = None  # the next step needs its own time
        return True

    def _fall(self, trouble: str, *, overloaded: bool) -> None:
        if self._rose_s is not None and overloaded:  # the level that it rose to is too much
            self._wait_s[self.level] = min(MAX_CALM_S, 2 * self._wait_s[self.level])
        self._rose_s = None
        self.level = Level(self.level + 1)
        self.reason = trouble

    def _rise(self, now_s: float) -> None:
        self._wait_s[self.level] = CALM_S  # calm for so long, it has proved itself
        self._rose_s = now_s
        self.level = Level(self.level - 1)
        self.reason = "calm again"

    def _prove(self, now_s: float) -> None:
        """Forgive a level its failures once it has held for longer than one waited for it."""
        if self._rose_s is not None and now_s - self._rose_s >= self._wait_s[self.level] + 2 * BAD_S:
            self._wait_s[self.level] = CALM_S
            self._rose_s = None

    def _trouble(self, strain: Strain) -> str:
        """Say what is wrong; empty if nothing is."""
        limits = self._limits
        if strain.temperature_c is not None and strain.temperature_c >= limits.hot_c:
            return f"hot: {strain.temperature_c:.0f} degrees"
        if strain.available_mb is not None and strain.available_mb < limits.least_memory_mb:
            return f"memory is short: {strain.available_mb:.0f} MiB left"
        if strain.missed >= MISSED_BAD:
            return f"overload: {strain.missed:.0%} of the frames missed"
        return ""

    def _is_calm(self, strain: Strain) -> bool:
        limits = self._limits
        cool = strain.temperature_c is None or strain.temperature_c < limits.cool_c
        roomy = strain.available_mb is None or strain.available_mb >= MEMORY_CALM * limits.least_memory_mb
        return cool and roomy and strain.missed <= MISSED_CALM
