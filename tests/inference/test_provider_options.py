"""Options of providers: float32 unless less is asked for, our threads, and what the settings say over ours."""

from __future__ import annotations

import json
import os

import pytest

from edge_config.errors import ProviderUnavailable
from edge_config.settings.sections import Provider
from runtime.inference.providers.options import CUDA, OPENVINO, TENSORRT, complete, reduced_precision
from runtime.learning.gate.parity import TOLERANCES


def config(**options: str) -> dict:
    """Return the properties of OpenVINO, as it is given them for three threads."""
    return json.loads(str(complete(Provider(name=OPENVINO, options=options), 3).options["load_config"]))


def test_cuda_does_without_tf32() -> None:
    """A provider that is named without options computes in float32; TF32 has to be asked for."""
    assert complete(Provider(name=CUDA), 1).options["use_tf32"] is False
    assert complete(Provider(name=CUDA, options={"use_tf32": True}), 1).options["use_tf32"] is True


def test_tensorrt_does_without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT has only NVIDIA's variable for it, which is set before its libraries are loaded; the user's stays."""
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "")  # so that it is put back
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    complete(Provider(name=TENSORRT), 1)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    complete(Provider(name=TENSORRT), 1)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1"


def test_openvino_computes_in_float32_on_our_threads() -> None:
    """Precision and threads are told to OpenVINO, which would take what the processor offers."""
    found = config()
    assert found.keys() == {"CPU"}
    assert (found["CPU"]["INFERENCE_PRECISION_HINT"], found["CPU"]["INFERENCE_NUM_THREADS"]) == ("f32", "3")


def test_openvino_on_all_cores_has_as_many_threads_as_there_are() -> None:
    """0 threads mean those that this process may use, also for OpenVINO, for which 0 would be something else."""
    found = json.loads(str(complete(Provider(name=OPENVINO), 0).options["load_config"]))
    assert found["CPU"]["INFERENCE_NUM_THREADS"] == str(len(os.sched_getaffinity(0)))


def test_properties_of_the_settings_go_over_ours_one_by_one() -> None:
    """One property of OpenVINO in the settings leaves the others as they are, threads among them."""
    found = config(load_config='{"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}')
    assert (found["CPU"]["INFERENCE_PRECISION_HINT"], found["CPU"]["INFERENCE_NUM_THREADS"]) == ("bf16", "3")


@pytest.mark.parametrize("text", ["{", "[]", '{"CPU": 1}', "3"])
def test_what_is_no_configuration_is_said(text: str) -> None:
    """A `load_config` that OpenVINO could not read passes the provider over with the key's name."""
    with pytest.raises(ProviderUnavailable, match="`load_config` is not JSON"):
        config(load_config=text)


@pytest.mark.parametrize(
    ("provider", "precision"),
    [
        (Provider(name=CUDA), ""),
        (Provider(name=TENSORRT), ""),
        (Provider(name=TENSORRT, options={"trt_fp16_enable": True}), "fp16"),
        (Provider(name=TENSORRT, options={"trt_fp16_enable": "False"}), ""),
        (Provider(name=OPENVINO), ""),
        (Provider(name=OPENVINO, options={"load_config": '{"CPU":{"INFERENCE_PRECISION_HINT": "bf16"}}'}), "bf16"),
    ],
)
def test_precision_that_the_options_ask_for(provider: Provider, precision: str) -> None:
    """A provider that is told to compute in fewer bits is judged by another tolerance."""
    assert reduced_precision(provider) == precision


def test_tolerances_of_fp32_and_fp16_are_not_one() -> None:
    """A bundle promises float32 of a GPU to a hundred thousandth, and a percent only of half precision."""
    found = TOLERANCES["float32"]
    assert found[CUDA].scores == found[TENSORRT].scores == 1e-5
    assert found[OPENVINO].scores == 1e-4
    assert found[f"{TENSORRT}/fp16"].scores == 2e-2
