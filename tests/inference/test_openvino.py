"""OpenVINO as provider: float32 as on the CPU, our threads, the worker. Skipped where ONNX Runtime is without it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

from edge_config.bundle.parity_result import Tolerance, name_of_tolerance
from edge_config.settings.sections import CPU, Provider
from runtime.events import EngineEvent, EngineReady
from runtime.inference.engine import Engine
from runtime.inference.load import load, load_and_check
from runtime.inference.protocol import ScoringOptions
from runtime.inference.providers.bf16 import computes_bf16
from runtime.inference.providers.options import OPENVINO, complete
from runtime.learning.gate.parity import FLOAT32_CPU, FLOAT32_OPENVINO
from runtime.learning.network_file import DEFAULT
from runtime.scoring.embed import Embed
from tests.inference.test_providers import allowing
from tests.support.processes import DEVICE, ENOUGH_S, EXPORT, call

pytestmark = pytest.mark.skipif(
    OPENVINO not in onnxruntime.get_available_providers(),
    reason="this ONNX Runtime is without OpenVINO: `make test-openvino` has one with it",
)

OURS = Provider(name=OPENVINO)
BF16 = Provider(name=OPENVINO, options={"load_config": json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}})})

ROUNDING, BFLOAT16 = 1e-5, 1e-3
"""Of a feature's length: above what float32 differs by between two ways to sum, and below one rounding to 8 bits."""

ONE_THREAD = 1.3
"""CPU time over wall time of one thread, with what Python does beside; two threads take up to 2."""

MODEL = DEFAULT / "model.onnx"

NO_SUCH_CALL = 3

FORBIDDEN = f"""
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
    sys.exit({NO_SUCH_CALL})
from edge_config.settings.sections import CPU, Provider
from runtime.inference.load import load
scorer = load(sys.argv[1], 1, providers=(Provider(name="{OPENVINO}"), CPU))[1]
print(scorer.provider, *(line.split()[0] for line in scorer.passed_over))
"""
"""What systemd does with `MemoryDenyWriteExecute=yes`, on one bundle."""


def picture(embed: Embed) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, embed.input_shape, dtype=np.uint8)


def test_features_are_those_of_the_cpu_provider() -> None:
    """The default network in OpenVINO gives the features of the CPU provider but for rounding."""
    wanted, found = Embed(MODEL, 1), Embed(MODEL, 1, providers=(complete(OURS, 1), CPU))
    assert found.provider == OPENVINO
    features = wanted(picture(wanted))
    apart = np.linalg.norm(found(picture(found)) - features, axis=1) / np.linalg.norm(features, axis=1)
    assert apart.max() <= ROUNDING


def test_golden_frames_are_within_their_tolerance(tiny_bundle: Path, tmp_path: Path) -> None:
    """A bundle that names a tolerance for OpenVINO is served by it, and nothing is passed over."""
    bundle = allowing(tiny_bundle, tmp_path / "b.bundle", {OPENVINO: FLOAT32_OPENVINO, CPU.name: FLOAT32_CPU})
    _, scorer, checked = load_and_check(bundle, 1, providers=(OURS, CPU))
    assert (scorer.provider, checked.good, checked.passed_over) == (OPENVINO, True, ())


@pytest.mark.skipif(not computes_bf16(), reason="this processor computes no bfloat16")
def test_bfloat16_must_be_asked_for_and_is_seen() -> None:
    """Where it is asked for, features are off by more than rounding, so that float32 above is no accident."""
    wanted, found = Embed(MODEL, 1), Embed(MODEL, 1, providers=(complete(BF16, 1), CPU))
    features = wanted(picture(wanted))
    apart = np.linalg.norm(found(picture(found)) - features, axis=1) / np.linalg.norm(features, axis=1)
    assert apart.max() > BFLOAT16


def test_bfloat16_has_a_tolerance_of_its_own(tiny_bundle: Path, tmp_path: Path) -> None:
    """The tolerance of `OpenVINOExecutionProvider/bf16` counts for bfloat16; without one, that of float32 does."""
    loose = Tolerance(scores=0.5, distances_mean=0.5)
    both = {name_of_tolerance(OPENVINO, "bf16"): loose, OPENVINO: FLOAT32_OPENVINO}
    for number, (tolerances, expected) in enumerate(((both, loose), ({OPENVINO: FLOAT32_OPENVINO}, FLOAT32_OPENVINO))):
        bundle = allowing(tiny_bundle, tmp_path / f"{number}.bundle", tolerances)
        assert load_and_check(bundle, 1, providers=(BF16,))[2].tolerance == expected


