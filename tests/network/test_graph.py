"""Patch features: the reference against the definition, ONNX Runtime against both, and what stands in the file."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

from edge_config.errors import UsageError
from export.network.aggregate import Aggregation
from export.network.backbone import Backbone
from export.network.graph import Layout, Reference, export_graph
from export.network.load_backbone import load_backbone
from export.options import DEFAULT
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from tests.support import reference
from tests.support.preprocessing import resized

pytestmark = pytest.mark.slow

INPUT_HW = (96, 128)  # not square, so that rows and columns cannot change places unseen
MAP_HW, CHANNELS = (24, 32), (24, 40, 112)  # of the default layers, of which the first has stride 4
ODD_HW, ODD_MAPS_HW = (100, 132), ((25, 33), (13, 17), (7, 9))  # no multiples of 2 or 3 but one
MADE_HW = (44, 60)
MEAN = Aggregation()
REFERENCE_RELATIVE = 1e-5  # of a patch's norm: the maps are the same, the rest is float64 but for the result
RUNTIME_RELATIVE = 1e-4  # the promise of the gate; measured about 1e-6
CHANGED_RELATIVE = 1e-2  # another colour order moves features by far more than any rounding


class Once:
    """A network that is translated once, as that takes seconds, and gives copies."""

    def __init__(self, network) -> None:
        self.program, self.maps = network.program, network.maps
        self._translate = functools.cache(network.to_onnx)

    def to_onnx(self) -> onnx.ModelProto:
        """Return a copy of the graph."""
        copy = onnx.ModelProto()
        copy.CopyFrom(self._translate())
        return copy


class Made:
    """A network of one convolution for each layer, in torch and, written by hand, in ONNX."""

    program = "made"

    def __init__(
        self, channels: tuple[int, ...], *, opset: int = 18, picture: str = "picture", last: str = "last"
    ) -> None:
        random = np.random.default_rng(0)
        self._opset, self._picture, self._last = opset, picture, last
        self._weights = [random.standard_normal((channels[0], 3, 4, 4)).astype(np.float32) / 7]
        for before, after in itertools.pairwise(channels):
            weight = random.standard_normal((after, before, 1, 1)) / np.sqrt(before)
            self._weights.append(weight.astype(np.float32))

    def maps(self, pictures: np.ndarray) -> list[np.ndarray]:
        """Compute every layer from the one before: the first has stride 4, the others 2."""
        layer, found = torch.from_numpy(pictures), []
        for number, weight in enumerate(self._weights):
            layer = functional.conv2d(layer, torch.from_numpy(weight), stride=2 if number else 4)
            found.append(layer.numpy())
        return found

    def to_onnx(self) -> onnx.ModelProto:
        """Write the same down."""
        names = [*(f"layer_{number}" for number in range(len(self._weights) - 1)), self._last]
        nodes = [
            helper.make_node("Conv", [before, f"weight_{name}"], [name], strides=[2 if number else 4] * 2)
            for number, (before, name) in enumerate(itertools.pairwise([self._picture, *names]))
        ]
        graph = helper.make_graph(
            nodes,
            "made",
            [helper.make_tensor_value_info(self._picture, TensorProto.FLOAT, [1, 3, *MADE_HW])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, None, None]) for name in names],
            [
                numpy_helper.from_array(weight, f"weight_{name}")
                for weight, name in zip(self._weights, names, strict=True)
            ],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)])


def made(network: Made, count: int) -> Backbone:
    """Return a made network with unequal means and deviations, in RGB order."""
    return Backbone(
        name="made",
        network=network,
        layers=tuple(f"layer_{number}" for number in range(count)),
        mean=(120.0, 100.0, 90.0),
        std=(60.0, 55.0, 50.0),
        weights="none",
        weights_sha256="0" * 64,
    )


def preprocess(input_hw: tuple[int, int]) -> Preprocess:
    """Return the stage that makes inputs of the graph."""
    return Preprocess(resized(input_hw))


def photograph(name: str, input_hw: tuple[int, int] = INPUT_HW) -> np.ndarray:
    """Return a real photograph as the input of the graph, uint8 [1, H, W, 3] BGR."""
    rgb = getattr(skimage.data, name)()
    return preprocess(input_hw)(np.ascontiguousarray(rgb[..., ::-1]))


def by_hand(backbone: Backbone, tensor: np.ndarray, aggregation: Aggregation) -> np.ndarray:
    """Compute patch features from the maps of the bare network, which gets (x - mean) / std in RGB order."""
    rgb = tensor[0, :, :, ::-1].astype(np.float64)
    normalised = ((rgb - backbone.mean) / backbone.std).transpose(2, 0, 1).astype(np.float32)
    maps = [layer[0] for layer in backbone.network.maps(normalised[None])]
    dims = (aggregation.layer_dim, aggregation.target_dim) if aggregation.kind == "adaptive" else None
    return reference.patch_features(maps, aggregation.patch_size, aggregation.stride, dims)


def largest_difference(found: np.ndarray, true: np.ndarray) -> float:
    """Return the distance of the worst patch from what it should be, as a share of that patch's length."""
    apart = np.linalg.norm(found.astype(np.float64) - true, axis=1)
    return float((apart / np.linalg.norm(true.astype(np.float64), axis=1)).max())


