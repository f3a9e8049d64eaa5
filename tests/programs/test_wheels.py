"""The judgements of `make wheels`: names, sums, and that a wheelhouse has all that pip will want."""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from packaging.requirements import Requirement

from tests.programs.arm64.containers import Containers
from tests.programs.wheels import compile as compiling
from tests.programs.wheels import prove, roots, run, source
from tests.programs.wheels.wheelhouse import SUMS, faults, holds, pack, pins, tags, too_new

ROOT = Path(__file__).parents[2]
LISTS = ROOT / "tests/programs/wheels"
CONSTRAINTS = "hnswlib==0.8.0\nnumpy==2.2.6; python_version < '3.11'\nnumpy==2.4.6; python_version >= '3.11'\n"
PATCHEDGE = "patchedge-0.1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
HNSWLIB = "hnswlib-0.8.0-cp311-cp311-manylinux_2_34_x86_64.whl"
NUMPY = "numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl"


def wheel(folder: Path, name: str, *requires: str) -> Path:
    """Write a wheel that has nothing but what it requires."""
    folder.mkdir(exist_ok=True)
    lines = ["Metadata-Version: 2.4", *(f"Requires-Dist: {each}" for each in requires), "", ""]
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(f"{'-'.join(name.split('-')[:2])}.dist-info/METADATA", "\n".join(lines))
    return folder / name


def house(folder: Path) -> Path:
    """Write a wheelhouse that has all for Python 3.11 on x86-64."""
    wheel(folder, PATCHEDGE, "hnswlib<0.9,>=0.8", 'numpy>=1.26; extra == "cpu"', 'torch; extra == "export"')
    wheel(folder, HNSWLIB, "numpy", 'tomli; python_version < "3.11"')
    wheel(folder, NUMPY)
    return folder


def test_a_wheelhouse_with_all_that_is_required_has_no_faults(tmp_path: Path) -> None:
    """What an extra of the workshop or another Python requires is not missed."""
    assert not list(faults(house(tmp_path), "3.11", "x86_64", CONSTRAINTS))


@pytest.mark.parametrize("name", [PATCHEDGE, HNSWLIB, NUMPY])
def test_a_missing_wheel_is_named(tmp_path: Path, name: str) -> None:
    """Each package that is required, directly or by another, must have a wheel."""
    (house(tmp_path) / name).unlink()
    assert f"Python 3.11 on x86_64: no wheel of {name.partition('-')[0]}" in next(
        faults(tmp_path, "3.11", "x86_64", CONSTRAINTS)
    )


@pytest.mark.parametrize(("python", "machine"), [("3.12", "x86_64"), ("3.11", "aarch64")])
def test_a_wheel_for_another_python_or_machine_does_not_count(tmp_path: Path, python: str, machine: str) -> None:
    """Wheels must fit the Python and the machine."""
    assert "no wheel of patchedge" in next(faults(house(tmp_path), python, machine, CONSTRAINTS))


def test_a_wheel_of_an_untested_version_is_named(tmp_path: Path) -> None:
    """The versions are those of constraints.txt, and nothing else is packed."""
    house(tmp_path)
    wheel(tmp_path, NUMPY.replace("2.4.6", "2.4.7"))
    assert {line.split(": ")[1] for line in faults(tmp_path, "3.11", "x86_64", CONSTRAINTS)} == {
        f"{NUMPY.replace('2.4.6', '2.4.7')} is not of version 2.4.6, as constraints.txt has it"
    }


def test_sums_are_what_sha256sum_verifies(tmp_path: Path) -> None:
    """The list holds for the wheels as packed, and no longer when one has changed."""
    packed = pack([house(tmp_path / "made") / NUMPY, tmp_path / "made" / HNSWLIB], tmp_path / "house")
    assert [path.name for path in packed] == [HNSWLIB, NUMPY]
    check = ["sha256sum", "--check", "--quiet", "--strict", SUMS]
    assert not subprocess.run(check, cwd=tmp_path / "house", check=False).returncode
    packed[0].write_bytes(b"changed")
    assert subprocess.run(check, cwd=tmp_path / "house", check=False, capture_output=True).returncode


def test_an_old_wheel_does_not_stay_in_the_wheelhouse(tmp_path: Path) -> None:
    """A wheelhouse is made from nothing each time."""
    wheel(tmp_path / "house", "patchedge-0.0.9-py3-none-any.whl")
    pack([house(tmp_path / "made") / NUMPY], tmp_path / "house")
    assert sorted(path.name for path in (tmp_path / "house").iterdir()) == [SUMS, NUMPY]