def test_where_nothing_may_be_compiled_the_cpu_serves(tiny_bundle: Path, tmp_path: Path) -> None:
    """Under `MemoryDenyWriteExecute=yes`, as in our systemd unit, OpenVINO does not start, and nothing dies of it."""
    bundle = allowing(tiny_bundle, tmp_path / "b.bundle", {OPENVINO: FLOAT32_OPENVINO, CPU.name: FLOAT32_CPU})
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, str(bundle)], capture_output=True, text=True, timeout=ENOUGH_S, check=False
    )
    if done.returncode == NO_SUCH_CALL:
        pytest.skip("this kernel cannot forbid it")
    assert done.stdout.split() == [CPU.name, f"{OPENVINO}:"], done.stderr


@pytest.mark.alone
def test_it_keeps_to_its_threads() -> None:
    """On one thread the network takes no more processor time than one core has."""
    embed = Embed(MODEL, 1, providers=(complete(OURS, 1), CPU))
    tensor = picture(embed)
    embed(tensor)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(30):
        embed(tensor)
    assert time.process_time() - cpu_s <= ONE_THREAD * (time.perf_counter() - wall_s)


def test_it_serves_in_the_worker(tiny_bundle: Path, tmp_path: Path) -> None:
    """The inference worker of `run` starts it from the settings' name alone, and its golden frames are good there."""
    bundle = allowing(tiny_bundle, tmp_path / "b.bundle", {OPENVINO: FLOAT32_OPENVINO, CPU.name: FLOAT32_CPU})
    events: queue.Queue[EngineEvent] = queue.Queue()
    engine = Engine({"cam": str(bundle)}, events.put, ScoringOptions(threads=1, providers=(OURS, CPU)))
    engine.start()
    try:
        ready = events.get(timeout=ENOUGH_S)
    finally:
        engine.close()
    assert isinstance(ready, EngineReady)
    assert (ready.bundles["cam"].provider, ready.bundles["cam"].passed_over) == (OPENVINO, ())


# Bundles in bf16


