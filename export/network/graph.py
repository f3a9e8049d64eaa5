"""The ONNX graph: uint8 frame in, locally aware patch features out (PatchCore section 3.1).

Written around the network's own graph with plain ONNX operators, whatever program the network comes from. The
reference that the parity gate holds it against (`Reference`) shares no code with it: the network's own program, then
f_agg by its definition in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from edge_config.bundle.files import MODEL
from export.network.aggregate import (
    Aggregation,
    adaptive_kernels,
    averaging_matrix,
    by_definition,
    resizing_matrix,
)
from export.network.backbone import Backbone
from export.network.lean_head import HEAD, fold_head

LEAST_OPSET = 13
"""Operators below are written for it and mean the same in all later ones; older graphs are converted."""

FRAME, FEATURES = "frame", "features"
TILES = "tiles"
"""Name of the first axis of a graph that takes several tiles at once, or pictures of several cameras."""

OWN = "patchedge/"
"""Prefix of the names of tensors outside the network."""

_TAIL = f"{OWN}tail/"  # the aggregation

_SMALL_BYTES = 1024  # below it, a constant takes no more room than to name its place

_NETWORK = "network/"  # and before those inside it, so that none of them is called like another, or like FRAME


@dataclass(frozen=True, slots=True)
class Layout:
    """Shapes of a graph's outputs.

    Attributes:
        maps_hw: height and width of each layer's map.
        grid_hw: rows and columns of patches, after the stride.
        dimension: D.
        channels: of each layer.
    """

    maps_hw: tuple[tuple[int, int], ...]
    grid_hw: tuple[int, int]
    dimension: int
    channels: tuple[int, ...]

    @property
    def map_hw(self) -> tuple[int, int]:
        """Height and width of the first layer's map, in which patches lie."""
        return self.maps_hw[0]


@dataclass(frozen=True, slots=True)
class Reference:
    """Patch features computed without the graph: slow, independent, and right by definition."""

    backbone: Backbone
    aggregation: Aggregation

    def __call__(self, tensor: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return patch features float32 [h*w, D] of an input uint8 [1, H, W, 3] BGR."""
        return by_definition(self.maps(tensor), self.aggregation).astype(np.float32)

    def maps(self, tensor: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return the maps of the layers for the same input."""
        rgb = tensor[..., ::-1].astype(np.float32)
        normalised = (rgb - np.array(self.backbone.mean, np.float32)) / np.array(self.backbone.std, np.float32)
        return self.backbone.network.maps(np.ascontiguousarray(normalised.transpose(0, 3, 1, 2)))

    def layout(self, input_hw: tuple[int, int]) -> Layout:
        """Look at the maps of an input of height and width `input_hw`."""
        maps = self.maps(np.zeros((1, *input_hw, 3), dtype=np.uint8))
        channels = tuple(layer.shape[1] for layer in maps)
        rows, columns = maps[0].shape[2:]
        stride = self.aggregation.stride
        return Layout(
            maps_hw=tuple((layer.shape[2], layer.shape[3]) for layer in maps),
            grid_hw=(-(-rows // stride), -(-columns // stride)),
            dimension=self.aggregation.dimension(channels),
            channels=channels,
        )


class _Nodes:
    """Nodes in the order of computation, and the constants that they take."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add an operator and give the name of its output."""
        output = f"{self._place}{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """Add a constant and give its name."""
        name = f"{self._place}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant int64 vector."""
        return self.constant(np.array(values, dtype=np.int64))


def export_graph(
    backbone: Backbone, aggregation: Aggregation, layout: Layout, input_hw: tuple[int, int], *, tiles: bool = False
) -> bytes:
    """Write model.onnx: the same bytes for the same network and settings.

    Args:
        backbone: the network.
        aggregation: f_agg.
        layout: shapes of its outputs.
        input_hw: height and width of its input.
        tiles: take any number N of pictures, or tiles, at once.

    Returns:
        A graph `frame` uint8 [1, H, W, 3] BGR -> `features` float32 [h*w, D], without the paths and traces of this
        machine; with `tiles` [N, H, W, 3] -> [N*h*w, D].
    """
    model = compose.add_prefix(recent(backbone.network.to_onnx()), _NETWORK)
    graph = model.graph
    head, tail = _Nodes(HEAD), _Nodes(_TAIL)
    _normalise(head, backbone, graph.input[0].name)
    maps = [output.name for output in graph.output]
    _aggregate(tail, maps, aggregation, layout)
    nodes = [*head.nodes, *graph.node, *tail.nodes]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*head.constants, *tail.constants])
    count, patches = (TILES, None) if tiles else (1, layout.grid_hw[0] * layout.grid_hw[1])
    graph.input.append(helper.make_tensor_value_info(FRAME, TensorProto.UINT8, [count, *input_hw, 3]))
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [patches, layout.dimension]))
    fold_head(model)
    return finish(model)


def bare_network(model: bytes) -> bytes:
    """Return network.onnx for a model.onnx: the same graph without the aggregation; its outputs are the network's maps.

    Weights are not in it: it names their places in model.onnx, which must lie beside it.
    """
    cut = onnx.load_model_from_string(model)
    graph = cut.graph
    tail: list[onnx.NodeProto] = []
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        (tail if node.output[0] == FEATURES or node.output[0].startswith(_TAIL) else kept).append(node)
    needed = {name for node in kept for name in node.input}
    maps = sorted({name for node in kept for name in node.output} & {name for node in tail for name in node.input})
    constants = [_elsewhere(tensor, model) for tensor in graph.initializer if tensor.name in needed]
    graph.CopyFrom(
        helper.make_graph(kept, graph.name, graph.input, [onnx.ValueInfoProto(name=name) for name in maps], constants)
    )
    data: bytes = cut.SerializeToString(deterministic=True)
    return data