def exported(backbone: Backbone, aggregation: Aggregation, input_hw: tuple[int, int], folder: Path) -> Embed:
    """Export and load into ONNX Runtime."""
    layout = Reference(backbone, aggregation).layout(input_hw)
    (folder / "model.onnx").write_bytes(export_graph(backbone, aggregation, layout, input_hw))
    return Embed(folder / "model.onnx", threads=1)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """Return the default network with its default layers."""
    loaded = load_backbone(DEFAULT, INPUT_HW)
    return replace(loaded, network=Once(loaded.network))


@pytest.fixture(scope="module")
def odd_backbone() -> Backbone:
    """Return it for an input whose maps are no multiple of a stride, and no halves of each other."""
    loaded = load_backbone(DEFAULT, ODD_HW)
    return replace(loaded, network=Once(loaded.network))


@pytest.fixture(scope="module")
def data(backbone) -> bytes:
    """Return the exported graph: means of 3 x 3 at every position."""
    return export_graph(backbone, MEAN, Reference(backbone, MEAN).layout(INPUT_HW), INPUT_HW)


@pytest.fixture(scope="module")
def embed(data, tmp_path_factory: pytest.TempPathFactory) -> Embed:
    """Return it in ONNX Runtime."""
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    path.write_bytes(data)
    return Embed(path, threads=1)


@pytest.mark.parametrize(
    "aggregation",
    [
        pytest.param(MEAN, id="mean"),
        pytest.param(Aggregation(patch_size=1), id="mean 1"),
        pytest.param(Aggregation(patch_size=5, stride=2), id="mean 5 stride 2"),
        pytest.param(Aggregation(kind="adaptive", layer_dim=200, target_dim=150), id="adaptive"),
        pytest.param(Aggregation(kind="adaptive", layer_dim=90, target_dim=300, stride=3), id="adaptive stride 3"),
    ],
)
@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_the_reference_follows_the_definition(backbone, aggregation: Aggregation, name: str):
    """What the gate holds the graph against is normalised, aggregated, resized and joined as the method says."""
    tensor = photograph(name)
    found = Reference(backbone, aggregation)(tensor)
    assert found.dtype == np.float32
    assert largest_difference(found, by_hand(backbone, tensor, aggregation)) <= REFERENCE_RELATIVE