@pytest.fixture(scope="module")
def bf16_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that `fit --precision bf16` made with the default network, beside what it printed."""
    if not computes_bf16():
        pytest.skip("this processor computes no bfloat16")
    work = tmp_path_factory.mktemp("bf16")
    for number in range(12):
        cv2.imwrite(str(work / f"{number:02d}.png"), picture_of(number))
    words = ("--images", work, "--out", work / "x.bundle", "--precision", "bf16", "--coreset", 400)
    done = call(*EXPORT, "fit", *words, "--may-vary", "none", "--no-report", "--threads", 1, "--json")
    assert done.returncode == 0, done.stderr
    (work / "report.json").write_text(done.stdout)
    return work / "x.bundle"


def picture_of(number: int) -> np.ndarray:
    """Return a drawn picture: rough noise, resized."""
    rough = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (320, 240), interpolation=cv2.INTER_CUBIC))


def test_fit_makes_a_bundle_in_bf16(bf16_bundle: Path) -> None:
    """It has the packaged graph byte for byte, only OpenVINO in bf16 may serve it, and fit says what that costs."""
    report = json.loads((bf16_bundle.parent / "report.json").read_text())
    assert report["manifest"]["features"]["precision"] == "bf16"
    assert list(report["manifest"]["parity"]["tolerances"]) == ["OpenVINOExecutionProvider/bf16"]
    assert (bf16_bundle / "model.onnx").read_bytes() == MODEL.read_bytes()
    (said,) = (note for note in report["survey"]["notes"] if note.startswith("bf16 takes"))
    assert "of the time that the CPU provider takes" in said
    assert report["precision_cost"]["precision"] == "bf16"
    assert 1e-3 < report["graph"]["graph"]["features"]["mean"] < 0.2


def test_golden_frames_are_those_of_the_fit(bf16_bundle: Path) -> None:
    """Loaded again, they score the same to the last bit, and nothing is passed over."""
    _, _, checked = load_and_check(bf16_bundle, 1)
    assert (checked.provider, checked.scores, checked.distances_mean, checked.passed_over) == (OPENVINO, 0.0, 0.0, ())


def test_other_numbers_of_threads_and_pictures_change_nothing(bf16_bundle: Path) -> None:
    """On two threads, and with two pictures together, the features are the same to the last bit."""
    one, two = (load(bf16_bundle, threads)[1] for threads in (1, 2))
    tensors = [one.preprocess(picture_of(number)) for number in (20, 21)]
    wanted = [np.array(one.embed(tensor)) for tensor in tensors]
    assert np.array_equal(two.embed(tensors[0]), wanted[0])
    made = one.embed.together(tensors, np.empty(2 * wanted[0].size, dtype=np.float32))
    for raw, features in zip(made, wanted, strict=True):
        assert np.array_equal(one.embed.finish(raw, np.empty_like(features)), features)


@pytest.mark.parametrize("providers", [(CPU,), (OURS, CPU), "auto"], ids=["CPU", "both", "auto"])
def test_openvino_serves_it_whatever_is_wanted(bf16_bundle: Path, providers: Any) -> None:
    """The settings of a device with bundles in float32 need no change for one in bf16."""
    _, scorer = load(bf16_bundle, 1, providers=providers)
    assert (scorer.provider, scorer.embed.reduced_precision) == (OPENVINO, "bf16")


def test_where_bfloat16_is_computed_as_float32_it_is_refused(bf16_bundle: Path) -> None:
    """A processor whose flags promise too much is found out by the golden frames: OpenVINO held to AVX2 is float32."""
    words = [sys.executable, "-m", "runtime.cli.main", "check", str(bf16_bundle), "--threads", "1"]
    held = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=ENOUGH_S, check=False, env=held)
    assert done.returncode == 65, done.stderr
    assert "`run` refuses it" in done.stderr


def test_tools_measure_it_in_bf16(bf16_bundle: Path) -> None:
    """`bench --providers` measures OpenVINO, and says why the CPU provider is out; `warm` chooses, `doctor` passes."""
    settings = bf16_bundle.parent / "settings.yaml"
    settings.write_text(
        f"bundle: {bf16_bundle}\ncameras:\n  top: {{source: {bf16_bundle.parent}}}\nthreads: 1\nproviders: auto\n"
    )
    words = ("--source", bf16_bundle.parent, "--frames", 12, "--threads", 1, "--json")
    tried = {
        one["provider"]: one
        for one in json.loads(call(*DEVICE, "bench", bf16_bundle, *words, "--providers").stdout)["providers"]
    }
    assert tried[OPENVINO]["frame_ms"] > 0
    assert "no tolerance" in tried[CPU.name]["why"]
    warmed = call(*DEVICE, "warm", "--config", settings)
    assert f"chosen: {OPENVINO}" in warmed.stdout, warmed.stderr
    report = json.loads(call(*DEVICE, "doctor", "--config", settings, "--json").stdout)
    (said,) = (one for one in report["bundles"] if one["about"] == "bundle")
    assert said["level"] == "ok", said
    assert said["data"]["provider"] == OPENVINO


def test_it_learns_on_and_is_recalibrated_in_bf16(bf16_bundle: Path, tmp_path: Path) -> None:
    """A child, and a bundle with another threshold, are of bfloat16 as their parent, and pass their golden frames."""
    new = tmp_path / "new"
    new.mkdir()
    for number in range(30, 38):
        cv2.imwrite(str(new / f"{number}.png"), picture_of(number))
    for words in ((*DEVICE, "learn-on", "--bundle"), (*EXPORT, "recalibrate")):
        out = tmp_path / f"{words[-1]}.bundle"
        done = call(*words, bf16_bundle, "--images", new, "--out", out, "--force", "--threads", 1)
        assert done.returncode == 0, done.stderr
        bundle, _, checked = load_and_check(out, 1)
        assert (bundle.manifest.features.precision, checked.provider, checked.good) == ("bf16", OPENVINO, True)


def test_workers_make_the_same_bundle(bf16_bundle: Path, tmp_path: Path) -> None:
    """`fit --workers` computes in bf16 in the workers too: the id is that of one process."""
    pytest.importorskip("distributed")
    words = ("--images", bf16_bundle.parent, "--out", tmp_path / "x.bundle", "--precision", "bf16", "--coreset", 400)
    done = call(*EXPORT, "fit", *words, "--may-vary", "none", "--no-report", "--threads", 2, "--workers", 2, "--json")
    assert done.returncode == 0, done.stderr
    alone = json.loads((bf16_bundle.parent / "report.json").read_text())
    assert json.loads(done.stdout)["bundle_id"] == alone["bundle_id"]
