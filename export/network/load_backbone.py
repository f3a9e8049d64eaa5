"""Load a backbone by its name: packaged, from timm, or the user's own ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_config.errors import UsageError
from export.network.backbone import LITE, RGB, Backbone, first_line
from export.network.onnx_backbone import load_onnx

_MAP_AXES = 4


def load_backbone(
    name: str,
    input_hw: tuple[int, int],
    *,
    layers: Sequence[str] | None = None,
    weights: Path | None = None,
    mean: RGB | None = None,
    std: RGB | None = None,
    tokens_to_map: int | str | None = None,
) -> Backbone:
    """Load a network.

    Args:
        name: one of `LITE`, the path of an ONNX file, or the name of a timm network.
        input_hw: height and width of its input.
        layers: names of the layers, or of the tensors of an ONNX file; None takes the usual ones of the network.
        weights: a file to take the weights from instead of the network's own; not for ONNX files.
        mean: normalisation in RGB order on the scale 0 to 255; None takes the network's own, for ONNX files that of
            ImageNet.
        std: the same.
        tokens_to_map: of an ONNX file: layers [1, tokens, channels] become maps; so many tokens before those of the
            patches are dropped, with "auto" as many as the grid leaves.

    Raises:
        UsageError: a network, layer or file that is not there or does not fit, or that gives no maps at this size.
        MissingExtra: the network needs a package that is not installed.
        WeightsUnavailable: the weights cannot be downloaded.
    """
    if name.endswith(".onnx"):
        if weights is not None:
            raise UsageError("an ONNX file has its weights inside", where=name, remedy="drop --weights")
        backbone = load_onnx(Path(name), input_hw, layers, tokens_to_map)
    elif tokens_to_map is not None:
        raise UsageError("--tokens-to-map is for ONNX files", where=name, remedy="drop it: this network gives maps")
    else:
        from export.network import torch_backbone  # torch takes seconds to import

        load = torch_backbone.load_lite if name in LITE else torch_backbone.load_timm
        backbone = load(name, input_hw, layers, weights)
    _try(backbone, input_hw)
    return replace(backbone, mean=mean or backbone.mean, std=std or backbone.std)


def _try(backbone: Backbone, input_hw: tuple[int, int]) -> None:
    """Compute the maps of one picture, and look whether they are maps, the finest first."""
    try:
        maps = backbone.network.maps(np.zeros((1, 3, *input_hw), dtype=np.float32))
    except Exception as error:  # torch and ONNX Runtime have no common base for what a network does not take
        raise UsageError(f"{backbone.name} does not run at {input_hw} ({first_line(error)})") from error
    for layer, found in zip(backbone.layers, maps, strict=True):
        if found.ndim != _MAP_AXES or len(found) != 1 or found.dtype != np.float32:
            shape = list(found.shape)
            raise UsageError(f"{layer} of {backbone.name} is {found.dtype} {shape}, not a map float32 [1, c, h, w]")
    areas = [found.shape[2] * found.shape[3] for found in maps]
    if areas != sorted(areas, reverse=True):
        raise UsageError(f"the layers {', '.join(backbone.layers)} do not go from fine to coarse")
