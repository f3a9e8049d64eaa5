"""Options that count for nothing, or not as they were given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest

from export.options import Options
from export.unused_options import without_effect
from runtime.learning.pictures.check import check_pictures
from runtime.learning.pictures.images import DEFAULT_VIDEO_FRAMES, Pictures
from runtime.learning.unused_options import changed
from tests.support.small import call_export, small_options
from tests.support.tiny import normal_picture

NEEDED = {"images": "pictures", "out": "x.bundle"}
SIZES = {"train": 2000, "patches": 100, "dimension": 64}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"layer_dim": 512}, "--layer-dim 512 has no effect: it belongs to the aggregation `adaptive`"),
        ({"target_dim": 9}, "--target-dim 9 has no effect: it belongs to the aggregation `adaptive`"),
        ({"b": 5}, "--b 5 has no effect: it belongs to the score `paper`"),
        ({"k": 9, "score": "max"}, "--k 9 has no effect: it belongs to the score `topk`"),
        (
            {"test_set": "set", "no_report": True},
            "--test-set set has no effect: it belongs to the report, and a precision below float32",
        ),
    ],
)
def test_option_without_effect_is_said(given: dict[str, Any], said: str) -> None:
    """An option that belongs to another choice is named with that choice; with it nothing is said."""
    assert without_effect(Options(**NEEDED, **given)) == [said]
    heeded = {"aggregation": "adaptive", "score": "paper", "precision": "int8"}
    heeded |= {"score": "topk"} if "k" in given else {}
    assert without_effect(Options(**NEEDED, **{**given, **heeded})) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"coreset": 5}, "--coreset 5 becomes 16 entries: the index needs 16"),
        ({"coreset": 0.001}, "--coreset 0.001, 2 entries, becomes 16 entries: the index needs 16"),
        ({"coreset": 5000}, "--coreset 5000 becomes 2000 entries: there are 2000 patches"),
        ({"k": 101}, "--k 101 becomes 100: a picture has no more patches"),
        ({"projection_dim": 64}, "--projection-dim 64 has no effect: features have 64 dimensions"),
    ],
)
def test_option_that_is_changed_is_said(given: dict[str, Any], said: str) -> None:
    """A number that cannot be had is named with what becomes of it and why."""
    assert changed(Options(**NEEDED, **given), **SIZES) == [said]


def test_defaults_are_heeded() -> None:
    """What nobody has asked for is not said to be without effect."""
    options = Options(**NEEDED)
    assert without_effect(options) == changed(options, **SIZES) == []


def test_frames_of_a_video_that_are_left_out_are_said(tmp_path: Path) -> None:
    """Of a long video 300 frames are taken unless told otherwise, and that is said; what was asked for is not."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for number in range(DEFAULT_VIDEO_FRAMES + 5):
        writer.write(normal_picture(number))
    writer.release()
    said = "300 of 305 frames of the video are taken, spread evenly; --max-images takes more"
    assert said in check_pictures(Pictures(path), least=4).notes
    assert not any("taken" in note for note in check_pictures(Pictures(path, limit=20), least=4).notes)


def test_fit_says_it(tmp_path: Path) -> None:
    """It is said while `fit` works, and in its summary; the bundle has what was said."""
    words = small_options(tmp_path, tmp_path / "x.bundle")
    done = call_export("fit", *words, "--coreset", "5", "--b", "7")
    assert done.code == 0, done.err
    for said in ("--coreset 5 becomes 16 entries: the index needs 16", "--b 7 has no effect"):
        assert f"patchedge-export: note: {said}" in done.err
        assert f"note          {said}" in done.out
    assert "coreset       16 of " in done.out