def _elsewhere(tensor: TensorProto, model: bytes) -> TensorProto:
    """Return a constant of model.onnx that names its place in the bytes of that file; a small one as it is."""
    if len(tensor.raw_data) < _SMALL_BYTES:
        return tensor
    place = {"location": MODEL, "offset": model.index(tensor.raw_data), "length": len(tensor.raw_data)}
    moved = TensorProto(
        name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, data_location=TensorProto.EXTERNAL
    )
    for key, value in place.items():
        moved.external_data.add(key=key, value=str(value))
    return moved


def finish(model: onnx.ModelProto) -> bytes:
    """Check a graph, take out what tells of this machine, and serialise it the same way every time."""
    model.producer_name, model.producer_version, model.doc_string = "patchedge", "", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    for item in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def recent(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph in an opset that all later ones understand."""
    version = next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
    return model if version >= LEAST_OPSET else version_converter.convert_version(model, LEAST_OPSET)


def _normalise(head: _Nodes, backbone: Backbone, picture: str) -> None:
    """From a frame uint8 BGR to what the network takes: float32 RGB, (x - mean) / std, channels first."""
    planes = head.add("Transpose", [FRAME], perm=[0, 3, 1, 2])
    rgb = head.add("Gather", [planes, head.integers(2, 1, 0)], axis=1)  # of whole planes: a Slice backwards is slow
    numbers = head.add("Cast", [rgb], to=TensorProto.FLOAT)
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
    centred = head.add("Sub", [numbers, head.constant(mean)])
    head.add("Div", [centred, head.constant(std)])
    head.nodes[-1].output[0] = picture


def _aggregate(tail: _Nodes, maps: Sequence[str], aggregation: Aggregation, layout: Layout) -> None:
    """From the maps to one row of features for each patch.

    Averages over channels and bilinear resizing commute, so each layer is aggregated where it is small. It is also
    where its channels go last: ONNX Runtime does that while it leaves its own order of channels, and nothing the size
    of all features has to be transposed.
    """
    kernels = adaptive_kernels(layout.channels, aggregation) if aggregation.kind == "adaptive" else None
    parts: list[str] = []
    firsts: list[int] = []  # the number of the first output of each part, and how many it has
    channels: list[int] = []
    for number, layer in enumerate(maps):
        have_hw = layout.maps_hw[number]
        resized = have_hw != layout.map_hw
        window = _window(aggregation.patch_size, 1 if resized else aggregation.stride)
        averaged = 1  # over how many places the resizing has to average
        if kernels:
            weight, groups = tail.constant(kernels[number].weight), kernels[number].groups
            local = tail.add("Conv", [layer, weight], group=groups, **window)
        elif resized:
            local, averaged = layer, aggregation.patch_size
        else:
            local = tail.add("AveragePool", [layer], count_include_pad=1, **window)
        firsts.append(kernels[number].first if kernels else sum(channels))
        channels.append(len(kernels[number].weight) if kernels else layout.channels[number])
        local = tail.add("Transpose", [local], perm=[0, 2, 3, 1])
        if resized:
            local = _to_grid(tail, local, (*have_hw, channels[-1]), averaged, aggregation.stride, layout)
        parts.append(tail.add("Reshape", [local, tail.integers(-1, channels[-1])]))
    _join(tail, parts, firsts, channels, layout.dimension)
    tail.nodes[-1].output[0] = FEATURES


def _window(patch_size: int, stride: int) -> dict[str, list[int]]:
    """Return the attributes of an operator that looks at patch_size x patch_size places, zeros outside."""
    return {"kernel_shape": [patch_size] * 2, "pads": [patch_size // 2] * 4, "strides": [stride] * 2}


def _to_grid(tail: _Nodes, layer: str, shape: tuple[int, int, int], window: int, stride: int, layout: Layout) -> str:
    """Average a deeper map [N, h, w, c] over a window, and bring it to the positions of the patches.

    Both are one matrix for the rows and one for the columns. Two products cost less than `Resize`, and positions that
    the stride leaves out are never computed.
    """
    height, width, channels = shape
    rows, columns = (
        (resizing_matrix(have, want)[::stride] @ averaging_matrix(have, window)).astype(np.float32)
        for have, want in zip((height, width), layout.map_hw, strict=True)
    )
    across = tail.add("MatMul", [tail.constant(columns), layer])
    flat = tail.add("Reshape", [across, tail.integers(0, height, len(columns) * channels)])
    return tail.add("MatMul", [tail.constant(rows), flat])


def _join(tail: _Nodes, parts: list[str], firsts: list[int], channels: list[int], dimension: int) -> None:
    """Put the parts side by side; where two layers share an output, their shares are added."""
    starts = [0, *np.cumsum(channels)[:-1].tolist()]
    if firsts == starts:
        tail.add("Concat", parts, axis=1)
        return
    padded = [
        tail.add("Pad", [part, tail.integers(0, first, 0, dimension - first - count)])
        for part, first, count in zip(parts, firsts, channels, strict=True)
    ]
    tail.add("Sum", padded)
