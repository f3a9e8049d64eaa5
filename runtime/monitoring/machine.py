"""Temperature and available memory of the device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runtime.process.control_groups import MemoryGroups, field, number

_SENSIBLE_C = (-60.0, 250.0)  # a sensor that is off gives 0 kelvin, or more than silicon bears
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """Temperature and memory at one moment; None where unknown.

    Attributes:
        temperature_c: of the hottest thermal zone, degrees Celsius.
        available_bytes: memory that can be used before the kernel kills a process.
    """

    temperature_c: float | None
    available_bytes: int | None

    @property
    def available_mb(self) -> float | None:
        """Return the available memory, MiB."""
        return None if self.available_bytes is None else self.available_bytes / _MIB


class Machine:
    """Reads some small files of the kernel: less than a millisecond, to be done about once a second."""

    def __init__(
        self, thermal_root: str = "/sys/class/thermal", *, proc: str = "/proc", cgroup: str = "/sys/fs/cgroup"
    ) -> None:
        """Name the places; nothing is read yet.

        Args:
            thermal_root: folder of thermal_zone*/temp, in thousandths of a degree.
            proc: the mount point of /proc.
            cgroup: the mount point of the control groups.
        """
        self._thermal_root = Path(thermal_root)
        self._proc = Path(proc)
        self._groups = MemoryGroups(proc=proc, cgroup=cgroup)

    def read(self) -> Reading:
        """Return what is read now."""
        temperatures = [
            degrees
            for zone in self._thermal_root.glob("thermal_zone*/temp")
            if (millidegrees := number(zone)) is not None
            and _SENSIBLE_C[0] <= (degrees := millidegrees / 1000) <= _SENSIBLE_C[1]
        ]
        left = [free for free in (self._free(), *self._groups.free()) if free is not None]
        return Reading(max(temperatures, default=None), min(left, default=None))

    def _free(self) -> int | None:
        kib = field(self._proc / "meminfo", "MemAvailable:")
        return None if kib is None else kib * 1024
