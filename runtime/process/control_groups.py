"""Control groups that bound the memory of this process, versions 1 and 2: limits, usage, and OOM kills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 60
"""Version 1 has a number near the 64-bit maximum for no limit."""


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of the files of a version, and of the field that counts reclaimable cache."""

    limit: str
    used: str
    cache: str
    kills: str


_V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control")
_V2 = _Names("memory.max", "memory.current", "inactive_file", "memory.events")


class MemoryGroups:
    """Reads small files of the kernel, in less than a millisecond."""

    def __init__(self, *, proc: str | Path = "/proc", cgroup: str | Path = "/sys/fs/cgroup") -> None:
        """Set where to look.

        Args:
            proc: folder of /proc.
            cgroup: folder of the trees of control groups.
        """
        self._proc, self._root = Path(proc), Path(cgroup)

    def free(self) -> Iterator[int]:
        """Return the available memory of each group with a limit around this process, bytes."""
        for folder, names in self.around():
            limit, used = _limit(folder, names), number(folder / names.used)
            if limit is not None and used is not None:
                reclaimable = field(folder / "memory.stat", names.cache) or 0  # cache, dropped on demand
                yield max(0, limit - used + reclaimable)

    def limit(self) -> int | None:
        """Return the tightest limit around this process, bytes; None if there is none."""
        limits = (_limit(folder, names) for folder, names in self.around())
        return min((limit for limit in limits if limit is not None), default=None)

    def total(self) -> int | None:
        """Return the memory of the whole device, bytes; None if it is not known."""
        kib = field(self._proc / "meminfo", "MemTotal:")
        return None if kib is None else kib * 1024

    def kills(self) -> int | None:
        """Return the number of processes that the OOM killer has killed; None if the kernel does not report it.

        Counts those in this process' own group, or without one those of the whole device.
        """
        for base, path, names in self._trees():
            found = field(_own(base, path) / names.kills, "oom_kill")
            if found is not None:
                return found
        return field(self._proc / "vmstat", "oom_kill")

    def refusals(self) -> int | None:
        """Return the number of allocations beyond a limit of version 1, as older kernels do not count kills."""
        for base, path, names in self._trees():
            if names is _V1 and (found := number(_own(base, path) / "memory.failcnt")) is not None:
                return found
        return None

    def around(self) -> Iterator[tuple[Path, _Names]]:
        """Yield the folders of the groups around this process, the innermost of each tree first."""
        for base, path, names in self._trees():
            folder = _own(base, path)
            for group in (folder, *folder.parents):
                if not group.is_relative_to(base):
                    break
                yield group, names

    def _trees(self) -> Iterator[tuple[Path, str, _Names]]:
        """Return the root of each tree, and the path of this process in it."""
        trees = [line.split(":", 2) for line in lines(self._proc / "self/cgroup")]
        for _, controllers, path in (parts for parts in trees if len(parts) == 3):  # noqa: PLR2004 - number, names, path
            if "memory" in controllers.split(","):
                yield self._root / "memory", path, _V1
            elif not controllers:
                yield self._root, path, _V2
        if not any(parts[1:2] == [""] for parts in trees):
            yield self._root, "/", _V2


def _own(base: Path, path: str) -> Path:
    """Return the folder of a group; in a container, whose tree begins at its own group, the root of the tree."""
    folder = base / path.strip("/")
    return folder if folder.is_dir() else base


def _limit(folder: Path, names: _Names) -> int | None:
    found = number(folder / names.limit)
    return found if found is not None and found < _UNLIMITED else None


def lines(path: Path) -> list[str]:
    """Return the lines of a file; none if it is absent or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # absent, or a sensor that does not answer
        return []


def number(path: Path, base: int = 10) -> int | None:
    """Read a number; None if there is none, such as `max`."""
    try:
        return int("".join(lines(path)), base)
    except ValueError:
        return None


def field(path: Path, name: str) -> int | None:
    """Read the number after a name at the beginning of a line; None if there is none."""
    for line in lines(path):
        key, *rest = line.split() or [""]
        if key == name and rest and rest[0].isdecimal():
            return int(rest[0])
    return None
