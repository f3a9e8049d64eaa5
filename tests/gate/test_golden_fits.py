"""`fit` never refuses its own bundle for its data: many seeds, 12 bits in 16, and a graph that misses much."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

import runtime.learning.bank.index
import runtime.learning.write_bundle
from edge_config.bundle import files as bundles
from edge_config.errors import BundleParity
from runtime.inference.load import load_and_check
from tests.support.small import LAYERS, Done, call_export, colour_picture, small_network

COUNT, SEEDS = 12, 5
NOISE = 20.0  # of 4,096 levels


def bits_12(number: int) -> np.ndarray:
    """Return a piece of a photograph as a camera of 12 bits does, uint16 [H, W]."""
    grey = cv2.cvtColor(colour_picture(number), cv2.COLOR_BGR2GRAY) * 16.0
    noise = np.random.default_rng(number).normal(0, NOISE, grey.shape)
    return np.clip(grey + noise, 0, 4095).astype(np.uint16)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write pictures and network."""
    folder = tmp_path_factory.mktemp("bits")
    (folder / "images").mkdir()
    for number in range(COUNT):
        cv2.imwrite(str(folder / "images" / f"{number:03d}.png"), bits_12(number))
    onnx.save(small_network(), folder / "small.onnx")
    return folder


def fit(workshop: Path, out: Path, *more: object) -> Done:
    network = ["--backbone", workshop / "small.onnx", "--layers", ",".join(LAYERS), "--size", 64, "--threads", 1]
    return call_export(
        "fit", "--images", workshop / "images", "--out", out, *network, "--coreset", "0.1", "--no-report", *more
    )


@pytest.mark.parametrize("mode", ["topk", "paper", "max"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_seed_gives_a_bundle(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, mode: str
) -> None:
    """With any seed the bundle passes its own golden frames to the last digit, though the graph misses one in ten."""
    monkeypatch.setattr(runtime.learning.bank.index, "EF_STEPS", (2,))
    monkeypatch.setattr(runtime.learning.bank.index, "M", 8)
    monkeypatch.setattr(runtime.learning.bank.index, "EF_CONSTRUCTION", 8)
    done = fit(workshop, tmp_path / "x.bundle", "--seed", seed, "--score", mode)
    assert done.code == 0, done.err
    _, _, checked = load_and_check(tmp_path / "x.bundle", 1)
    assert (checked.scores, checked.distances_mean) == (0, 0)


@pytest.mark.slow
def test_the_same_pictures_and_options_give_the_same_bundle(workshop: Path, tmp_path: Path) -> None:
    """All files of two fits are equal byte by byte, but for the time in the manifest."""
    for name in ("one", "two"):
        assert fit(workshop, tmp_path / name).code == 0
    for name in (*bundles.PARTS, bundles.NETWORK):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_refusal_at_sealing_does_not_blame_the_machine(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where golden frames do differ in the process that made them, the line blames no version: 73, no bundle."""

    def refuse(*_: object, **__: object) -> None:
        raise BundleParity("golden frames differ on this machine: scores by 1", remedy="other versions")

    monkeypatch.setattr(runtime.learning.write_bundle, "load", refuse)
    done = fit(workshop, tmp_path / "x.bundle")
    assert done.code == 73
    assert "report it" in done.err
    assert "version" not in done.err
    assert not (tmp_path / "x.bundle").exists()
