"""Bundles off the beaten track, with the real network: every option of the method at once, and int8."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch.nn.functional import adaptive_avg_pool1d

from export.network.load_backbone import load_backbone
from export.options import DEFAULT
from runtime.camera.image_files import read_picture
from runtime.frame import Image
from runtime.inference.load import load
from tests.support import reference
from tests.support.processes import DEVICE, call
from tests.support.small import call_device, call_export, colour_picture, small_options, write_colours
from tests.support.tiny import write_pictures

pytestmark = pytest.mark.slow

SIZE, PATCH, LAYER_DIM, TARGET_DIM, ENTRIES, K = 64, 5, 64, 48, 200, 3
LAYERS = ("blocks.4", "blocks.10")

LEARNT = (0, 1, 2, 4, 5, 6)
"""Of eight pictures, those that are not held out: the end of each half is."""

SAME_FEATURES = 1e-4
"""Of a patch's length: ONNX Runtime against torch and float64 means, the promise to users."""

SAME_SCORE = 1e-3
"""A distance is a difference of features that are some times longer than it."""


def fit(folder: Path, *more: object) -> dict:
    """Fit the real network on a few small pictures, and give the summary."""
    images = write_colours(folder / "images", 8)
    words = ("--images", images, "--out", folder / "x.bundle", "--size", SIZE, "--threads", 1, "--json", "--no-report")
    done = call_export("fit", *words, *more)
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit with everything other than by default."""
    folder = tmp_path_factory.mktemp("other")
    fit(
        folder,
        *("--aggregation", "adaptive", "--layer-dim", LAYER_DIM, "--target-dim", TARGET_DIM, "--stride", 1),
        *("--patch-size", PATCH, "--coreset", ENTRIES, "--projection-dim", 0, "--score", "topk", "--k", K),
        *("--layers", ",".join(LAYERS), "--seed", 5, "--alpha", "0.2", "--hold-out", "0.5", "--resize", 80),
        *("--scaling", "none", "--centring", 0, "--position-means", 0, "--spacing", "none"),
    )
    return folder / "x.bundle"


def test_manifest_says_every_option(other: Path) -> None:
    """`bundle info` shows all that was chosen, and `check` serves the bundle."""
    assert call_device("check", other).code == 0
    shown = json.loads(call_device("bundle", "info", other).out)
    assert shown["format_version"] == 5
    features = shown["features"]
    assert {key: features[key] for key in ("backbone", "layers", "aggregation", "layer_dim", "target_dim")} == {
        "backbone": DEFAULT,
        "layers": list(LAYERS),
        "aggregation": "adaptive",
        "layer_dim": LAYER_DIM,
        "target_dim": TARGET_DIM,
    }
    assert {key: features[key] for key in ("patch_size", "stride", "map_hw", "grid_hw", "dimension", "precision")} == {
        "patch_size": PATCH,
        "stride": 1,
        "map_hw": [8, 8],
        "grid_hw": [8, 8],
        "dimension": TARGET_DIM,
        "precision": "float32",
    }
    coreset = shown["coreset"]
    assert (coreset["size"], coreset["fraction"], coreset["patches"]) == (ENTRIES, None, 4 * 64)
    assert (coreset["seed"], coreset["projection_dim"]) == (5, None)
    assert (shown["scoring"]["mode"], shown["scoring"]["k"]) == ("topk", K)
    assert (shown["calibration"]["alpha"], shown["calibration"]["n"]) == (0.2, 4)
    assert (shown["preprocessing"]["resize_hw"], shown["preprocessing"]["crop_hw"]) == ([80, 80], [SIZE, SIZE])
    assert "torch" not in shown["versions"]


def by_hand(picture: Image) -> np.ndarray:
    """Compute patch features of a picture of the size of the input, step by step, in float64."""
    backbone = load_backbone(DEFAULT, (SIZE, SIZE), layers=LAYERS)
    rgb = (picture[:, :, ::-1].astype(np.float64) - 127) / 128
    maps = backbone.network.maps(rgb.transpose(2, 0, 1)[None].astype(np.float32))
    reach, layers = PATCH // 2, []
    for layer in maps:
        padded = np.pad(layer[0].astype(np.float64), ((0, 0), (reach, reach), (reach, reach)))
        rows, columns = layer.shape[2:]
        windows = [
            padded[:, row : row + PATCH, at : at + PATCH].ravel() for row in range(rows) for at in range(columns)
        ]
        pooled = adaptive_avg_pool1d(torch.tensor(np.array(windows)), LAYER_DIM).numpy()
        layers.append(reference.resize_bilinear(pooled.T.reshape(LAYER_DIM, rows, columns), maps[0].shape[2:]))
    joined = np.concatenate(layers).reshape(2 * LAYER_DIM, -1).T
    return adaptive_avg_pool1d(torch.tensor(joined), TARGET_DIM).numpy()


def test_score_is_that_of_the_method(other: Path) -> None:
    """A picture scores what the method says: adaptive pooling in torch, all distances, the mean of the k largest."""
    _, scorer = load(other, 1)
    large = np.pad(picture := colour_picture(30)[:SIZE, :SIZE], ((8, 8), (8, 8), (0, 0)))  # cropped off again
    wanted = by_hand(picture)
    found = scorer.embed(scorer.preprocess(large))
    assert (np.linalg.norm(found - wanted, axis=1) <= SAME_FEATURES * np.linalg.norm(wanted, axis=1)).all()
    distances = reference.distances(wanted, load_file(other / "bank.safetensors")["bank"]).min(axis=1)
    score = scorer(large)
    assert score.value == pytest.approx(np.sort(distances)[-K:].mean(), rel=SAME_SCORE)
    assert score.patch == np.argmax(distances)


def test_position_means_are_those_of_the_training_pictures(tmp_path: Path) -> None:
    """A device subtracts the stated share of what the training pictures show at each position, less the mean of all."""
    plain = ("--scaling", "none", "--centring", 0, "--may-vary", "none")
    fit(tmp_path / "without", *plain, "--position-means", 0)
    assert fit(tmp_path / "with", *plain, "--position-means", "0.25")["manifest"]["features"]["position_means"] == 0.25
    (_, without), (_, scorer) = (load(tmp_path / name / "x.bundle", 1) for name in ("without", "with"))
    pictures = [read_picture(path) for path in sorted((tmp_path / "with" / "images").iterdir())]
    means = np.mean([without.embed(without.preprocess(pictures[n])) for n in LEARNT], axis=0, dtype=np.float64)
    shown = colour_picture(30)
    found, was = (one.embed(one.preprocess(shown)) for one in (scorer, without))
    wanted = was - 0.25 * (means - means.mean(axis=0))
    assert (np.linalg.norm(found - wanted, axis=1) <= SAME_FEATURES * np.linalg.norm(was, axis=1)).all()


def test_int8_bundle_is_served_and_its_cost_is_told(tmp_path: Path) -> None:
    """An int8 bundle says so, is held against its own graph in float32 steps, and its cost is told."""
    report = fit(tmp_path, "--precision", "int8")
    manifest = report["manifest"]
    assert manifest["features"]["precision"] == "int8"
    assert report["graph"]["reference"].startswith("onnxruntime ")
    assert report["graph"]["reference"].endswith("int8, every step in float32")
    cost = report["precision_cost"]
    assert cost["test_set"] is None
    assert all(0 <= cost["faults"][precision] <= 1 for precision in ("float32", "reduced"))
    model = (tmp_path / "x.bundle" / "model.onnx").read_bytes()
    assert b"DequantizeLinear" in model
    checked = call(*DEVICE, "check", tmp_path / "x.bundle")
    assert checked.returncode == 0, checked.stderr


def test_cost_of_int8_is_measured_on_a_test_set_too(tmp_path: Path) -> None:
    """With --test-set the summary gives image AUROC of both precisions on synthetic faults and on real ones."""
    write_pictures(tmp_path / "data" / "test" / "good", set(), 3)
    write_pictures(tmp_path / "data" / "test" / "red", {1, 2, 3}, 3)
    words = small_options(tmp_path, tmp_path / "x.bundle")
    write_pictures(tmp_path / "images", set(), 12)
    for path in (tmp_path / "images").glob("???.png"):
        path.unlink()
    done = call_export("fit", *words, "--precision", "int8", "--test-set", tmp_path / "data")
    assert done.code == 0, done.err
    line = next(line for line in done.out.splitlines() if line.startswith("int8"))
    assert "1.0000 on the test set (float32 1.0000)" in line
    assert "on synthetic faults" in line
    assert "in int8" in done.out


def test_float32_has_no_cost_of_int8(tmp_path: Path) -> None:
    """A float32 fit says nothing of int8."""
    done = call_export("fit", *small_options(tmp_path, tmp_path / "x.bundle"))
    assert done.code == 0, done.err
    assert "int8" not in done.out
