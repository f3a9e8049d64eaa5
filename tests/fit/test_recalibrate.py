"""A new threshold for a bundle from new normal pictures; all else stays, byte for byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.bundle import files as bundles
from export.recalibrate import recalibrate
from runtime.frame import Image
from runtime.inference.load import load
from runtime.learning.grow.learn_on import learn_on
from runtime.learning.learn_scene import widened
from tests.support import growing, reference
from tests.support.processes import DEVICE, EXPORT, call
from tests.support.small import call_device, call_export
from tests.support.tiny import THRESHOLD, normal_picture, strange_picture, write_pictures

COUNT = 19
ALPHA = "0.1"
"""19 pictures can promise it: the 18th smallest of their scores is the threshold."""

SAME_SCORE = 1e-6
"""Relative: the process that calibrates and this one compute the same."""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return new normal pictures."""
    return write_pictures(tmp_path / "new", set(), COUNT)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def scores(bundle: Path) -> list[float]:
    """Score the new pictures as a device does, in ascending order."""
    _, scorer = load(bundle, 1)
    return sorted(scorer(normal_picture(number)).value for number in range(1, COUNT + 1))


@pytest.mark.slow
def test_only_the_threshold_is_new(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """The new bundle has the files of the old one, another calibration and a wider scene; both are served."""
    before, out = content(tiny_bundle), tmp_path / "new.bundle"
    done = call(*EXPORT, "recalibrate", tiny_bundle, "--images", pictures, "--out", out, "--alpha", ALPHA, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert content(tiny_bundle) == before
    assert {name: data for name, data in content(out).items() if name != bundles.MANIFEST} == {
        name: data for name, data in before.items() if name != bundles.MANIFEST
    }
    old, new = bundles.read(tiny_bundle), bundles.read(out)
    shown, other = (json.loads(folder.joinpath(bundles.MANIFEST).read_text()) for folder in (out, tiny_bundle))
    assert {key for key in shown if shown[key] != other[key]} == {
        *("manifest_sha256", "calibration", "scene", "recalibrated_from"),
    }
    assert new.manifest.recalibrated_from == old.id != new.id
    assert new.manifest.scene == widened(old.manifest.scene, new.manifest.scene)
    said = json.loads(done.stdout)
    assert (said["bundle_id"], said["recalibrated_from"]) == (new.id, old.id)
    assert (said["before"], said["after"]) == (other["calibration"], shown["calibration"])
    for bundle in (tiny_bundle, out):
        assert call(*DEVICE, "check", bundle).returncode == 0


def test_threshold_is_the_conformal_quantile(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """The threshold is the score that the wanted rate asks for, of all new pictures and no others."""
    out = tmp_path / "new.bundle"
    done = call_export("recalibrate", tiny_bundle, "--images", pictures, "--out", out, "--alpha", ALPHA)
    assert done.code == 0, done.err
    found = bundles.read(out).manifest.calibration
    rank = reference.conformal_rank(COUNT, ALPHA)
    assert rank < COUNT
    assert (found.n, found.alpha) == (COUNT, float(ALPHA))
    assert found.threshold == pytest.approx(scores(out)[rank - 1], rel=SAME_SCORE)
    assert found.promised_alpha == pytest.approx(1 - rank / (COUNT + 1))
    assert f"threshold     {found.threshold:.4f}, was {THRESHOLD:.4f}" in done.out
    assert f"{COUNT} calibrated with" in done.out


def test_rate_of_the_bundle_holds_unless_another_is_given(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """Without --alpha the rate stays, and where so few pictures cannot promise it, that is said."""
    out = tmp_path / "new.bundle"
    done = call_export("recalibrate", tiny_bundle, "--images", pictures, "--out", out)
    assert done.code == 0, done.err
    found = bundles.read(out).manifest.calibration
    assert found.alpha == 0.01
    assert found.threshold == pytest.approx(scores(out)[-1], rel=SAME_SCORE)
    assert found.promised_alpha == pytest.approx(1 / (COUNT + 1))
    assert "1.00% needs 99" in done.out


def test_recalibrated_bundle_can_be_recalibrated(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """A second recalibration names the bundle that it was made from, and the same pictures give the same threshold."""
    first, second = tmp_path / "first.bundle", tmp_path / "second.bundle"
    for source, out in ((tiny_bundle, first), (first, second)):
        assert call_export("recalibrate", source, "--images", pictures, "--out", out).code == 0
    assert bundles.read(second).manifest.recalibrated_from == bundles.read(first).id
    assert bundles.read(second).manifest.calibration == bundles.read(first).manifest.calibration
    assert call_device("check", second).code == 0


def test_existing_target_is_kept_without_force(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """A bundle at the target stays and the command ends with 2; --force replaces it, even by itself recalibrated."""
    out = Path(shutil.copytree(tiny_bundle, tmp_path / "old.bundle"))
    before = content(out)
    words = ("recalibrate", out, "--images", pictures, "--out", out)
    done = call_export(*words)
    assert done.code == 2
    assert "exists already" in done.err
    assert len(done.err.splitlines()) == 1
    assert content(out) == before
    assert call_export(*words, "--force").code == 0
    assert bundles.read(out).manifest.recalibrated_from == bundles.read(tiny_bundle).id
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old.bundle"]


def no_pictures(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def damage(folder: Path) -> None:
    (folder / "0003.png").write_bytes((folder / "0003.png").read_bytes()[:60])


def damage_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"no picture")


UNUSABLE = {
    "no folder": (shutil.rmtree, [], "no such file or folder"),
    "no pictures": (no_pictures, [], "no pictures here"),
    "damaged": (damage, [], "0003.png"),
    "all damaged": (damage_all, ["--skip-bad"], "no usable pictures"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_pictures_are_one_line(tiny_bundle: Path, pictures: Path, tmp_path: Path, name: str) -> None:
    """Pictures that cannot be used end it with 2 and one line, and nothing is left behind."""
    change, more, said = UNUSABLE[name]
    change(pictures)
    before = sorted(tmp_path.iterdir())
    done = call_export("recalibrate", tiny_bundle, "--images", pictures, "--out", tmp_path / "new.bundle", *more)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_damaged_picture_is_passed_over_and_counted(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """With --skip-bad a damaged picture is passed over, counted, and not calibrated with."""
    damage(pictures)
    out = tmp_path / "new.bundle"
    done = call_export("recalibrate", tiny_bundle, "--images", pictures, "--out", out, "--skip-bad")
    assert done.code == 0, done.err
    assert f"{COUNT - 1} calibrated with, 1 skipped" in done.out
    assert bundles.read(out).manifest.calibration.n == COUNT - 1


def test_number_of_pictures_can_be_bounded(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """--max-images takes so many."""
    out = tmp_path / "new.bundle"
    assert call_export("recalibrate", tiny_bundle, "--images", pictures, "--out", out, "--max-images", 5).code == 0
    assert bundles.read(out).manifest.calibration.n == 5


def test_bundle_that_must_not_be_served_is_not_recalibrated(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """A source with a changed byte is refused with 65, and there is no new bundle."""
    source = Path(shutil.copytree(tiny_bundle, tmp_path / "bad.bundle"))
    data = np.fromfile(source / bundles.BANK, np.uint8)
    data[200] ^= 1
    data.tofile(source / bundles.BANK)
    done = call_export("recalibrate", source, "--images", pictures, "--out", tmp_path / "new.bundle")
    assert done.code == 65
    assert "bank.safetensors" in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "new.bundle").exists()


STRANGE = 7
"""Number of the picture that shows a fault."""


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    """Return new normal pictures, all with a faint tint, so that their scores are alike; the seventh shows a fault."""
    folder = tmp_path / "dirty"
    folder.mkdir()
    for number in range(1, COUNT + 1):
        picture = strange_picture(number) if number == STRANGE else tinted_picture(number)
        cv2.imwrite(str(folder / f"{number:04d}.png"), picture)
    return folder


def tinted_picture(number: int) -> Image:
    picture = normal_picture(number)
    picture[12:24, 40:52, 2] += 30
    return picture


def test_a_strange_picture_does_not_set_the_threshold(tiny_bundle: Path, dirty: Path, tmp_path: Path) -> None:
    """One picture of a fault among the normal ones is named, and counts as a false alarm: the rank is one lower."""
    out = tmp_path / "new.bundle"
    done = call_export("recalibrate", tiny_bundle, "--images", dirty, "--out", out)
    assert done.code == 0, done.err
    found = bundles.read(out).manifest.calibration
    _, scorer = load(out, 1)
    normal = [scorer(tinted_picture(number)).value for number in range(1, COUNT + 1) if number != STRANGE]
    assert found.threshold == pytest.approx(max(normal), rel=SAME_SCORE)
    assert (found.n, found.foreign) == (COUNT, 1)
    assert found.promised_alpha == pytest.approx(1 - (COUNT - 1) / (COUNT + 1))
    for said in (done.out, done.err):
        assert f"1 of {COUNT} held-out pictures would lift the threshold from {found.threshold:.4g} to 19" in said
        assert "0007.png" in said


@pytest.mark.parametrize("asked", ["auto", "1"])
def test_excluded_pictures_are_named_and_not_calibrated_with(
    tiny_bundle: Path, dirty: Path, tmp_path: Path, asked: str
) -> None:
    """With --exclude the strange picture is left out, named in manifest and summary, and the rank is the largest."""
    out = tmp_path / "new.bundle"
    done = call_export("recalibrate", tiny_bundle, "--images", dirty, "--out", out, "--exclude", asked)
    assert done.code == 0, done.err
    manifest = bundles.read(out).manifest
    assert manifest.excluded is not None
    (one,) = manifest.excluded.pictures
    assert (one.name, one.learnt) == ("0007.png", False)
    assert one.score > THRESHOLD
    assert (manifest.calibration.n, manifest.calibration.foreign) == (COUNT - 1, 0)
    assert manifest.calibration.promised_alpha == pytest.approx(1 / COUNT)
    assert "0007.png" in done.out
    assert call_device("check", out).code == 0


def test_all_pictures_cannot_be_excluded(tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """Where --exclude leaves no picture it ends with 2 and one line."""
    words = ("--images", pictures, "--out", tmp_path / "new.bundle", "--exclude", COUNT)
    done = call_export("recalibrate", tiny_bundle, *words)
    assert done.code == 2
    assert f"--exclude {COUNT} leaves no picture" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_recalibrated_bundle_is_a_root(tmp_path: Path) -> None:
    """A bundle that learnt on and was recalibrated learns on with its new threshold, not with that of its old root."""
    shown = growing.write(tmp_path / "blue", [growing.with_square(seed, growing.BLUE) for seed in range(12)])
    root, child, new, last = (tmp_path / f"{name}.bundle" for name in ("root", "child", "new", "last"))
    learn_on(growing.job(growing.make_parent(root), shown[:8], child))
    recalibrate(child, tmp_path / "blue", new, force=True)
    assert bundles.read(new).manifest.lineage is None
    learn_on(growing.job(new, shown[8:], last))
    lineage = bundles.read(last).manifest.lineage
    assert lineage is not None
    assert lineage.root == bundles.read(new).id
    assert lineage.root_calibration == bundles.read(new).manifest.calibration
