"""The bare network that `bench` holds a frame against: the graph of a bundle without its aggregation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from onnx.utils import Extractor

from edge_config.bundle.files import MODEL as MODEL_FILE
from edge_config.bundle.files import NETWORK
from export.network.aggregate import Aggregation
from export.network.backbone import Backbone
from export.network.graph import Reference, bare_network, export_graph
from export.network.int8.quantise import Quantiser
from export.network.load_backbone import load_backbone
from runtime.scoring.preprocess import Preprocess
from tests.support.preprocessing import resized
from tests.support.small import LAYERS, colour_picture, small_network

SIZE = 64
TAIL = "patchedge/tail/"
SPEC = resized((SIZE, SIZE))

SAME_MAP = 1e-6
"""Of a map's largest number, against the network's own program: the mean and std are divided out in another order."""

AGGREGATIONS = {
    "mean": Aggregation(),
    "stride": Aggregation(stride=2, patch_size=5),
    "adaptive": Aggregation(kind="adaptive", layer_dim=16, target_dim=24),
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """Return four convolutions."""
    path = tmp_path_factory.mktemp("network") / "small.onnx"
    onnx.save(small_network(), path)
    return load_backbone(str(path), (SIZE, SIZE), layers=LAYERS)


def tensor(number: int) -> np.ndarray:
    return Preprocess(SPEC)(colour_picture(number))


@pytest.fixture(params=[(name, precision) for name in AGGREGATIONS for precision in ("float32", "int8")], ids="-".join)
def model(request: pytest.FixtureRequest, backbone: Backbone, tmp_path: Path) -> Path:
    """Write model.onnx of a bundle, with each aggregation and in both precisions."""
    name, precision = request.param
    aggregation = AGGREGATIONS[name]
    layout = Reference(backbone, aggregation).layout((SIZE, SIZE))
    graph = export_graph(backbone, aggregation, layout, (SIZE, SIZE))
    if precision == "int8":
        graph = Quantiser(graph, [tensor(number) for number in range(3)])()
    path = tmp_path / MODEL_FILE
    path.write_bytes(graph)
    return path


def cut(model: Path) -> Path:
    """Write network.onnx beside model.onnx."""
    path = model.with_name(NETWORK)
    path.write_bytes(bare_network(model.read_bytes()))
    return path


def run(graph: Path | bytes, frame: np.ndarray) -> dict[str, np.ndarray]:
    """Run a graph operator by operator, and return its outputs by name."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: frame}), strict=True))


def test_outputs_are_the_maps_of_the_network(model: Path) -> None:
    """The cut gives the same maps, bit for bit, as a cut of the same graph that the `onnx` package makes."""
    whole = onnx.load(model)
    tail = [node for node in whole.graph.node if "features" in node.output or node.output[0].startswith(TAIL)]
    maps = {name for node in tail for name in node.input if name.startswith("network/")}
    assert len(maps) == len(LAYERS)
    whole = onnx.shape_inference.infer_shapes(whole)
    wanted = run(Extractor(whole).extract_model(["frame"], sorted(maps)).SerializeToString(), tensor(7))
    found = run(cut(model), tensor(7))
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name].shape == values.shape
        assert found[name].tobytes() == values.tobytes()


def test_maps_are_those_of_the_networks_own_program(backbone: Backbone, tmp_path: Path) -> None:
    """The outputs are the layers that were chosen, as the network computes them outside of patchedge."""
    aggregation = AGGREGATIONS["mean"]
    reference = Reference(backbone, aggregation)
    path = tmp_path / MODEL_FILE
    path.write_bytes(export_graph(backbone, aggregation, reference.layout((SIZE, SIZE)), (SIZE, SIZE)))
    found = {values.shape: values for values in run(cut(path), tensor(8)).values()}
    layers = reference.maps(tensor(8))
    assert found.keys() == {layer.shape for layer in layers}
    for layer in layers:
        assert np.abs(found[layer.shape] - layer).max() <= SAME_MAP * np.abs(layer).max()


def test_nothing_of_the_aggregation_is_left(model: Path) -> None:
    """No operator and no constant of the aggregation remains, and nothing of the network is gone."""
    before, after = onnx.load(model).graph, onnx.load(cut(model))  # with its weights, from model.onnx
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(after), full_check=True)
    own = {node.output[0] for node in before.node if node.output[0].startswith(TAIL)}
    assert own
    left = after.graph
    names = [name for node in left.node for name in (*node.input, *node.output)]
    names += [tensor.name for tensor in left.initializer] + [output.name for output in left.output]
    assert not [name for name in names if name.startswith(TAIL) or name == "features"]
    assert list(left.node) == [node for node in before.node if node.output[0] not in {*own, "features"}]
    kept = {one.name: numpy_helper.to_array(one) for one in before.initializer if not one.name.startswith(TAIL)}
    found = {one.name: numpy_helper.to_array(one) for one in left.initializer}
    assert found.keys() == kept.keys()
    assert all(found[name].tobytes() == array.tobytes() for name, array in kept.items())
    assert list(left.input) == list(before.input)


def test_weights_are_not_stored_twice(model: Path) -> None:
    """A constant of a kilobyte or more lies in model.onnx only; versions and operator sets are those of that file."""
    whole, bare = onnx.load(model), onnx.load(cut(model), load_external_data=False)
    assert all(len(one.raw_data) < 1024 for one in bare.graph.initializer)
    assert any(one.external_data for one in bare.graph.initializer)
    assert list(bare.opset_import) == list(whole.opset_import)
    assert (bare.ir_version, bare.producer_name) == (whole.ir_version, whole.producer_name)
    assert bare_network(model.read_bytes()) == bare_network(model.read_bytes())
