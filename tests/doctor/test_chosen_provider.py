"""`doctor` with `providers: auto`: what was chosen, when, how much faster it is, and why others are passed over."""

from __future__ import annotations

from typing import Any

import msgspec

from edge_config.settings.parse import parse
from runtime.doctor.finding import Finding
from runtime.doctor.inference import present, with_bundle
from runtime.inference.providers.choice import ForWhich, ProviderChoice, TriedProvider
from runtime.process.child import CheckResult

CPU, OPENVINO, CUDA = "CPUExecutionProvider", "OpenVINOExecutionProvider", "CUDAExecutionProvider"
SETTINGS = parse({"bundle": "b", "cameras": {"a": {"source": 0}}, "providers": "auto"})
CHOICE = ProviderChoice(
    ForWhich("0" * 64, "1.24.1", "x", 1),
    (OPENVINO, CPU),
    "2026-11-27T18:00:00+00:00",
    (
        TriedProvider(provider=OPENVINO, graph_ms=4.0, frame_ms=6.0, scores=1e-6, distances_mean=1e-6),
        TriedProvider(provider=CPU, graph_ms=6.0, frame_ms=8.0, scores=0.0, distances_mean=0.0),
        TriedProvider(provider=CUDA, why="libcudnn.so.9: cannot open shared object file"),
    ),
)


def findings(**value: Any) -> list[Finding]:
    """Return what is said of a bundle for which `value` came back."""
    whole = {"scores": 1e-6, "tolerance": {"scores": 1e-4}, "frame_ms": 6.0, "good": True, "passed_over": [], **value}
    return list(with_bundle("b", SETTINGS, [OPENVINO, CPU], lambda *_: CheckResult(whole)))


def test_choice_is_explained() -> None:
    """The line has the provider, the day, the times beside the CPU's, and the reason of each that does not serve."""
    bundle, chosen = findings(provider=OPENVINO, choice=msgspec.to_builtins(CHOICE))
    assert (bundle.level, chosen.level, chosen.about) == ("ok", "ok", "provider")
    assert f"{OPENVINO}, chosen by `patchedge warm` on 2026-11-27T18:00:00+00:00" in chosen.says
    assert f"{OPENVINO} 6.0 ms (0.75), {CPU} 8.0 ms (1.00)" in chosen.says
    assert f"{CUDA}: libcudnn.so.9" in chosen.says


def test_choice_that_does_not_serve_now_is_a_warning() -> None:
    """Where another provider computes than the chosen one, the line says which, why, and what to do."""
    why = f"{OPENVINO}: not in this ONNX Runtime 1.32.0"
    _, chosen = findings(provider=CPU, choice=msgspec.to_builtins(CHOICE), passed_over=[why])
    assert chosen.level == "warn"
    assert f"now {CPU} computes: {why}" in chosen.says
    assert "patchedge warm" in chosen.remedy


def test_no_choice_is_a_warning() -> None:
    """Where nothing was chosen, the CPU serves, and the line says how to choose."""
    _, missing = findings(provider=CPU, choice=None, passed_over=["auto: nothing was chosen yet: run `patchedge warm`"])
    assert missing.level == "warn"
    assert "nothing was chosen yet" in missing.says


def test_auto_wants_no_provider_that_is_not_there() -> None:
    """`auto` is content with what is built in."""
    assert present("auto", [CPU], "1.32.0").level == "ok"
