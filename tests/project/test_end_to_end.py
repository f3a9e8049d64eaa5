"""The whole way, as a user goes it: fit, run, watch, in processes of their own, with the real network."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file
from skimage import data

from runtime.camera.image_files import read_picture
from runtime.inference.load import load
from tests.support.processes import DEVICE, ENOUGH_S, EXPORT, call, started
from tests.support.small import call_device, call_export, small_options

pytestmark = pytest.mark.slow

PICTURES, SIDE, SIZE = 24, 160, 96

SAME_SCORE = 1e-6
"""Relative: the process that publishes and this one compute the same float64 from the same float32."""


def photograph(number: int) -> np.ndarray:
    """Cut a piece of gravel out of a photograph."""
    random = np.random.default_rng(number)
    gravel = data.gravel()
    top, left = random.integers(0, gravel.shape[0] - SIDE, 2)
    return gravel[top : top + SIDE, left : left + SIDE].copy()


def write_normal(folder: Path) -> Path:
    folder.mkdir()
    for number in range(PICTURES):
        cv2.imwrite(str(folder / f"{number:03d}.png"), photograph(number))
    return folder


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit twice on the same pictures."""
    folder = tmp_path_factory.mktemp("workshop")
    normal = write_normal(folder / "normal")
    for name in ("one", "two"):
        out = folder / f"{name}.bundle"
        done = call(*EXPORT, "fit", "--images", normal, "--out", out, "--size", SIZE, "--seed", 3, "--no-report")
        assert done.returncode == 0, done.stderr
        (folder / f"{name}.txt").write_text(done.stdout)
    return folder


def test_fit_is_deterministic(workshop: Path) -> None:
    """Two fits of the same pictures and seed give the same graph, bank, neighbours and index, byte for byte."""
    for name in ("model.onnx", "bank.safetensors", "neighbours.safetensors", "index.hnsw"):
        assert (workshop / "one.bundle" / name).read_bytes() == (workshop / "two.bundle" / name).read_bytes()


def test_summary_says_what_a_person_wants_to_know(workshop: Path) -> None:
    """The summary names pictures, coreset, recall, threshold, the promised rate and what the wanted one needs."""
    text = (workshop / "one.txt").read_text()
    for said in (
        "18 learnt from, 6 held out",
        "covering radius",
        "recall@1",
        "parity",
        "threshold",
        "needs 99",
        "MB",
        "coreset",
    ):
        assert said in text
    assert "14.29%" in text  # 1 / (6 + 1)


def test_bundle_verifies_and_shows_its_manifest(workshop: Path) -> None:
    """`bundle verify` accepts the bundle, and `bundle info` prints its manifest."""
    assert call_device("bundle", "verify", workshop / "one.bundle").code == 0
    shown = json.loads(call_device("bundle", "info", workshop / "one.bundle").out)
    assert shown["format_version"] == 5
    assert shown["features"]["dimension"] == 24 + 40 + 112
    assert shown["features"]["stride"] == 2
    assert shown["features"]["map_hw"] == [24, 24]
    assert shown["features"]["grid_hw"] == [12, 12]
    assert shown["calibration"]["n"] == 6
    assert shown["recalibrated_from"] is None
    parity = shown["parity"]
    assert parity["pictures"] == 6 + 6  # held-out pictures, and each with a fault
    assert parity["search"]["scores"]["largest"] < SAME_SCORE
    assert "CPUExecutionProvider" in parity["tolerances"]


