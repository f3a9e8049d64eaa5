"""How hot the device is and how much memory is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SENSIBLE_C = (-60.0, 250.0)  # a sensor that is off gives 0 kelvin, or more than silicon bears
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found at one moment; None where nothing is known.

    Attributes:
        temperature_c: of the hottest thermal zone, degrees Celsius.
        available_bytes: what may still be used before something is thrown out of memory.
    """

    temperature_c: float | None
    available_bytes: int | None

    @property
    def available_mb(self) -> float | None:
        """Memory that is left, MiB."""
        return None if self.available_bytes is None else self.available_bytes / _MIB


class Machine:
    """Reads some small files of the kernel: less than a millisecond, to be done about once a second."""

    def __init__(
        self, thermal_root: str = "/sys/class/thermal", *, proc: str = "/proc", cgroup: str = "/sys/fs/cgroup"
    ) -> None:
        """Say where to look.

        Args:
            thermal_root: folder of thermal_zone*/temp, in thousandths of a degree.
            proc: where /proc is.
            cgroup: where the tree of control groups (version 2) is.
        """
        self._thermal_root = Path(thermal_root)
        self._proc = Path(proc)
        self._cgroup = Path(cgroup)

    def read(self) -> Reading:
        """Read it all."""
        temperatures = [
            degrees
            for zone in self._thermal_root.glob("thermal_zone*/temp")
            if (millidegrees := _number(zone)) is not None
            and _SENSIBLE_C[0] <= (degrees := millidegrees / 1000) <= _SENSIBLE_C[1]
        ]
        left = [free for free in (self._free(), *self._free_in_groups()) if free is not None]
        return Reading(max(temperatures, default=None), min(left, default=None))

    def _free(self) -> int | None:
        kib = _field(self._proc / "meminfo", "MemAvailable:")
        return None if kib is None else kib * 1024

    def _free_in_groups(self) -> Iterator[int]:
        """Give what is left in each control group around this process that has a limit."""
        own = next((line[3:] for line in _lines(self._proc / "self/cgroup") if line.startswith("0::")), "/")
        group = self._cgroup / own.strip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(self._cgroup):
                return
            limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
            if limit is not None and used is not None:
                given_back = _field(folder / "memory.stat", "inactive_file") or 0  # as soon as somebody wants it
                yield max(0, limit - used + given_back)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # absent, or a sensor that does not answer
        return []


def _number(path: Path) -> int | None:
    """Read a number; None where there is none, such as `max`."""
    try:
        return int("".join(_lines(path)))
    except ValueError:
        return None


def _field(path: Path, name: str) -> int | None:
    """Read the number that follows a name at the beginning of a line."""
    for line in _lines(path):
        key, *rest = line.split()
        if key == name and rest and rest[0].isdecimal():
            return int(rest[0])
    return None
