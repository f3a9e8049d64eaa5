"""int8: the same graph to the outside, most convolutions in 8 bits inside."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.network.aggregate import Aggregation
from export.network.backbone import Backbone
from export.network.graph import Reference, export_graph
from export.network.int8.quantise import FLOAT_CONVOLUTIONS, Quantiser
from export.network.load_backbone import load_backbone
from runtime.learning.gate.differences import relative
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from tests.support.preprocessing import resized
from tests.support.small import CHANNELS, LAYERS, colour_picture, small_network

SIZE = 64
SPEC = resized((SIZE, SIZE))

MIN_CHANGED, MAX_CHANGED = 1e-4, 0.1
"""Of a patch's length: 8 bits round to some parts in a thousand, where float32 rounds to parts in a million."""

MEAN = Aggregation()
ADAPTIVE = Aggregation(kind="adaptive", layer_dim=16, target_dim=24)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """Return four convolutions."""
    path = tmp_path_factory.mktemp("network") / "small.onnx"
    onnx.save(small_network(), path)
    return load_backbone(str(path), (SIZE, SIZE), layers=LAYERS)


def tensors(count: int = 4) -> list[np.ndarray]:
    return [Preprocess(SPEC)(colour_picture(number)) for number in range(count)]


def float_graph(backbone: Backbone, aggregation: Aggregation) -> bytes:
    layout = Reference(backbone, aggregation).layout((SIZE, SIZE))
    return export_graph(backbone, aggregation, layout, (SIZE, SIZE))


def embed(graph: bytes, folder: Path) -> Embed:
    (folder / "model.onnx").write_bytes(graph)
    return Embed(folder / "model.onnx", 1)


def quantise(graph: bytes, pictures: Iterable[np.ndarray]) -> bytes:
    return Quantiser(graph, pictures)()


def shapes(graph: bytes) -> list[tuple[str, int, list[int]]]:
    """Return name, type and shape of inputs and outputs."""
    model = onnx.load_model_from_string(graph).graph
    values = [*model.input, *model.output]
    return [
        (value.name, value.type.tensor_type.elem_type, [axis.dim_value for axis in value.type.tensor_type.shape.dim])
        for value in values
    ]


def weights(graph: bytes) -> list[tuple[str, onnx.NodeProto | onnx.TensorProto]]:
    """Return for each convolution the name of its output and the source of its weights, in the order of computation."""
    model = onnx.load_model_from_string(graph).graph
    sources = {tensor.name: tensor for tensor in model.initializer} | {node.output[0]: node for node in model.node}
    return [(node.output[0], sources[node.input[1]]) for node in model.node if node.op_type == "Conv"]


@pytest.mark.parametrize("aggregation", [MEAN, ADAPTIVE], ids=["mean", "adaptive"])
def test_outside_is_the_same(backbone: Backbone, aggregation: Aggregation) -> None:
    """Input and output keep their names, types and shapes: a device need not know."""
    graph = float_graph(backbone, aggregation)
    assert shapes(quantise(graph, tensors())) == shapes(graph)


def test_same_pictures_give_the_same_bytes(backbone: Backbone) -> None:
    """The same graph and pictures give the same file; other pictures give other ranges."""
    graph = float_graph(backbone, MEAN)
    assert quantise(graph, tensors()) == quantise(graph, iter(tensors()))
    assert quantise(graph, tensors()) != quantise(graph, [tensor // 2 for tensor in tensors()])


@pytest.mark.parametrize("aggregation", [MEAN, ADAPTIVE], ids=["mean", "adaptive"])
def test_features_are_near_and_not_the_same(backbone: Backbone, aggregation: Aggregation, tmp_path: Path) -> None:
    """Features of a picture that gave no ranges differ by the rounding of 8 bits, no more and no less."""
    graph = float_graph(backbone, aggregation)
    tensor = tensors(5)[4]
    wanted = embed(graph, tmp_path)(tensor)
    apart = relative(embed(quantise(graph, tensors()), tmp_path)(tensor), wanted)
    assert apart.mean() > MIN_CHANGED
    assert apart.max() < MAX_CHANGED


def test_convolutions_are_in_8_bits_by_channel(backbone: Backbone) -> None:
    """All but the first convolutions take int8 weights with a scale for each channel, and inputs of 8 bits."""
    graph = quantise(float_graph(backbone, MEAN), tensors())
    model = onnx.load_model_from_string(graph).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.initializer}
    sources = [source for _, source in weights(graph)]
    assert len(sources) == len(CHANNELS)
    assert all(isinstance(source, onnx.TensorProto) for source in sources[:FLOAT_CONVOLUTIONS])
    assert all(source.data_type == onnx.TensorProto.FLOAT for source in sources[:FLOAT_CONVOLUTIONS])
    for source, channels in zip(sources[FLOAT_CONVOLUTIONS:], CHANNELS[FLOAT_CONVOLUTIONS:], strict=True):
        assert source.op_type == "DequantizeLinear"
        assert constants[source.input[0]].dtype == np.int8
        assert constants[source.input[1]].shape == (channels,)
    quantised = [node for node in model.node if node.op_type == "QuantizeLinear"]
    assert quantised
    assert {constants[node.input[2]].dtype for node in quantised} == {np.dtype(np.uint8)}


def test_aggregation_stays_float32(backbone: Backbone) -> None:
    """The convolutions that aggregate patches are no part of the network: they stay as they are."""
    graph = quantise(float_graph(backbone, ADAPTIVE), tensors())
    own = [source for output, source in weights(graph) if output.startswith("patchedge/")]
    assert len(own) == len(LAYERS)
    assert all(isinstance(source, onnx.TensorProto) for source in own)
