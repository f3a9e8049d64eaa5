"""The pretrained network, cut after the last layer that is used: packaged, from timm, or the user's own ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_config.errors import UsageError

LITE = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
"""Networks with ImageNet weights in a package: no download."""

RGB = tuple[float, float, float]

_MAP_AXES = 4


class Network(Protocol):
    """A network in the program that it came with: what the graph is compared with."""

    program: str

    def maps(self, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the maps of the layers, each float32 [1, c_j, h_j, w_j], for a normalised float32 [1, 3, H, W] RGB."""
        ...

    def to_onnx(self) -> onnx.ModelProto:
        """Return a graph from float32 [1, 3, H, W] to the same maps, in the order of the layers."""
        ...


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network that gives the maps of a few layers.

    Attributes:
        name: its name.
        network: what computes them.
        layers: names of these layers, the finest first.
        mean, std: normalisation of each channel in RGB order, on the scale 0 to 255.
        weights: where the weights came from.
        weights_sha256: hash of the weights.
        prefix_tokens: dropped of each layer that was tokens; None where there was none.
    """

    name: str
    network: Network
    layers: tuple[str, ...]
    mean: RGB
    std: RGB
    weights: str
    weights_sha256: str
    prefix_tokens: int | None = None


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
        from export.network.onnx_backbone import load_onnx

        backbone = load_onnx(Path(name), input_hw, layers, mean, std, weights, tokens_to_map)
    elif tokens_to_map is not None:
        raise UsageError("--tokens-to-map is for ONNX files", where=name, remedy="drop it: this network gives maps")
    else:
        from export.network import torch_backbone  # torch is needed from here on

        load = torch_backbone.load_lite if name in LITE else torch_backbone.load_timm
        backbone = load(name, input_hw, layers, mean, std, weights)
    _try(backbone, input_hw)
    return backbone


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


def first_line(error: Exception) -> str:
    """Return what an exception of a library says, without what it adds below."""
    lines = str(error).split("\n")
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1]).strip()
