"""The backbone: a pretrained network, cut after the last layer that is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

LITE = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
"""Networks with ImageNet weights in a package: no download."""

RGB = tuple[float, float, float]


class PretrainedNetwork(Protocol):
    """A network in the program that it came with: what the graph is compared with."""

    program: str

    def maps(self, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the maps of the layers, each float32 [1, c_j, h_j, w_j], for a normalised float32 [1, 3, H, W] RGB."""

    def to_onnx(self) -> onnx.ModelProto:
        """Return a graph from float32 [1, 3, H, W] to the same maps, in the order of the layers."""


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
    network: PretrainedNetwork
    layers: tuple[str, ...]
    mean: RGB
    std: RGB
    weights: str
    weights_sha256: str
    prefix_tokens: int | None = None


def first_line(error: Exception) -> str:
    """Return what an exception of a library says, without what it adds below."""
    lines = str(error).split("\n")
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1]).strip()
