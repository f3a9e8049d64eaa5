"""`patchedge learn-on` for a bundle that no device runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_config.bundle import files as bundles
from edge_config.errors import NoImages, UnsafeLearning, UsageError
from runtime.cli.main import main
from tests.support import growing
from tests.support.growing import BLUE, RED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a bundle, and pictures with a blue square and with a red one."""
    folder = tmp_path_factory.mktemp("learn-on")
    growing.make_parent(folder / "root.bundle")
    growing.write(folder / "blue", [growing.with_square(seed, BLUE) for seed in range(8)])
    growing.write(folder / "red", [growing.with_square(seed, RED, at=(5, 2)) for seed in range(8)])
    return folder


def verb(folder: Path, images: str, out: Path, *more: str) -> int:
    some = ["--bundle", str(folder / "root.bundle"), "--images", str(folder / images), "--out", str(out)]
    return main(["learn-on", *some, "--threads", "1", *more])


def test_summary_says_what_has_changed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bundle is there, and its id, its pictures, entries and threshold are in the summary."""
    assert verb(folder, "blue", tmp_path / "new.bundle", "--faults", str(folder / "red")) == 0
    said = capsys.readouterr().out
    assert bundles.read(tmp_path / "new.bundle").id[:12] in said
    assert "6 learnt, 6 of them over the threshold before; 2 held out" in said
    assert "8 of 8 found, 8 before" in said
    assert "warning" not in said


def test_json_is_the_result(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints one object; `--max-images` takes fewer pictures."""
    assert verb(folder, "blue", tmp_path / "new.bundle", "--json", "--max-images", "3") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bundle_id"] == bundles.read(tmp_path / "new.bundle").id
    assert found["learnt"] == ["000.png", "004.png", "007.png"]


def test_a_fault_is_learnt_only_by_force(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would no longer find a known fault is refused in one line and not written; forced, it is a warning."""
    out = tmp_path / "new.bundle"
    assert verb(folder, "red", out, "--faults", str(folder / "red")) == UnsafeLearning.exit_code
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()
    assert verb(folder, "red", out, "--faults", str(folder / "red"), "--force") == 0
    assert "warning       A known fault" in capsys.readouterr().out


@pytest.mark.parametrize("images", ["none", "root.bundle"])
def test_a_folder_without_pictures_is_named(
    folder: Path, tmp_path: Path, images: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a folder that is not there nor one without pictures is learnt from."""
    assert verb(folder, images, tmp_path / "new.bundle") == NoImages.exit_code
    assert images in capsys.readouterr().err


def test_pictures_of_another_shape_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pictures of other proportions than the camera's are of another camera."""
    growing.write(tmp_path / "wide", [growing.with_square(1, BLUE)[:20]])
    some = ["--bundle", str(folder / "root.bundle"), "--images", str(tmp_path / "wide")]
    assert main(["learn-on", *some, "--out", str(tmp_path / "new.bundle")]) == UsageError.exit_code
    assert "64 x 20" in capsys.readouterr().err
