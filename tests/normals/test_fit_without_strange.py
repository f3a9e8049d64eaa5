"""Fit with pictures of a fault among the normal ones: warned, named, left out on request, and never in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import Manifest
from runtime.frame import Image
from runtime.inference.load import load
from tests.support.small import LAYERS, Done, call_export, colour_picture, small_network

NOISE = 3.0
"""Grey levels of noise, by which the pictures of a fixed camera differ."""

COUNT = 40
LEARNT, HELD = {3, 22}, {39}
"""Numbers of the pictures with a fault: two to learn from, and one that is held out, as the end of a quarter is."""

NOTHING_VARIES = ("--may-vary", "none")
"""A random light would be another one for each picture, and with it the threshold of so few."""

SAME = 0.15
"""Relative: a threshold with the foreign pictures put aside, and one without them. Both are largest scores of noise."""


def scene(number: int, *, fault: bool = False) -> Image:
    """Return a picture of a camera that stands still."""
    random = np.random.default_rng(number)
    picture = np.clip(colour_picture(0) * 0.7 + random.normal(0, NOISE, (120, 160, 3)), 0, 255).astype(np.uint8)
    if fault:
        picture[40:70, 60 + number : 90 + number] = (0, 0, 255)
    return picture


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network, and with normal pictures of which three show a fault."""
    folder = tmp_path_factory.mktemp("strange")
    onnx.save(small_network(), folder / "small.onnx")
    for name, strange in (("dirty", LEARNT | HELD), ("clean", set())):
        (folder / name).mkdir()
        for number in range(COUNT):
            cv2.imwrite(str(folder / name / f"{number:03d}.png"), scene(number, fault=number in strange))
    return folder


def fit(workshop: Path, name: str, out: str, *more: object) -> tuple[Done, Manifest]:
    words = ["--backbone", workshop / "small.onnx", "--layers", ",".join(LAYERS), "--size", 64, "--threads", 1]
    target = workshop / f"{out}.bundle"
    done = call_export(
        "fit", "--images", workshop / name, "--out", target, "--no-report", *words, *NOTHING_VARIES, "--json", *more
    )
    assert done.code == 0, done.err
    return done, bundles.read(target).manifest


@pytest.fixture(scope="module")
def fits(workshop: Path) -> dict[str, tuple[dict[str, Any], Manifest, str]]:
    """Fit clean and dirty pictures, with and without what leaves the strange ones out: summary, manifest, stderr."""
    made = {
        "clean": fit(workshop, "clean", "clean", "--exclude", "auto"),
        "dirty": fit(workshop, "dirty", "dirty"),
        "auto": fit(workshop, "dirty", "auto", "--exclude", "auto"),
        "three": fit(workshop, "dirty", "three", "--exclude", 3),
    }
    return {name: (json.loads(done.out), manifest, done.err) for name, (done, manifest) in made.items()}


Fits = dict[str, tuple[dict[str, Any], Manifest, str]]
NAMES = {f"{number:03d}.png" for number in LEARNT | HELD}


@pytest.mark.slow
def test_strange_pictures_are_named_and_do_not_set_the_threshold(fits: Fits) -> None:
    """Without --exclude they are the first of the list, warned of on stderr, and the threshold stays low."""
    summary, manifest, err = fits["dirty"]
    assert {one["name"] for one in summary["strangest"][:3]} == NAMES
    assert len(summary["strangest"]) == 10
    for warning in summary["warnings"]:
        assert f"patchedge-export: warning: {warning}" in err
    of_held, of_learnt = summary["warnings"]
    assert "1 of 10 held-out pictures would lift the threshold" in of_held
    assert "039.png" in of_held
    assert "2 learnt pictures are strange" in of_learnt
    assert all(f"{number:03d}.png" in of_learnt for number in LEARNT)
    assert manifest.excluded is None
    assert manifest.calibration.n == 10
    assert manifest.calibration.foreign == 1
    assert manifest.calibration.promised_alpha == pytest.approx(1 - 9 / 11)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["auto", "three"])
def test_excluded_pictures_are_neither_learnt_nor_calibrated_with(fits: Fits, name: str) -> None:
    """With --exclude exactly the strange ones are left out, named, and the threshold is about that of a clean fit."""
    summary, manifest, err = fits[name]
    assert manifest.excluded is not None
    assert {(one.name, one.learnt) for one in manifest.excluded.pictures} == {
        (f"{number:03d}.png", number in LEARNT) for number in LEARNT | HELD
    }
    assert manifest.excluded.asked == ("auto" if name == "auto" else 3)
    assert all(one in err for one in NAMES)
    assert (manifest.calibration.n, manifest.calibration.foreign, summary["pictures"]) == (9, 0, COUNT - 3)
    assert manifest.coreset.patches == (COUNT - 10 - 2) * manifest.features.grid_hw[0] * manifest.features.grid_hw[1]
    assert manifest.calibration.threshold == pytest.approx(fits["clean"][1].calibration.threshold, rel=SAME)
    assert [one["excluded"] for one in summary["strangest"]] == [True] * 3 + [False] * 7


@pytest.mark.slow
def test_a_clean_set_loses_no_picture(fits: Fits) -> None:
    """With --exclude auto on normal pictures none is left out, and that is said."""
    summary, manifest, _ = fits["clean"]
    assert manifest.excluded is not None
    assert manifest.excluded.pictures == ()
    assert summary["warnings"] == ["--exclude auto: no picture is foreign, none is left out"]
    assert manifest.calibration.n == 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clean", "auto"])
def test_the_fault_is_found_where_it_was_left_out(fits: Fits, workshop: Path, name: str) -> None:
    """A new picture of the fault is over the threshold of the fit that left such pictures out."""
    assert name in fits
    bundle, scorer = load(workshop / f"{name}.bundle", 1)
    assert scorer(scene(15, fault=True)).value > bundle.manifest.calibration.threshold


@pytest.mark.slow
def test_too_many_excluded_are_refused_in_one_line(workshop: Path) -> None:
    """Where no picture would be left, it ends with 2 and one line, and nothing is written."""
    words = ["--backbone", workshop / "small.onnx", "--layers", ",".join(LAYERS), "--size", 64, "--no-report"]
    target = workshop / "none"
    done = call_export("fit", "--images", workshop / "clean", "--out", target, *words, "--exclude", COUNT)
    assert done.code == 2
    (line,) = [line for line in done.err.splitlines() if "note:" not in line]
    assert f"--exclude {COUNT} leaves 0 pictures to learn from and 0 held out" in line
    assert not target.exists()
