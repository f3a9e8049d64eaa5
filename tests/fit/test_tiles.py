"""Fit, evaluate and recalibrate in tiles, with the real network: a small fault in a large picture is found."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.frame import Image
from runtime.inference.load import load
from tests.support.small import call_device, call_export

pytestmark = pytest.mark.slow

HW, SIZE, FAULT = (192, 256), 64, 3
NORMALS, GOOD, BAD = 10, 3, 3
SQUARE = 8


def plain(seed: int) -> Image:
    """Make a picture of smooth grey noise."""
    noise = np.random.default_rng(seed).normal(0, 60, HW)
    grey = 128 + cv2.GaussianBlur(noise, (0, 0), 2)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def faulty(seed: int) -> tuple[Image, tuple[int, int]]:
    """Make one with a small dark square at a random place, and return its left and top."""
    picture = plain(seed)
    top, left = (int(np.random.default_rng(seed).integers(0, side - SQUARE)) for side in HW)
    picture[top : top + SQUARE, left : left + SQUARE] = 20
    return picture, (left, top)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write pictures, and fit with a smallest fault of 3 pixels; the summary is beside the bundle."""
    folder = tmp_path_factory.mktemp("tiles")
    for name in ("normal", "set/test/good", "set/test/square", "set/ground_truth/square"):
        (folder / name).mkdir(parents=True)
    for seed in range(NORMALS):
        cv2.imwrite(str(folder / f"normal/{seed}.png"), plain(seed))
    for seed in range(GOOD):
        cv2.imwrite(str(folder / f"set/test/good/{seed}.png"), plain(100 + seed))
    for seed in range(BAD):
        picture, (left, top) = faulty(200 + seed)
        mask = np.zeros(HW, dtype=np.uint8)
        mask[top : top + SQUARE, left : left + SQUARE] = 255
        cv2.imwrite(str(folder / f"set/test/square/{seed}.png"), picture)
        cv2.imwrite(str(folder / f"set/ground_truth/square/{seed}_mask.png"), mask)
    words = ("--images", folder / "normal", "--out", folder / "x.bundle", "--size", SIZE, "--threads", 1)
    done = call_export("fit", *words, "--smallest-fault", FAULT, "--no-report")
    assert done.code == 0, done.err
    (folder / "summary.txt").write_text(done.out)
    return folder


def test_bundle_says_its_tiles(folder: Path):
    """Two pixels of the input for three of the camera: 3 x 4 tiles of 64 x 64 pixels; the summary says what is seen."""
    tree = json.loads((folder / "x.bundle/manifest.json").read_bytes())
    spec = tree["preprocessing"]
    assert spec["resize_hw"] == spec["crop_hw"] == [128, 176]
    assert spec["tiles"] == {
        "tops": [0, 32, 64],
        "lefts": [0, 40, 72, 112],
        "tile_hw": [SIZE, SIZE],
        "picture_hw": list(HW),
        "smallest_fault": FAULT,
    }
    assert tree["features"]["grid_hw"] == [16, 22]
    (line,) = [line for line in (folder / "summary.txt").read_text().splitlines() if line.startswith("tiles")]
    assert "3 rows of 4, each of 93 x 96 pixels of the camera" in line
    assert call_device("check", folder / "x.bundle").code == 0


def test_small_faults_are_found_at_their_place(folder: Path):
    """Squares of 8 x 8 pixels in 256 x 192 are over the threshold, and the peak lies in them."""
    bundle, scorer = load(folder / "x.bundle", 1)
    for seed in range(BAD):
        picture, (left, top) = faulty(200 + seed)
        score = scorer(picture)
        assert score.value > bundle.manifest.calibration.threshold
        x, y = scorer.preprocess.to_camera(score.patch, scorer.grid, HW)
        patch = 256 / 22
        assert abs(x - left - SQUARE / 2) <= SQUARE / 2 + patch
        assert abs(y - top - SQUARE / 2) <= SQUARE / 2 + patch


def test_evaluate_compares_maps_over_all_tiles(folder: Path):
    """Figures by pixel are of the whole picture, and the squares stand out in it."""
    done = call_export(
        "evaluate", folder / "x.bundle", "--dataset", folder / "set", "--out", folder / "figures", "--json"
    )
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert figures["image_auroc"] == 1.0
    assert figures["pixel_auroc"] > 0.95


def test_recalibrate_keeps_the_tiles(folder: Path):
    """A bundle with another threshold is judged in the same tiles."""
    done = call_export(
        "recalibrate",
        folder / "x.bundle",
        "--images",
        folder / "set/test/good",
        "--out",
        folder / "y.bundle",
        "--force",
    )
    assert done.code == 0, done.err
    before, after = (json.loads((folder / name / "manifest.json").read_bytes()) for name in ("x.bundle", "y.bundle"))
    assert after["preprocessing"] == before["preprocessing"]


def test_resize_and_tiles_exclude_each_other(folder: Path, tmp_path: Path):
    """A crop of the centre has no meaning for tiles: it is said, and nothing is made."""
    words = ("--images", folder / "normal", "--out", tmp_path / "x.bundle", "--size", SIZE, "--resize", 80)
    done = call_export("fit", *words, "--tiles", "2x2", "--no-report")
    assert done.code == 2
    assert "tiles are cut from the whole picture" in done.err
    assert not (tmp_path / "x.bundle").exists()
