"""`recalibrate` counts the synthetic faults that a new threshold no longer finds, and refuses where many are lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import Scoring
from export.demo.clip import CUTOUTS, _lay, film, make_belt
from runtime.frame import Image
from runtime.inference.load import load
from runtime.learning.gate.faults_lost import MAX_LOST, MIN_FOUND, ROUNDS, FaultsLost, count_lost
from runtime.learning.gate.synthetic_faults import all_judged, with_faults
from tests.support.small import LAYERS, call_export, small_network
from tests.support.tiny import THRESHOLD, normal_picture, with_threshold, write_pictures

COUNT = 12
LABEL = 40
"""Side of the label, pixels."""


def test_counts_are_those_of_whole_frames(tiny_bundle: Path) -> None:
    """On pictures that are normal themselves, a fault is found where the frame with it scores over the threshold."""
    bundle, scorer = load(tiny_bundle, 1)
    pictures = [normal_picture(seed) for seed in range(24)]
    lower, higher = 5.0, 10.0
    faults = count_lost([pictures], scorer, bundle.manifest.scoring, lower, higher, all_judged)
    scores = np.array([scorer(damaged).value for _, damaged in with_faults(pictures, 0)])
    assert faults.faults == 24
    assert (faults.before, faults.after) == ((scores > lower).sum(), (scores > higher).sum())
    assert faults.before > faults.after


def test_a_fault_is_judged_by_its_own_patches(tiny_bundle: Path) -> None:
    """What stands out in all pictures does not make their faults count as found."""
    bundle, scorer = load(tiny_bundle, 1)
    plain = [normal_picture(seed) for seed in range(COUNT)]
    marked = [picture.copy() for picture in plain]
    for picture in marked:
        picture[36:48, 52:64] = (0, 0, 255)
    assert min(scorer(picture).value for picture in marked) > THRESHOLD
    scoring = Scoring(mode="max", b=bundle.manifest.scoring.b, k=1)
    of_plain, of_marked = (
        count_lost([some], scorer, scoring, THRESHOLD, THRESHOLD, all_judged) for some in (plain, marked)
    )
    assert abs(of_plain.before - of_marked.before) <= 3  # those on the mark itself


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        (40, 40, False),
        (40, 50, False),  # a lower threshold finds more
        (40, 30, False),  # at the limit
        (40, 29, True),
        (MIN_FOUND, 0, True),
        (MIN_FOUND - 1, 0, False),  # too few to say
    ],
)
def test_more_than_a_share_is_too_many(before: int, after: int, refused: bool) -> None:  # noqa: FBT001
    """Refused is a loss of more than the stated share of the faults that were found before."""
    assert MAX_LOST == 0.25
    assert FaultsLost(100, before, after).too_many == refused


def tinted(folder: Path, levels: int) -> Path:
    """Write pictures with a faint tint in one place of each."""
    write_pictures(folder, set(), 48)
    for path in folder.iterdir():
        picture = cv2.imread(str(path))
        shifted = picture[12:24, 40:52, 2].astype(int) + levels
        picture[12:24, 40:52, 2] = shifted.clip(0, 255)
        cv2.imwrite(str(path), picture)
    return folder


def test_refused_without_force_and_said_with_it(tiny_bundle: Path, tmp_path: Path) -> None:
    """A threshold that loses many faults is refused in one line with the counts, and with --force they stay in view."""
    strict = with_threshold(tiny_bundle, tmp_path / "strict.bundle", 5.0)
    words = ("recalibrate", strict, "--images", tinted(tmp_path / "new", 10), "--out", tmp_path / "new.bundle")
    done = call_export(*words)
    assert done.code == 2
    (line,) = done.err.strip().splitlines()
    assert "synthetic faults are found" in line
    assert line.endswith("--force")
    assert not (tmp_path / "new.bundle").exists()
    done = call_export(*words, "--force")
    assert done.code == 0
    assert "synthetic faults are found" in done.err
    assert "faults        " in done.out
    said = json.loads(call_export(*words, "--force", "--json").out)["faults"]
    assert said["before"] > said["after"]
    assert said["limit"] == MAX_LOST


def test_counts_are_in_the_summary_of_a_good_one(tiny_bundle: Path, tmp_path: Path) -> None:
    """Where nothing is lost the counts are shown, and there is no warning."""
    images = write_pictures(tmp_path / "new", set(), COUNT)
    words = ("recalibrate", tiny_bundle, "--images", images, "--out", tmp_path / "new.bundle")
    done = call_export(*words)
    assert (done.code, done.err) == (0, "")
    (row,) = [line for line in done.out.splitlines() if line.startswith("faults ")]
    assert f"of {ROUNDS * (COUNT + 1)} synthetic faults are found" in row  # with the normal golden frame


def labelled(pictures: Iterator[Image]) -> Iterator[Image]:
    """Stick the same label on each picture: grey print on paper."""
    label = np.full((LABEL, LABEL, 3), 210, np.uint8)
    label[10:14, 6:34] = label[20:24, 6:28] = 60
    for picture in pictures:
        picture[60 : 60 + LABEL, 200 : 200 + LABEL] = label
        yield picture


def write(folder: Path, pictures: Iterator[Image]) -> Path:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number:03d}.png"), picture)
    return folder


@pytest.mark.slow
def test_a_label_on_every_picture_of_the_belt(tmp_path: Path) -> None:
    """A label on every normal picture lifts the threshold until objects are lost: refused, and forced it is said."""
    random = np.random.default_rng(1)
    images = write(tmp_path / "normal", film(make_belt(60 * 65, random), 60, 65, random))
    onnx.save(small_network(), tmp_path / "small.onnx")
    words = ("--backbone", tmp_path / "small.onnx", "--layers", ",".join(LAYERS), "--size", 160, "--threads", 1)
    out = tmp_path / "belt.bundle"
    done = call_export("fit", "--images", images, "--out", out, *words, "--may-vary", "none", "--no-report")
    assert done.code == 0, done.err
    new = write(tmp_path / "new", labelled(film(make_belt(30 * 65, random), 30, 65, random)))
    words = ("recalibrate", out, "--images", new, "--out", tmp_path / "new.bundle", "--json")
    done = call_export(*words)
    assert done.code == 2, done.out
    assert "synthetic faults are found" in done.err
    done = call_export(*words, "--force")
    faults = json.loads(done.out)["faults"]
    assert faults["after"] < (1 - MAX_LOST) * faults["before"]
    thresholds = [bundles.read(path).manifest.calibration.threshold for path in (out, tmp_path / "new.bundle")]
    _, scorer = load(out, 1)
    belt = make_belt(5 * 700, random)
    lefts = [_lay(belt, cutout, number, random)[1] for number, cutout in enumerate(CUTOUTS)]
    scores = [scorer(next(film(belt[:, left - 100 :], 1, 5, random))).value for left in lefts]
    found = [sum(score > threshold for score in scores) for threshold in thresholds]
    assert found[1] < found[0]
