"""A wheelhouse: our wheels and all that they need, in the versions of constraints.txt, with a list of SHA-256 sums."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

EXTRAS = ("cpu", "mqtt", "nats")
"""What a device may install: `patchedge[cpu]`, and what `patchedge bridge` forwards to."""

MAX_GLIBC = (2, 34)
"""JetPack 6 has glibc 2.35; Debian 12 and Ubuntu 22.04 have later ones than this, too."""

HOUSES = Path("build/wheelhouse")
SUMS = "SHA256SUMS"


def tags(python: str, machine: str) -> list[Tag]:
    """Return what a wheel's name may say for a CPython such as 3.11 on a Linux of this machine, best first."""
    version = [int(part) for part in python.split(".")]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(MAX_GLIBC[1], 4, -1)]
    platforms += [f"manylinux{old}_{machine}" for old in (2014, 2010, 1)]
    interpreter = f"cp{version[0]}{version[1]}"
    return [*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)]


def download(python: Path, version: str, machine: str, wheels: Sequence[Path], folder: Path, constraints: Path) -> None:
    """Get what our wheels need for a Python: `python` is one of that version, on any machine.

    pip evaluates markers such as `python_version` for the Python that runs it.
    """
    ours = next(path for path in wheels if path.name.startswith("patchedge-"))
    platforms = list(dict.fromkeys(tag.platform for tag in tags(version, machine)))
    words = [python, "-m", "pip", "download", "--quiet", "--dest", folder, "--constraint", constraints]
    words += ["--only-binary", ":all:", "--find-links", ours.parent, "--python-version", version]
    words += [word for platform in platforms if platform != "any" for word in ("--platform", platform)]
    subprocess.run([*words, f"{ours}[{','.join(EXTRAS)}]"], check=True)


def pack(files: Iterable[Path], house: Path) -> list[Path]:
    """Put wheels into an empty folder with the list of their sums, which `sha256sum --check` reads; return them."""
    shutil.rmtree(house, ignore_errors=True)
    house.mkdir(parents=True)
    for file in files:
        if not (house / file.name).exists():
            shutil.copyfile(file, house / file.name)
    packed = sorted(house.glob("*.whl"))
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in packed)
    (house / SUMS).write_text("".join(sums), encoding="ascii")
    return packed


def faults(house: Path, python: str, machine: str, constraints: str) -> Iterator[str]:
    """Say what keeps pip from installing all extras from a folder alone: nothing, if all is as it must be."""
    where, wheels = f"Python {python} on {machine}", fitting(house, python, machine)
    versions = pins(constraints, python)
    wanted, seen = [f"patchedge[{','.join(EXTRAS)}]"], set()
    while wanted:
        if (text := wanted.pop()) in seen:
            continue
        seen.add(text)
        requirement = Requirement(text)
        path = choose(requirement, wheels)
        if path is None:
            yield f"{where}: no wheel of {requirement}"
            continue
        wanted += requirements(path, python, machine, requirement.extras)
        name, version, *_ = parse_wheel_filename(path.name)
        if name != "patchedge" and versions.get(name) != str(version):
            yield f"{where}: {path.name} is not of version {versions.get(name)}, as constraints.txt has it"


def fitting(house: Path, python: str, machine: str) -> list[Path]:
    """Return the wheels that a Python can use, the latest first."""
    good = set(tags(python, machine))
    wheels = [path for path in house.glob("*.whl") if good & parse_wheel_filename(path.name)[3]]
    wheels = [path for path in wheels if python in SpecifierSet(metadata(path).get("Requires-Python", ""))]
    return sorted(wheels, key=lambda path: parse_wheel_filename(path.name)[1], reverse=True)


def choose(requirement: Requirement, wheels: Iterable[Path]) -> Path | None:
    """Return the wheel that pip takes for a requirement: the latest."""
    for path in wheels:
        name, version, *_ = parse_wheel_filename(path.name)
        if name == canonicalize_name(requirement.name) and version in requirement.specifier:
            return path
    return None


def metadata(wheel: Path) -> Message:
    """Return what a wheel says of itself."""
    name, version = wheel.name.split("-")[:2]
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{name}-{version}.dist-info/METADATA").decode("utf-8")
    return HeaderParser().parsestr(text)


def requirements(wheel: Path, python: str, machine: str, extras: Iterable[str]) -> list[str]:
    """Return what a wheel says that it requires on this Python and machine, with these extras."""
    chosen = []
    for requirement in map(Requirement, metadata(wheel).get_all("Requires-Dist") or []):
        if any(holds(requirement.marker, python, machine, extra) for extra in ("", *extras)):
            requirement.marker = None
            chosen.append(str(requirement))
    return chosen


def holds(marker: Marker | None, python: str, machine: str, extra: str = "") -> bool:
    """Return whether a marker holds on a CPython of Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine}
    environment |= {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": extra}
    environment |= {"platform_python_implementation": "CPython", "implementation_name": "cpython"}
    return marker is None or marker.evaluate(environment)


def pins(constraints: str, python: str) -> dict[str, str]:
    """Return the versions that constraints.txt has for a Python, by name."""
    lines = [line for line in constraints.splitlines() if line and not line.startswith("#")]
    found = {}
    for requirement in map(Requirement, lines):
        if holds(requirement.marker, python, "any"):
            found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def too_new(wheels: Iterable[Path]) -> list[str]:
    """Return the wheels that auditwheel found to need a later glibc than is promised."""
    late = []
    for path in wheels:
        versions = [(int(a), int(b)) for a, b in re.findall(r"manylinux_(\d+)_(\d+)_", path.name)]
        if not versions or min(versions) > MAX_GLIBC:
            late.append(path.name)
    return late


def say(line: str) -> None:
    """Print a line of progress."""
    print(f"wheels: {line}", file=sys.stderr, flush=True)