def test_wheels_that_need_a_later_glibc_are_refused() -> None:
    """At most glibc 2.34; the lowest of several tags counts, and a wheel that auditwheel never saw is refused."""
    good = "patchedge-0.1.0-cp311-cp311-manylinux1_x86_64.manylinux_2_5_x86_64.whl"
    late = [HNSWLIB.replace("2_34", "2_35"), HNSWLIB.replace("manylinux_2_34", "linux")]
    assert too_new([Path(name) for name in (good, HNSWLIB, *late)]) == late


def test_tags_end_at_the_glibc_that_is_promised() -> None:
    """Pip is not offered wheels for a later glibc than the oldest device has."""
    found = {str(tag) for tag in tags("3.10", "aarch64")}
    assert {"cp310-cp310-manylinux_2_34_aarch64", "cp38-abi3-manylinux2014_aarch64", "py3-none-any"} <= found
    assert not [tag for tag in found if "2_35" in tag or "x86" in tag]


def test_a_missing_python_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Wheels are built for the interpreters that are found, and the others are named."""
    monkeypatch.setattr(run, "interpreter", lambda version: "/python" if version == "3.11" else None)
    assert list(run.found(("3.11", "3.12"))) == [("3.11", "/python")]
    assert "Python 3.12 is not found here" in capsys.readouterr().err


def test_nothing_of_a_developers_tree_is_built_from(tmp_path: Path) -> None:
    """The copy has no compiled modules and no build folder."""
    (tmp_path / "source/build").mkdir(parents=True)
    source.copy_source(tmp_path / "source")
    assert not list(tmp_path.rglob("*.so"))
    assert not list(tmp_path.rglob("__pycache__"))
    assert {path.name for path in (tmp_path / "source").iterdir()} == {*source.PACKAGES, *source.FILES, "wheels"}


def test_versions_of_hnswlib_and_of_the_tools_are_pinned() -> None:
    """Hnswlib is built in the version of constraints.txt, from a source of known sum, with tools of exact versions."""
    constraints = pins((ROOT / "constraints.txt").read_text(), "3.11")
    pinned = re.search(
        r"^hnswlib==(\S+) --hash=sha256:[0-9a-f]{64}$", (LISTS / "hnswlib.txt").read_text(), re.MULTILINE
    )
    assert pinned
    assert constraints["hnswlib"] == pinned[1]
    tools = [line for line in (LISTS / "tools.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in tools)


def test_nothing_is_compiled_for_this_processor() -> None:
    """Each machine has its oldest processor; the sums of hnswlib alone may be reordered, and on ARM only."""
    assert "-march=x86-64 " in compiling.flags("x86_64")["CFLAGS"] + " "
    assert "-march=armv8-a " in compiling.flags("aarch64")["CFLAGS"]
    assert all(compiling.flags(machine)["HNSWLIB_NO_NATIVE"] == "1" for machine in compiling.MARCH)
    assert "associative" not in compiling.flags("aarch64")["CFLAGS"] + compiling.HNSWLIB["x86_64"]


@pytest.mark.parametrize(("machine", "good"), [("aarch64", True), ("x86_64", False)])
def test_a_marker_is_evaluated_for_the_device(machine: str, good: bool) -> None:  # noqa: FBT001
    """The machine and the Python that build do not matter."""
    marker = Requirement("a; platform_machine == 'aarch64' and python_version == '3.13'").marker
    assert holds(marker, "3.13", machine) is good


def test_a_proof_without_a_wheelhouse_or_a_bundle_says_what_to_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first thing that is missing is named with the command that makes it."""
    monkeypatch.setattr(prove, "HOUSES", tmp_path)
    with pytest.raises(prove.Unable, match="make wheels"):
        next(prove.cases("x86_64"))
    with pytest.raises(prove.Unable, match="make demo"):
        prove.find_demo(tmp_path)


def test_times_are_taken_where_a_step_begins(tmp_path: Path) -> None:
    """Each step has its time, and all output is kept."""
    script = """echo step run; echo '{"topic": "score", "message": {"score": 1.5}}'; echo step scored"""
    times, code = prove.follow(["/bin/sh", "-c", script], tmp_path / "log")
    assert code == 0
    assert times["run"] <= times["scored"]
    assert '"score": 1.5' in (tmp_path / "log").read_text()


def test_a_proof_without_a_score_fails(tmp_path: Path) -> None:
    """A frame that was not scored is not the first score."""
    script = """echo '{"topic": "score", "message": {"score": null}}'"""
    with pytest.raises(ValueError, match="no score"):
        prove.follow(["/bin/sh", "-c", script], tmp_path / "log")


def test_an_image_without_a_wheelhouse_says_what_to_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before the base is made, which takes minutes."""
    monkeypatch.setattr(roots, "HOUSES", tmp_path)
    containers = SimpleNamespace(has=pytest.fail)
    with pytest.raises(roots.arm64.Unable, match="make wheels"):
        roots.make_base(tmp_path, cast("Containers", containers))