@pytest.mark.parametrize(("stride", "grid_hw"), [(1, (25, 33)), (2, (13, 17)), (3, (9, 11))])
def test_grid_and_dimension_are_those_of_the_features(odd_backbone, stride: int, grid_hw: tuple[int, int]):
    """Map, grid, channels and dimension are known before anything is computed on a picture."""
    mean = Reference(odd_backbone, Aggregation(stride=stride))
    assert mean.layout(ODD_HW) == Layout(ODD_MAPS_HW, grid_hw, sum(CHANNELS), CHANNELS)
    assert mean(photograph("coffee", ODD_HW)).shape == (grid_hw[0] * grid_hw[1], sum(CHANNELS))
    adaptive = Reference(odd_backbone, Aggregation(kind="adaptive", stride=stride, layer_dim=70, target_dim=50))
    assert adaptive.layout(ODD_HW) == Layout(ODD_MAPS_HW, grid_hw, 50, CHANNELS)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_onnx_runtime_computes_what_torch_computes(backbone, embed: Embed, name: str):
    """On real photographs the exported graph gives torch's features, to the promised precision."""
    tensor = photograph(name)
    found = embed(tensor)
    assert found.dtype == np.float32
    assert largest_difference(found, Reference(backbone, MEAN)(tensor)) <= RUNTIME_RELATIVE


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dims", [None, (150, 101)], ids=["mean", "adaptive"])
def test_the_graph_keeps_every_so_manieth_patch(odd_backbone, dims, stride: int, tmp_path: Path):
    """With a stride, also one that does not divide the map, the graph gives the features of the kept positions."""
    kind = dict(zip(("kind", "layer_dim", "target_dim"), ("adaptive", *dims), strict=True)) if dims else {}
    aggregation = Aggregation(stride=stride, **kind)
    tensor = photograph("chelsea", ODD_HW)
    found = exported(odd_backbone, aggregation, ODD_HW, tmp_path)(tensor)
    assert largest_difference(found, by_hand(odd_backbone, tensor, aggregation)) <= RUNTIME_RELATIVE


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param(("blocks.2",), id="one"),
        pytest.param(("blocks.1", "blocks.2"), id="two of equal size"),
        pytest.param(("blocks.0", "blocks.2", "blocks.3"), id="three"),
        pytest.param(("blocks.0", "blocks.1", "blocks.3", "blocks.5"), id="four"),
    ],
)
def test_any_layers_can_be_joined(layers: tuple[str, ...], tmp_path: Path):
    """One layer or many, of equal or of different sizes: the graph gives the features of just these."""
    backbone = load_backbone(DEFAULT, INPUT_HW, layers=layers)
    assert backbone.layers == layers
    backbone = replace(backbone, network=Once(backbone.network))
    tensor = photograph("rocket")
    for aggregation in (MEAN, Aggregation(kind="adaptive", layer_dim=64, target_dim=100, stride=2)):
        found = exported(backbone, aggregation, INPUT_HW, tmp_path)(tensor)
        assert largest_difference(found, by_hand(backbone, tensor, aggregation)) <= RUNTIME_RELATIVE


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("patch_size", [1, 3, 5])
@pytest.mark.parametrize(
    ("channels", "layer_dim", "target_dim"),
    [
        pytest.param((512, 1024), 1024, 1024, id="WideResNet50"),
        pytest.param((128, 256), 1024, 1024, id="ResNet18"),
        pytest.param(CHANNELS, 1024, 1024, id="lite0"),
        pytest.param((12, 20, 28), 100, 64, id="three into 64"),
        pytest.param((6, 7, 8), 40, 200, id="three into more than there are"),
    ],
)
def test_adaptive_through_onnx_runtime(
    channels: tuple[int, ...], layer_dim: int, target_dim: int, patch_size: int, stride: int, tmp_path: Path
):
    """The paper's aggregation, as convolutions in the graph, gives the paper's features for any channels."""
    backbone = made(Made(channels), len(channels))
    aggregation = Aggregation(
        kind="adaptive", patch_size=patch_size, stride=stride, layer_dim=layer_dim, target_dim=target_dim
    )
    tensor = photograph("coffee", MADE_HW)
    found = exported(backbone, aggregation, MADE_HW, tmp_path)(tensor)
    assert largest_difference(found, by_hand(backbone, tensor, aggregation)) <= RUNTIME_RELATIVE


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
def test_networks_of_older_and_newer_opsets_are_taken(opset: int, tmp_path: Path):
    """A network written for another opset than the export's own gives the same features."""
    backbone = made(Made((8, 16), opset=opset), 2)
    tensor = photograph("coffee", MADE_HW)
    aggregation = Aggregation(stride=2)
    found = exported(backbone, aggregation, MADE_HW, tmp_path)(tensor)
    assert largest_difference(found, by_hand(backbone, tensor, aggregation)) <= RUNTIME_RELATIVE


@pytest.mark.parametrize("names", [{"picture": "frame"}, {"last": "features"}, {"last": "frame"}])
def test_a_network_may_use_the_names_of_the_graph(names: dict[str, str], tmp_path: Path):
    """A network whose own tensors are called `frame` or `features` is exported like any other."""
    backbone = made(Made((8, 16), **names), 2)
    tensor = photograph("coffee", MADE_HW)
    found = exported(backbone, MEAN, MADE_HW, tmp_path)(tensor)
    assert largest_difference(found, by_hand(backbone, tensor, MEAN)) <= RUNTIME_RELATIVE


