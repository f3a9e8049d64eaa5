"""OpenVINO as provider: float32 as on the CPU, our threads, the worker. Skipped where ONNX Runtime is without it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edge_config.bundle.parity_result import Tolerance, name_of_tolerance
from edge_config.settings.sections import CPU, Provider
from runtime.events import EngineEvent, EngineReady
from runtime.inference.engine import Engine
from runtime.inference.load import load_and_check
from runtime.inference.protocol import ScoringOptions
from runtime.inference.providers.options import OPENVINO, complete
from runtime.learning.gate.parity import FLOAT32_CPU, FLOAT32_OPENVINO
from runtime.learning.network_file import DEFAULT
from runtime.scoring.embed import Embed
from tests.inference.test_providers import allowing
from tests.support.processes import ENOUGH_S

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


def computes_bf16() -> bool:
    """Return whether this processor has instructions for bfloat16."""
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii")
    return "avx512_bf16" in flags or "amx_bf16" in flags


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
