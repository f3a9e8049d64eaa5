"""`recalibrate` does not make a blind device: a threshold that passes what was found is refused."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import onnx
import pytest

from edge_config.bundle import files as bundles
from edge_config.errors import BlindThreshold
from runtime.inference.load import golden_images, load
from runtime.learning.gate.refuse_threshold import MAX_GROWTH, MAX_NAMED, refuse_blinding
from tests.support.small import LAYERS, Done, call_export, small_network
from tests.support.tiny import THRESHOLD, write_pictures

COUNT = 19
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "office"
FIT = ("--layers", ",".join(LAYERS), "--size", 96, "--coreset", 0.05, "--threads", 1, "--may-vary", "none")
"""The small network learns the empty office in seconds, and a person is as strange to it."""


def recalibrate(bundle: Path, images: Path, out: Path, *more: object) -> Done:
    return call_export("recalibrate", bundle, "--images", images, "--out", out, *more)


def test_one_strange_picture_is_named_and_nothing_is_written(tiny_bundle: Path, tmp_path: Path) -> None:
    """With one picture of a fault among the normal ones it ends with 2 and one line that names it and its score."""
    images = write_pictures(tmp_path / "new", {7}, COUNT)
    done = recalibrate(tiny_bundle, images, tmp_path / "new.bundle")
    assert done.code == 2
    (line,) = done.err.strip().splitlines()
    assert f"rise from {THRESHOLD:g} to 192" in line
    assert re.search(rf"1 of {COUNT} pictures did it: \S*/0007\.png \(192", line)
    assert "golden fault" in line
    assert line.endswith("--force")
    assert not (tmp_path / "new.bundle").exists()


def test_force_takes_it_and_warns(tiny_bundle: Path, tmp_path: Path) -> None:
    """With --force the bundle is made, and the warning stands on stderr, in the summary and in the JSON."""
    images = write_pictures(tmp_path / "new", {3, 7}, COUNT)
    done = recalibrate(tiny_bundle, images, tmp_path / "new.bundle", "--force")
    assert done.code == 0
    for said in (done.out, done.err):
        assert "warning" in said
        assert f"2 of {COUNT} pictures did it" in said
    assert bundles.read(tmp_path / "new.bundle").manifest.calibration.threshold > THRESHOLD
    shown = recalibrate(tiny_bundle, images, tmp_path / "new.bundle", "--force", "--json")
    assert "golden fault" in json.loads(shown.out)["problem"]


def test_normal_pictures_pass(tiny_bundle: Path, tmp_path: Path) -> None:
    """A threshold that stays below what was found is taken without a word."""
    images = write_pictures(tmp_path / "new", set(), COUNT)
    done = recalibrate(tiny_bundle, images, tmp_path / "new.bundle", "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["problem"] is None


def test_a_rank_below_the_strange_picture_passes(tiny_bundle: Path, tmp_path: Path) -> None:
    """What a wanted rate leaves out anyway lifts no threshold, and is nobody's fault."""
    images = write_pictures(tmp_path / "new", {7}, COUNT)
    assert recalibrate(tiny_bundle, images, tmp_path / "new.bundle", "--alpha", "0.1").code == 0


def judge(before: float, after: float, golden: list[float], *, force: bool = False) -> str | None:
    scores = [(f"{number}.png", float(number)) for number in range(1, 101)]
    return refuse_blinding(before, after, golden, scores, where="new", force=force)


@pytest.mark.parametrize(
    ("before", "after", "golden", "refused"),
    [
        (28, 74, [9, 10, 200], True),  # more than twice
        (40, 60, [9, 10, 50], True),  # passes the fault
        (40, 50, [9, 10, 50], True),  # a score at the threshold is not above it
        (40, 49, [9, 10, 50], False),
        (40, 60, [9, 10, 35], False),  # a fault that was never found
        (40, 40 * MAX_GROWTH, [], False),
        (40, 30, [9, 50], False),
        (0, 1, [], True),
    ],
)
def test_what_blinds(before: float, after: float, golden: list[float], refused: bool) -> None:  # noqa: FBT001
    """Refused is what passes a fault that was found, or a stated multiple of the old threshold, and nothing else."""
    assert (judge(before, after, golden, force=True) is not None) == refused
    if refused:
        with pytest.raises(BlindThreshold):
            judge(before, after, golden)


def test_the_highest_are_named_and_the_rest_counted() -> None:
    """Of many culprits the highest are named, with their scores."""
    said = judge(28, 74, [60], force=True)
    assert said is not None
    assert "45 of 100 pictures did it: 100.png (100), 99.png (99)" in said
    assert said.endswith(f"and {45 - MAX_NAMED} more")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Path]], Path]:
    """Learn every tenth frame of the empty office; give the bundle, frames by label and a folder."""
    if not DATA.is_dir():
        pytest.skip(f"the real pictures are not here: {DATA}")
    folder = tmp_path_factory.mktemp("office")
    with (DATA / "truth.csv").open() as stream:
        truth = {int(row["frame"]): row["label"] for row in csv.DictReader(stream)}
    frames: dict[str, list[Path]] = {}
    for file in sorted((DATA / "frames").iterdir()):
        frames.setdefault(truth[int(file.stem)], []).append(file)
    images = linked(folder / "train", frames["train"][::10])
    onnx.save(small_network(), folder / "small.onnx")
    words = ("--images", images, "--out", folder / "office.bundle", "--backbone", folder / "small.onnx")
    done = call_export("fit", *words, *FIT)
    assert done.code == 0, done.err
    return folder / "office.bundle", frames, folder


def linked(folder: Path, files: list[Path]) -> Path:
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder / file.name)
    return folder


@pytest.mark.slow
def test_one_person_among_a_hundred_frames(office: tuple[Path, dict[str, list[Path]], Path]) -> None:
    """A person in 1 of 100 frames of the empty office is named, and the threshold is that of the other frames."""
    bundle, frames, folder = office
    empty, person = frames["normal"][:99], frames["anomalous"][len(frames["anomalous"]) // 2]
    images = linked(folder / "dirty", [*empty, person])
    done = recalibrate(bundle, images, folder / "dirty.bundle")
    assert done.code == 0, done.err
    assert "1 of 100 held-out pictures would lift the threshold" in done.err
    assert person.name in done.err
    (images / person.name).unlink()
    assert recalibrate(bundle, images, folder / "clean.bundle").code == 0
    found, clean = (bundles.read(folder / f"{name}.bundle").manifest.calibration for name in ("dirty", "clean"))
    assert found.threshold == clean.threshold


@pytest.mark.slow
def test_twenty_pictures_of_another_scene(office: tuple[Path, dict[str, list[Path]], Path]) -> None:
    """Twenty frames with people in place of the empty office are refused: the golden fault would be lost."""
    bundle, frames, folder = office
    images = linked(folder / "other", frames["anomalous"][100:1100:50])
    done = recalibrate(bundle, images, folder / "other.bundle")
    assert done.code == 2
    assert "of 20 pictures did it" in done.err
    read, scorer = load(bundle, 2)
    golden = [scorer(image).value for image in golden_images(read, scorer.grid)]
    assert max(golden) > read.manifest.calibration.threshold
