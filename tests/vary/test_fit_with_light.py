"""A fit that allows for light: brighter and darker normals stay below the threshold, and a fault is found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from msgspec.structs import replace

from edge_config.bundle.may_vary import NOTHING, MayVary
from runtime.frame import Image
from runtime.inference.load import load
from runtime.learning.vary.strengths import at_random
from runtime.scoring.scorer import Scorer
from tests.support.small import LAYERS, call_export, colour_picture, small_network

NOISE = 3.0
"""Grey levels of noise, by which the pictures of a fixed camera differ."""

PICTURES, SHOWN = 40, 4


def scene(number: int) -> Image:
    """Return a picture of a camera that stands still."""
    random = np.random.default_rng(number)
    return np.clip(colour_picture(0) * 0.7 + random.normal(0, NOISE, (120, 160, 3)), 0, 255).astype(np.uint8)


def lit(image: Image, gain: float) -> Image:
    return np.clip(np.rint(image * gain), 0, 255).astype(np.uint8)


def with_fault(image: Image) -> Image:
    broken = image.copy()
    broken[40:70, 60:90] = (0, 0, 255)
    return broken


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the bundles of two fits on the same pictures: without tolerance, and with one for light."""
    folder = tmp_path_factory.mktemp("light")
    images = folder / "images"
    images.mkdir()
    for number in range(PICTURES):
        cv2.imwrite(str(images / f"{number:03d}.png"), scene(number))
    onnx.save(small_network(), folder / "small.onnx")
    for name in ("none", "light=20%"):
        words = ["--backbone", folder / "small.onnx", "--layers", ",".join(LAYERS), "--size", 64, "--threads", 1]
        done = call_export("fit", "--images", images, "--out", folder / name, "--may-vary", name, *words, "--no-report")
        assert done.code == 0, done.err
    return {name: folder / name for name in ("none", "light=20%")}


def over(bundle: Path, pictures: list[Image]) -> list[bool]:
    """Return whether each picture is over the threshold of a bundle."""
    loaded, scorer = load(bundle, 1)
    return _over(scorer, loaded.manifest.calibration.threshold, pictures)


def _over(scorer: Scorer, threshold: float, pictures: list[Image]) -> list[bool]:
    return [scorer(picture).value > threshold for picture in pictures]


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.82, 0.9, 1.1, 1.18])
def test_other_light_is_no_fault_where_it_may_vary(learnt: dict[str, Path], gain: float) -> None:
    """New pictures in another light are over the threshold of a plain fit, and not over that of one for light."""
    pictures = [lit(scene(1000 + number), gain) for number in range(SHOWN)]
    assert over(learnt["none"], pictures) == [True] * SHOWN
    assert over(learnt["light=20%"], pictures) == [False] * SHOWN


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.82, 1.0, 1.18])
def test_a_fault_is_found_in_every_light(learnt: dict[str, Path], gain: float) -> None:
    """A fault stays over the threshold of a fit that allows for light, whatever the light."""
    pictures = [lit(with_fault(scene(1000 + number)), gain) for number in range(SHOWN)]
    assert over(learnt["light=20%"], pictures) == [True] * SHOWN


@pytest.mark.slow
def test_tolerance_is_in_the_manifest(learnt: dict[str, Path]) -> None:
    """The manifest records what may vary, threshold and bank count pictures, not their copies."""
    none, light = (load(learnt[name], 1)[0].manifest for name in ("none", "light=20%"))
    assert (none.may_vary, light.may_vary) == (NOTHING, MayVary(light=0.2))
    assert none.calibration.n == light.calibration.n == PICTURES // 4
    assert none.coreset.patches == light.coreset.patches
    assert replace(light.scene, usual=none.scene.usual) == none.scene  # its margins allow as much light already


@pytest.mark.slow
def test_recalibration_alters_its_pictures_too(learnt: dict[str, Path], tmp_path: Path) -> None:
    """A new threshold for such a bundle comes from new pictures altered within its tolerance, as it says."""
    images = tmp_path / "newer"
    images.mkdir()
    for number in range(SHOWN):
        cv2.imwrite(str(images / f"{number}.png"), scene(500 + number))
    words = ["--images", images, "--out", tmp_path / "new.bundle", "--force", "--threads", 1]
    done = call_export("recalibrate", learnt["light=20%"], *words)
    assert done.code == 0, done.err
    assert f"{SHOWN} calibrated with, altered within light=20%" in done.out
    loaded, scorer = load(learnt["light=20%"], 1)
    altered = [at_random(MayVary(light=0.2), 0, number)(scene(500 + number)) for number in range(SHOWN)]
    threshold = load(tmp_path / "new.bundle", 1)[0].manifest.calibration.threshold
    assert threshold == pytest.approx(max(scorer(picture).value for picture in altered))
    assert loaded.manifest.calibration.threshold != threshold
