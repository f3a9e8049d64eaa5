"""Options of execution providers: ours for each, those of the settings over them, and what precision they ask for.

Without these, GPUs and newer processors of Intel compute convolutions with fewer bits than float32, and scores are not
those that the threshold was set for.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edge_config.errors import ProviderUnavailable
from edge_config.saving import writing
from edge_config.settings.providers import is_on
from edge_config.settings.sections import Provider
from runtime.state_folder import state_folder

CUDA, TENSORRT, OPENVINO = "CUDAExecutionProvider", "TensorrtExecutionProvider", "OpenVINOExecutionProvider"

BF16 = "bf16"
"""Precision of bundles that OpenVINO computes in bfloat16, and of OpenVINO's own setting."""

Options = dict[str, str | int | float | bool]

_STATE = "{state}"

_FOLDERS = ("trt_engine_cache_path", "trt_timing_cache_path")
"""Options that name folders, which TensorRT does not create."""

_DEFAULTS: Mapping[str, Options] = {
    CUDA: {
        "use_tf32": False,  # TF32 has 10 bits: scores off by up to 3e-3, and no faster (H100, default network)
        # The graph has a fixed shape: no search for algorithms, and no memory beyond what it needs.
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    },
    TENSORRT: {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": f"{_STATE}/tensorrt",
        "trt_timing_cache_enable": True,
    },
    OPENVINO: {"device_type": "CPU", "load_config": "{}"},
}

_NO_TF32 = "NVIDIA_TF32_OVERRIDE"
"""TensorRT has no option for TF32 in ONNX Runtime (issue 26029 there). NVIDIA's libraries read this once, when they are
loaded; `0` keeps them from TF32."""

_HINT = re.compile(r'"INFERENCE_PRECISION_HINT"\s*:\s*"(\w+)"')


def complete(provider: Provider, threads: int) -> Provider:
    """Return a provider with all its options, ready to be started: its folders exist.

    Args:
        provider: as in the settings.
        threads: of ONNX Runtime; 0 means all cores. OpenVINO has threads of its own, as many.

    Raises:
        NotWritten: a folder cannot be made.
        ProviderUnavailable: an option is not valid.
    """
    options = {**_DEFAULTS.get(provider.name, {}), **provider.options}
    if provider.name == TENSORRT:
        os.environ.setdefault(_NO_TF32, "0")
    if provider.name == OPENVINO:
        options["load_config"] = json.dumps(_openvino(options, threads or len(os.sched_getaffinity(0))))
    for key, value in options.items():
        if isinstance(value, str) and _STATE in value:
            options[key] = value.replace(_STATE, str(state_folder()))
        if key in _FOLDERS:
            with writing(str(options[key])):
                Path(str(options[key])).mkdir(parents=True, exist_ok=True)
    return msgspec.structs.replace(provider, options=options)


def reduced_precision(provider: Provider) -> str:
    """Return the precision below float32 that its options ask for, `fp16` or `bf16`; empty if they ask for none."""
    if provider.name == OPENVINO:
        hint = _HINT.search(str(provider.options.get("load_config", "")))
        return {"f16": "fp16", "bf16": "bf16"}.get(hint[1], "") if hint else ""
    return next((word for word in ("fp16", "bf16") if is_on(provider, f"trt_{word}_enable")), "")


def hinting(provider: Provider, precision: str) -> Provider:
    """Return OpenVINO with the same options, but told to compute in `precision`, as OpenVINO names it.

    Raises:
        ProviderUnavailable: its option `load_config` is not valid.
    """
    options = {**_DEFAULTS[OPENVINO], **provider.options}
    device, given = str(options["device_type"]), _given(options)
    config = {**given, device: {**given.get(device, {}), "INFERENCE_PRECISION_HINT": precision}}
    return msgspec.structs.replace(provider, options={**provider.options, "load_config": json.dumps(config)})


def _openvino(options: Options, threads: int) -> dict[str, dict[str, Any]]:
    """Return the properties of OpenVINO's device: ours, and over them those of the option `load_config`, as JSON.

    Its compiled model is not kept for the CPU: to read it takes as long as to compile (0.3 s, default network).
    """
    device = str(options["device_type"])
    ours: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
    if device == "CPU":
        # Threads that are bound to cores would be in the way of the search and of other processes.
        ours |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": "NO"}
    else:
        ours["CACHE_DIR"] = str(state_folder() / "openvino")
    given = _given(options)
    return {**given, device: {**ours, **given.get(device, {})}}


def _given(options: Options) -> dict[str, dict[str, Any]]:
    """Return the option `load_config`: properties by device."""
    try:
        return msgspec.json.decode(str(options["load_config"]), type=dict[str, dict[str, Any]])
    except msgspec.MsgspecError as error:
        raise ProviderUnavailable(
            f"its option `load_config` is not JSON of devices ({error})",
            where=OPENVINO,
            remedy='such as {"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}',
        ) from error
