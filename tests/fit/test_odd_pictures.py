"""`fit` and `run` on pictures at the edge of what a camera gives: a bundle and scores, or one clear line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from runtime.frame import Image
from runtime.inference.load import load
from tests.support.pictures import checkered, darkfield, flat, spot
from tests.support.processes import DEVICE, ENOUGH_S, call, started
from tests.support.small import LAYERS, Done, call_export, errors_of, small_network

pytestmark = pytest.mark.slow

COUNT = 16

LEARNT: dict[str, Sequence[Image]] = {
    "dark field": darkfield(COUNT),
    "levels": [flat(60, 80, level) for level in range(0, 256, 16)],
    "a pixel": [flat(1, 1, level) for level in range(0, 256, 16)],
    "checkered": [checkered(60, 80, 1 + number % 4, 255 - number) for number in range(COUNT)],
    "backlit": [spot(60, 80, 20 + number, 30, 6, 20, 255) for number in range(COUNT)],
    "saturated": [spot(61, 83, 20 + number, 30, 2 + number % 3, 255, 250) for number in range(COUNT)],
    "one bright pixel": [spot(61, 83, 20 + number, 30, 0, 255) for number in range(COUNT)],
}


def write(folder: Path, pictures: Sequence[Image]) -> Path:
    """Write pictures that can be read back as they are."""
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number:03d}.png"), picture)
    return folder


def fit(folder: Path, pictures: Sequence[Image], *more: object) -> Done:
    """Fit the small network on pictures, as a user does."""
    images = write(folder / "images", pictures)
    onnx.save(small_network(), folder / "small.onnx")
    network = ["--backbone", folder / "small.onnx", "--layers", ",".join(LAYERS), "--size", 64, "--threads", 1]
    return call_export("fit", "--images", images, "--out", folder / "x.bundle", *network, *more)


@pytest.mark.parametrize("name", LEARNT)
def test_fit_learns_from_it(tmp_path: Path, name: str) -> None:
    """Each kind ends in a bundle that loads, and scores of all kinds by it are numbers."""
    done = fit(tmp_path, LEARNT[name])
    assert done.code == 0, done.err
    bundle, scorer = load(tmp_path / "x.bundle", 1)
    assert bundle.manifest.calibration.threshold > 0
    scores = [scorer(pictures[0]).value for pictures in LEARNT.values()]
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    "same", [darkfield(1)[0], flat(60, 80, 0), flat(60, 80, 255), flat(1, 1, 7), checkered(60, 80, 3, 200)]
)
def test_copies_of_one_picture_are_named_as_such(tmp_path: Path, same: Image) -> None:
    """Copies of one picture teach no threshold: one line says so, and blames neither packages nor the machine."""
    assert_said(tmp_path, fit(tmp_path, [same] * COUNT, "--coreset", "0.3"), "are the same")


def test_pictures_that_differ_in_nothing_that_is_seen_are_named_as_such(tmp_path: Path) -> None:
    """Pictures that differ in one level of one pixel, which no resizing leaves, are copies to the network."""
    large = np.kron(darkfield(1)[0], np.ones((6, 6, 1), np.uint8))
    pictures = [large.copy() for _ in range(COUNT)]
    for number, picture in enumerate(pictures):
        picture[0, number] = 1
    assert_said(tmp_path, fit(tmp_path, pictures, "--coreset", "0.3"), "the same")


def assert_said(folder: Path, done: Done, said: str) -> None:
    assert done.code == 2
    assert len(errors_of(done.err)) == 1
    assert said in done.err
    assert "version" not in done.err
    assert not (folder / "x.bundle").exists()


def test_dark_field_is_scored_live(tmp_path: Path) -> None:
    """`run` scores every frame of dark-field pictures like those that were learnt from: none is unknown."""
    assert fit(tmp_path, darkfield(24)).code == 0
    shown = write(tmp_path / "shown", darkfield(12, seed=1))
    endpoint = f"ipc://{tmp_path}/events"
    with started(*DEVICE, "watch", endpoint, "--json", "--kind", "score", "--count", 12) as watch:
        source = ("--source", shown, "--pace", "max")
        run = call(
            *(*DEVICE, "run", "--bundle", tmp_path / "x.bundle", *source, "--bind", endpoint, "--wait-subscribers", 1)
        )
        lines = [json.loads(line)["message"] for line in watch.communicate(timeout=ENOUGH_S)[0].splitlines()]
    assert run.returncode == 0, run.stderr
    assert [line["frame_id"] for line in lines] == list(range(1, 13))
    assert all(line["score"] is not None and line["label"] != "unknown" for line in lines)
