"""Temperature and memory, from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.monitoring.machine import Machine

MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a device of 1000 MiB of free memory, with no sensor and no limit."""
    write(tmp_path, "proc/meminfo", "MemTotal:  4096000 kB\nMemAvailable:  1024000 kB\n")
    write(tmp_path, "proc/self/cgroup", "0::/system.slice/patchedge.service\n")
    write(tmp_path, "cgroup/cgroup.procs", "")
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def machine(root: Path) -> Machine:
    return Machine(str(root / "thermal"), proc=str(root / "proc"), cgroup=str(root / "cgroup"))


def test_hottest_zone_counts(root: Path) -> None:
    """Of several zones the hottest is given, in degrees."""
    write(root, "thermal/thermal_zone0/temp", "45500\n")
    write(root, "thermal/thermal_zone12/temp", "95000\n")
    write(root, "thermal/cooling_device0/temp", "99000\n")
    assert machine(root).read().temperature_c == 95.0


@pytest.mark.parametrize("text", ["", "-273150\n", "hot\n", "2147483647\n"])
def test_broken_sensor_is_passed_over(root: Path, text: str) -> None:
    """A sensor that gives nothing, or nonsense, does not count."""
    write(root, "thermal/thermal_zone0/temp", text)
    assert machine(root).read().temperature_c is None
    write(root, "thermal/thermal_zone1/temp", "40000\n")
    assert machine(root).read().temperature_c == 40.0


def test_sensor_that_fails_is_passed_over(root: Path) -> None:
    """A sensor whose file cannot be read does not count."""
    (root / "thermal/thermal_zone0/temp").mkdir(parents=True)
    assert machine(root).read().temperature_c is None


def test_nothing_is_known_where_nothing_is_found(tmp_path: Path) -> None:
    """Without the kernel's files there is a reading all the same: of nothing."""
    reading = machine(tmp_path).read()
    assert (reading.temperature_c, reading.available_bytes, reading.available_mb) == (None, None, None)


def test_memory_of_the_whole_device(root: Path) -> None:
    """Without a limit, what the kernel calls available is left."""
    write(root, "cgroup/system.slice/patchedge.service/memory.max", "max\n")
    write(root, "cgroup/system.slice/patchedge.service/memory.current", str(900 * MIB))
    reading = machine(root).read()
    assert (reading.available_bytes, reading.available_mb) == (1000 * MIB, 1000.0)


def test_tightest_limit_counts(root: Path) -> None:
    """A limit of a control group around this one counts, and page cache does not count as used."""
    write(root, "cgroup/system.slice/patchedge.service/memory.max", str(900 * MIB))
    write(root, "cgroup/system.slice/patchedge.service/memory.current", str(100 * MIB))
    write(root, "cgroup/system.slice/memory.max", str(500 * MIB))
    write(root, "cgroup/system.slice/memory.current", str(450 * MIB))
    assert machine(root).read().available_mb == 50.0
    write(root, "cgroup/system.slice/memory.stat", f"anon 1\ninactive_file {30 * MIB}\nactive_file 5\n")
    assert machine(root).read().available_mb == 80.0


def test_limit_of_a_container(root: Path) -> None:
    """In a container the limit stands at the root of its tree."""
    write(root, "proc/self/cgroup", "0::/\n")
    write(root, "cgroup/memory.max", str(200 * MIB))
    write(root, "cgroup/memory.current", str(300 * MIB))
    assert machine(root).read().available_mb == 0.0


def test_this_machine_can_be_read() -> None:
    """On a real kernel memory is known, and nothing fails."""
    reading = Machine().read()
    assert reading.available_bytes
