"""The ONNX graph: uint8 frame in, locally aware patch features out (PatchCore section 3.1)."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from export.backbone import Backbone

OPSET = 18  # Resize with the half-pixel rule, and old enough for ONNX Runtime 1.16 of JetPack


class PatchFeatures(nn.Module):
    """Normalise, run the backbone, aggregate each neighbourhood, join the layers."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, patch_size: int) -> None:
        """Take the network and p, the odd side of a neighbourhood."""
        super().__init__()
        self.backbone = backbone.module
        self.patch_size = patch_size
        for name, values in (("mean", backbone.mean), ("std", backbone.std)):
            self.register_buffer(name, torch.tensor(values).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, frame: Tensor) -> Tensor:
        """Give patch features float32 [h*w, D], row by row, of a frame uint8 [1, H, W, 3] BGR."""
        rgb = frame.flip(3).permute(0, 3, 1, 2).to(torch.float32)
        maps = [self.aggregate(layer) for layer in self.backbone((rgb - self.mean) / self.std)]
        grid = maps[0].shape[-2:]
        joined = torch.cat([maps[0], *(self.resize(deeper, grid) for deeper in maps[1:])], dim=1)
        return joined.flatten(2).squeeze(0).transpose(0, 1).contiguous()

    def aggregate(self, layer: Tensor) -> Tensor:
        """f_agg `mean`: average over p x p with stride 1, the zero padding counted."""
        return functional.avg_pool2d(layer, self.patch_size, stride=1, padding=self.patch_size // 2)

    @staticmethod
    def resize(layer: Tensor, grid: torch.Size) -> Tensor:
        """Bring a deeper map to the grid of the first."""
        return functional.interpolate(layer, size=grid, mode="bilinear", align_corners=False)

    def grid_and_dimension(self, input_hw: tuple[int, int]) -> tuple[tuple[int, int], int]:
        """Give rows and columns of the patch grid, and D, for an input of height and width `input_hw`."""
        with torch.no_grad():
            maps = self.backbone(torch.zeros(1, 3, *input_hw))
        return (maps[0].shape[2], maps[0].shape[3]), sum(layer.shape[1] for layer in maps)

    def run(self, tensor: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute in torch what the graph computes in ONNX Runtime: the reference for it."""
        with torch.no_grad():
            return np.asarray(self(torch.from_numpy(tensor)).numpy(), dtype=np.float32)


def export_graph(module: PatchFeatures, input_hw: tuple[int, int], path: Path) -> None:
    """Write model.onnx, the same bytes for the same network: without the paths and traces of this machine."""
    frame = torch.zeros(1, *input_hw, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # says that torchvision is missing, which nothing needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (frame,),
            input_names=["frame"],
            output_names=["features"],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = program.model_proto
    model.producer_name, model.producer_version, model.doc_string = "patchedge", "", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    for item in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def largest_difference(found: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Give the largest ||found - reference|| / ||reference|| over the patches, both float32 [patches, D]."""
    apart = np.linalg.norm(found.astype(np.float64) - reference, axis=1)
    return float((apart / np.linalg.norm(reference.astype(np.float64), axis=1)).max())