def test_golden_frames_hold_what_sealing_saw(workshop: Path) -> None:
    """Golden frames come with their scores and a distance for each patch, and `check` finds them again here."""
    golden = load_file(workshop / "one.bundle" / "golden.safetensors")
    assert sorted(golden) == [
        "decided",
        "distances",
        *(f"frame_{number}" for number in range(4)),
        "scene_reference",
        "scores",
    ]
    assert golden["distances"].shape == (4, 12 * 12)
    assert golden["distances"].dtype == np.float32
    done = call(*DEVICE, "check", workshop / "one.bundle", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scores"] < SAME_SCORE


def test_object_raises_an_alert_in_another_process(workshop: Path, tmp_path: Path) -> None:
    """A foreign object in five pictures of a folder raises one alert, which a subscriber in its own process prints."""
    shown = tmp_path / "shown"
    shown.mkdir()
    for number in range(9):
        picture = cv2.cvtColor(photograph(number), cv2.COLOR_GRAY2BGR)
        if 2 <= number < 7:
            cv2.circle(picture, (110, 50), 22, (40, 40, 200), -1)
        cv2.imwrite(str(shown / f"{number}.png"), picture)
    endpoint = f"ipc://{tmp_path}/events"
    with started(*DEVICE, "watch", endpoint, "--json", "--count", 13) as watch:
        run = call(
            *(*DEVICE, "run", "--bundle", workshop / "one.bundle", "--source", shown, "--pace", "max"),
            *("--bind", endpoint, "--wait-subscribers", 1),
        )
        lines = [json.loads(line) for line in watch.communicate(timeout=ENOUGH_S)[0].splitlines()]
    assert run.returncode == 0, run.stderr
    scores = [line["message"] for line in lines if "/score/" in line["topic"]]
    alerts = [line["message"] for line in lines if "/alert/" in line["topic"]]
    states = [line["message"]["state"] for line in lines if "/state/" in line["topic"]]
    assert [score["frame_id"] for score in scores] == list(range(1, 10))
    assert [score["label"] for score in scores] == [*["normal"] * 2, *["anomalous"] * 5, *["normal"] * 2]
    assert [(alert["phase"], alert["frame_id"]) for alert in alerts] == [("start", 7), ("end", 9)]
    assert states == ["live", "disconnected"]
    assert all(line["missed"] == 0 for line in lines)
    assert np.hypot(scores[2]["peak_xy"][0] - 110, scores[2]["peak_xy"][1] - 50) < 40

    bundle, scorer = load(workshop / "one.bundle")
    assert {score["bundle"] for score in scores} == {bundle.id}
    for score in scores:
        here = scorer(read_picture(shown / f"{score['frame_id'] - 1}.png")).value
        assert score["score"] == pytest.approx(here, rel=SAME_SCORE)
    calibration = bundle.manifest.calibration
    held_out, median = np.array(calibration.scores), float(np.median(calibration.scores))
    assert len(held_out) == calibration.n
    for score in scores:
        excess = (score["score"] - calibration.threshold) / (calibration.threshold - median)
        assert score["excess"] == pytest.approx(excess, rel=SAME_SCORE)
        p_value = (1 + np.count_nonzero(held_out >= score["score"])) / (len(held_out) + 1)
        assert score["p_value"] == pytest.approx(p_value, rel=SAME_SCORE)
    assert [alert["peak_excess"] for alert in alerts] == [max(score["excess"] for score in scores)] * 2


def test_damaged_picture_is_named_or_skipped(tmp_path: Path) -> None:
    """A truncated picture ends a fit with 2, named, nothing left behind; with --skip-bad it is passed over."""
    arguments = small_options(tmp_path, tmp_path / "x.bundle")
    bad = tmp_path / "images" / "007.png"
    bad.write_bytes(bad.read_bytes()[:900])
    before = sorted(tmp_path.iterdir())
    done = call_export("fit", *arguments)
    assert done.code == 2
    assert "007.png" in done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
    done = call_export("fit", *arguments, "--skip-bad")
    assert done.code == 0, done.err
    assert "1 skipped" in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--images", "EMPTY", "--out", "x.bundle"], "no pictures"),
        (["--images", "/nowhere", "--out", "x.bundle"], "/nowhere"),
        (["--images", "EMPTY", "--out", "/nowhere/x.bundle"], "/nowhere"),
        (["--images", "EMPTY", "--out", "EMPTY"], "exists already"),
        (["--images", "EMPTY", "--out", "x.bundle", "--resize", "100"], "resize 100"),
    ],
)
def test_fit_refuses_bad_input_in_one_line(tmp_path: Path, options: list[str], said: str) -> None:
    """No pictures, no folder, or a target that exists: one line, exit code 2, nothing written."""
    empty = tmp_path / "empty"
    empty.mkdir()
    options = [{"EMPTY": str(empty), "x.bundle": str(tmp_path / "x.bundle")}.get(word, word) for word in options]
    done = call_export("fit", *options)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["empty"]
