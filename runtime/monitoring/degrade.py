"""Named degradation levels, for a device that cannot keep up: one step down at a time, and one step up.

Down after `BAD_S` of trouble: frames are missed, the device is hot, or memory is short. Up after `CALM_S` without any,
where calm begins well below what counts as trouble. A step up that brings the missed frames back is tried again only
after twice the time, so that a device that is too small for its cameras does not oscillate. No step changes a
score: it only changes which frames are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from edge_config.settings.sections import DegradeSettings

BAD_S = 3.0
"""Duration of trouble before a step down."""

CALM_S = 6.0
"""Duration of calm before a step up; from the lowest level to the highest it takes three of these."""

MAX_CALM_S = 600.0
"""The longest wait for a step up that failed before."""

MISSED_BAD = 0.25
"""Share of missed frames from which on it is overload."""

MISSED_CALM = 0.05
"""Share of missed frames up to which it is calm."""

MEMORY_CALM = 1.25
"""Memory is sufficient again at this multiple of the limit."""


class Level(IntEnum):
    """Degradation levels, each on top of those before it."""

    FULL = 0
    """Every frame, with maps."""
    LOWER_RATE = 1
    """Every second frame of live cameras."""
    NO_MAPS = 2
    """No anomaly maps, either."""
    FEWEST = 3
    """Every fourth frame of live cameras, without maps."""

    @property
    def title(self) -> str:
        """Return the level in words."""
        return ("full", "lower rate", "no maps", "every 4th frame")[self]

    @property
    def every(self) -> int:
        """Return n: every n-th frame of live cameras is scored."""
        return (1, 2, 2, 4)[self]

    @property
    def maps(self) -> bool:
        """Return whether anomaly maps are made."""
        return self < Level.NO_MAPS


class MissedFrames:
    """Share of the due frames that were missed: dropped, or scored after their time.

    Where all are missed repeatedly, the worker hangs or is gone. That is no overload: doing less does not help.
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
    """Load of the device at one moment.

    Attributes:
        missed: share of the due frames that were missed recently, 0 to 1.
        temperature_c: degrees Celsius; None if unknown.
        available_mb: available memory, MiB; None if unknown.
    """

    missed: float
    temperature_c: float | None
    available_mb: float | None


class Degradation:
    """The degradation level over time. It has no clock: the time is an argument.

    Attributes:
        level: the current one.
        reason: why it changed last, in a few words.
    """

    def __init__(self, limits: DegradeSettings) -> None:
        self.level = Level.FULL
        self.reason = ""
        self._limits = limits
        self._bad_since_s: float | None = None
        self._calm_since_s: float | None = None
        self._wait_s = dict.fromkeys(Level, CALM_S)  # before a step up to each level
        self._rose_s: float | None = None

    def update(self, now_s: float, strain: Strain) -> bool:
        """Process the load, about once a second, and return whether the level changed.

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
        """Reset the wait for a level once it has held for longer than that."""
        if self._rose_s is not None and now_s - self._rose_s >= self._wait_s[self.level] + 2 * BAD_S:
            self._wait_s[self.level] = CALM_S
            self._rose_s = None

    def _trouble(self, strain: Strain) -> str:
        """Return what is wrong; empty if nothing is."""
        limits = self._limits
        if strain.temperature_c is not None and strain.temperature_c >= limits.hot_c:
            return f"hot: {strain.temperature_c:.0f} degrees"
        if strain.available_mb is not None and strain.available_mb < limits.least_memory_mb:
            return f"memory low: {strain.available_mb:.0f} MiB available"
        if strain.missed >= MISSED_BAD:
            return f"overload: {strain.missed:.0%} of the frames missed"
        return ""

    def _is_calm(self, strain: Strain) -> bool:
        limits = self._limits
        cool = strain.temperature_c is None or strain.temperature_c < limits.cool_c
        roomy = strain.available_mb is None or strain.available_mb >= MEMORY_CALM * limits.least_memory_mb
        return cool and roomy and strain.missed <= MISSED_CALM