@pytest.mark.parametrize("name", ["efficientnet-lite1", "efficientnet-lite2"])
def test_the_larger_packaged_networks_are_served_alike(name: str, tmp_path: Path):
    """The other networks with packaged weights load, and the graph gives the features of their default layers."""
    backbone = load_backbone(name, INPUT_HW)
    assert backbone.name == name
    assert len(backbone.layers) == len(CHANNELS)
    tensor = photograph("astronaut")
    aggregation = Aggregation(stride=2)
    found = exported(backbone, aggregation, INPUT_HW, tmp_path)(tensor)
    assert largest_difference(found, by_hand(backbone, tensor, aggregation)) <= RUNTIME_RELATIVE


@pytest.mark.parametrize(
    "given", [("blocks.8", "blocks.2", "blocks.4"), ("blocks.4", "blocks.2", "blocks.4", "blocks.8", "blocks.2")]
)
def test_layers_come_finest_first_and_once(backbone, given: tuple[str, ...]):
    """In whatever order and however often layers are named, each is used once, the finest first."""
    found = load_backbone(DEFAULT, INPUT_HW, layers=given)
    assert found.layers == ("blocks.2", "blocks.4", "blocks.8")
    tensor = photograph("coffee")
    assert (Reference(found, MEAN)(tensor) == Reference(backbone, MEAN)(tensor)).all()


@pytest.mark.parametrize("layer", ["blocks.99", "blocks", "layer2", "2", ""])
def test_a_layer_that_is_not_there_is_told_with_those_that_are(layer: str):
    """A layer that the network does not have is an error of one line that names it and lists all that there are."""
    with pytest.raises(UsageError) as caught:
        load_backbone(DEFAULT, INPUT_HW, layers=("blocks.2", layer))
    assert f"no layer {layer}".strip() in str(caught.value)
    assert ", ".join(f"blocks.{number}" for number in range(16)) in str(caught.value)


def test_the_graph_tells_its_shapes(embed: Embed):
    """Input and output have fixed shapes that a device can compare with the manifest before the first frame."""
    assert embed.input_shape == (1, *INPUT_HW, 3)
    assert embed.output_shape == (MAP_HW[0] * MAP_HW[1], sum(CHANNELS))


def test_the_graph_takes_bgr(backbone, embed: Embed):
    """A BGR frame gives the features of its RGB colours; with red and blue exchanged they are others."""
    tensor = photograph("coffee")
    right = by_hand(backbone, tensor, MEAN)
    assert largest_difference(embed(tensor), right) <= RUNTIME_RELATIVE
    assert largest_difference(embed(np.ascontiguousarray(tensor[..., ::-1])), right) > CHANGED_RELATIVE


@pytest.mark.parametrize("level", [0, 255])
def test_frames_of_one_level_give_finite_features(backbone, embed: Embed, level: int):
    """The darkest and the brightest frame have features, and the same in both programs."""
    tensor = np.full((1, *INPUT_HW, 3), level, dtype=np.uint8)
    found = embed(tensor)
    assert np.isfinite(found).all()
    assert largest_difference(found, Reference(backbone, MEAN)(tensor)) <= RUNTIME_RELATIVE


def test_exporting_again_gives_the_same_bytes(data: bytes):
    """The same network exported again, loaded afresh, is the same file."""
    again = load_backbone(DEFAULT, INPUT_HW)
    assert export_graph(again, MEAN, Reference(again, MEAN).layout(INPUT_HW), INPUT_HW) == data


def test_exporting_adaptive_again_gives_the_same_bytes(backbone):
    """The same holds where the graph has convolutions of its own."""
    aggregation = Aggregation(kind="adaptive", layer_dim=100, target_dim=80, stride=2)
    layout = Reference(backbone, aggregation).layout(INPUT_HW)
    assert export_graph(backbone, aggregation, layout, INPUT_HW) == export_graph(
        backbone, aggregation, layout, INPUT_HW
    )


def test_the_file_says_nothing_about_this_machine(data: bytes):
    """No path, no trace of the call stack and no name of a source file stands in the graph."""
    words = [b".py", b"Traceback", b"stack_trace", b"site-packages", b"/home/", b"/tmp/", b"/usr/", b"/work/"]
    assert [word for word in (*words, str(Path.cwd()).encode()) if word in data] == []


def test_the_graph_has_the_opset_that_old_devices_take(data: bytes):
    """The graph uses the plain ONNX operators of opset 18, and none of its own; the weights are inside."""
    proto = onnx.load_from_string(data)
    assert {(entry.domain, entry.version) for entry in proto.opset_import} == {("", 18)}
    assert not proto.functions
    assert not any(constant.external_data for constant in proto.graph.initializer)
