"""`fit --device cuda`: what it needs is tried before the work begins, and without it one line says what is missing.

No GPU is needed: a provider that leaves everything to the CPU stands for it, and so does torch's CPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.errors import MissingExtra, ParityRefused, ProviderUnavailable, UnavailableError, UsageError
from edge_config.settings.sections import CPU
from export.fit import fit
from export.gpu.start import computing_on
from export.options import Options
from runtime.inference.load import load_and_check
from runtime.learning.options import read_options
from runtime.learning.parts.spread import Here
from runtime.scoring.graph_session import GraphSession
from tests.inference.test_providers import CUDA, OTHER
from tests.support.small import LAYERS, call_export, small_options

PAGE = "docs/guide/providers.md"
OFF = 1e-5  # a tenth of what is refused
CLOSE = 10 * OFF  # adjusted features are differences of those of the graph


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """Return the options of a fit of a second."""
    words = dict(zip(*[iter(small_options(tmp_path, tmp_path / "x.bundle")[:-1])] * 2, strict=True))
    given = {name.removeprefix("--"): value for name, value in words.items()}
    return read_options({**given, "layers": LAYERS, "size": 64, "threads": 2, "no_report": True}, None, Options)


def stand_in() -> Here:
    return computing_on(OTHER, "cpu", 2)


def changed(monkeypatch: pytest.MonkeyPatch, how) -> None:
    """Have the provider that stands for a GPU compute something else."""
    compute = GraphSession.__call__

    def call(self: GraphSession, tensor: NDArray[np.uint8], features: NDArray[np.float32]) -> NDArray[np.float32]:
        made = compute(self, tensor, features)
        return made if self.provider == CPU.name else how(made)

    monkeypatch.setattr(GraphSession, "__call__", call)


@pytest.mark.slow
def test_the_same_features_give_the_same_bundle(options: Options, tmp_path: Path) -> None:
    """With a provider that rounds as the CPU does, and torch for the products, the bundle's id is that of the CPU."""
    with_gpu = fit(options, here=stand_in()).bundle_id
    assert with_gpu == fit(msgspec.structs.replace(options, out=str(tmp_path / "y.bundle"))).bundle_id


@pytest.mark.slow
def test_golden_frames_are_of_the_cpu(options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of the bank are the GPU's, golden frames are scored on the CPU: there they differ by nothing."""
    changed(monkeypatch, lambda features: features * np.float32(1 + OFF))
    fit(options, here=stand_in())
    fit(msgspec.structs.replace(options, out=str(tmp_path / "y.bundle")))
    one, other = (arrays.read(tmp_path / name / bundles.BANK)["bank"] for name in ("x.bundle", "y.bundle"))
    assert (one != other).any()
    assert np.allclose(one, other, rtol=CLOSE, atol=CLOSE)
    assert load_and_check(tmp_path / "x.bundle", 1)[2].scores == 0


@pytest.mark.parametrize("wrong", [lambda made: made * np.float32(1.001), lambda made: made * np.float32(np.nan)])
def test_other_features_are_refused(wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that computes in fewer bits, or no numbers, is found out before the first picture is read."""
    changed(monkeypatch, wrong)
    said = rf"{OTHER.name} against CPUExecutionProvider, features: differs by .*, allowed is 1e-04"
    with pytest.raises(ParityRefused, match=said):
        stand_in()


@pytest.mark.slow
def test_a_gpu_that_computes_otherwise_later_is_found_out(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features that were right in the trial, and are off for the pictures, are refused by the gate; nothing is left."""
    here, right = stand_in(), iter(range(1))  # the trial with the network of the fit
    changed(monkeypatch, lambda made: made if next(right, None) is not None else made * np.float32(1.001))
    with pytest.raises(ParityRefused, match="features that were learnt from, against those of the gate: differs by"):
        fit(options, here=here)
    assert not (tmp_path / "x.bundle").exists()


@pytest.mark.slow
def test_a_gpu_that_fails_on_the_way_leaves_nothing(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ONNX Runtime says at a picture, as for want of memory, comes as one line, and no bundle is begun."""
    here, left = stand_in(), iter(range(5))

    def fail(made: NDArray[np.float32]) -> NDArray[np.float32]:
        if next(left, None) is None:
            raise RuntimeError("CUDA failure 2: out of memory")
        return made

    changed(monkeypatch, fail)
    with pytest.raises(ProviderUnavailable, match=r"CUDA failure 2: out of memory.*leave out `--device cuda`"):
        fit(options, here=here)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "small.onnx"]


def test_without_a_gpu_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No GPU, no CUDA in torch, no torch: each is one line that says what to do, before pictures are looked at."""
    monkeypatch.chdir(tmp_path)
    words = "fit", "--images", "nowhere", "--out", "x.bundle", "--device", "cuda"

    def said() -> str:
        done = call_export(*words)
        (line,) = done.err.splitlines()
        return f"{done.code} {line}"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "finds no GPU that it can use" in (line := said())
    assert line.startswith(f"{UnavailableError.exit_code} ")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "is built without CUDA" in (line := said())
    assert line.startswith(f"{UnavailableError.exit_code} ")
    assert PAGE in line
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "torch is not installed, which `--device cuda` needs; pip install" in (line := said())
    assert line.startswith(f"{MissingExtra.exit_code} ")
    assert not list(tmp_path.iterdir())


def test_without_the_provider_it_is_said() -> None:
    """An ONNX Runtime that has no CUDA is named with what to do."""
    with pytest.raises(ProviderUnavailable, match=rf"^CUDAExecutionProvider: not in this ONNX Runtime.*{PAGE}"):
        computing_on(CUDA, "cpu", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", 2], "not with cluster or workers"),
        (["--cluster", "tcp://127.0.0.1:1"], "not with cluster or workers"),
        (["--precision", "int8"], "not with precision int8"),
        (["--precision", "bf16"], "not with precision bf16"),
    ],
)
def test_what_does_not_go_with_a_gpu_is_refused(words: list[object], said: str, tmp_path: Path) -> None:
    """Workers compute on their processors, and int8 is rounded otherwise on a GPU: one line each."""
    done = call_export("fit", "--images", tmp_path, "--out", tmp_path / "x.bundle", "--device", "cuda", *words)
    assert done.code == UsageError.exit_code
    (line,) = done.err.splitlines()
    assert said in line


def test_a_plan_asks_for_the_gpu_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a plan the line comes before its first camera; workers beside it are refused; a camera in int8 is named."""
    monkeypatch.chdir(tmp_path)
    plan = tmp_path / "plant.yaml"
    plan.write_text("cameras: {a: {images: p, out: a.bundle}, b: {images: p, out: b.bundle}}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    alone = call_export("fit", "--plan", plan, "--device", "cuda")
    assert (alone.code, len(alone.err.splitlines())) == (UnavailableError.exit_code, 1)
    both = call_export("fit", "--plan", plan, "--device", "cuda", "--workers", 2)
    assert (both.code, "not with cluster or workers" in both.err) == (UsageError.exit_code, True)
    plan.write_text("cameras: {a: {images: p, out: a.bundle, precision: int8}}")
    assert (
        "key `cameras.a`: device cuda: not with precision int8"
        in call_export("fit", "--plan", plan, "--device", "cuda").err
    )
