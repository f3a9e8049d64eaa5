"""Fold the normalisation of a frame into the first convolution: the same numbers in fewer passes over the picture.

(x - mean) / std in another order of colours, then a convolution, is x - mean, then a convolution whose weights are
divided by std and lie in that order. The mean stays: zeros that a convolution pads with are zeros after it is
subtracted. A mean of whole levels, the same for each colour, is a zero point: one operator subtracts it and converts.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.network.graph import FRAME, HEAD

_OPERATORS = ["Transpose", "Gather", "Cast", "Sub", "Div"]
_MAX_LEVEL = 255


def fold_normalisation(model: onnx.ModelProto) -> bool:
    """Fold it in place; return False, and change nothing, where more than one dense convolution takes the picture.

    Args:
        model: a graph of `export_graph`, whose first convolution is in float32.
    """
    graph = model.graph
    head = [node for node in graph.node if node.input[0] == FRAME or node.input[0].startswith(HEAD)]
    constants = {tensor.name: tensor for tensor in graph.initializer}
    takers = [node for node in graph.node if head[-1].output[0] in node.input]
    if [node.op_type for node in head] != _OPERATORS or len(takers) != 1 or not _dense(takers[0], constants):
        return False
    order, mean, std = (numpy_helper.to_array(constants[head[place].input[1]]).ravel() for place in (1, 3, 4))
    first, (planes, _, numbers, centred, _) = takers[0], head
    weights = constants[first.input[1]]
    folded = (numpy_helper.to_array(weights) / std.reshape(1, -1, 1, 1))[:, np.argsort(order)]
    weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(folded), weights.name))
    for node in head[1:]:
        graph.node.remove(node)
    subtract = _subtract(graph, planes.output[0], mean[np.argsort(order)], numbers, centred)
    place = list(graph.node).index(planes) + 1
    for node in reversed(subtract):
        graph.node.insert(place, node)
    first.input[0] = subtract[-1].output[0]
    unused = {head[place].input[1] for place in (1, 3, 4)} - {name for node in graph.node for name in node.input}
    for name in unused:
        graph.initializer.remove(constants[name])
    return True


def _dense(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return node.op_type == "Conv" and groups == 1 and node.input[1] in constants


def _subtract(
    graph: onnx.GraphProto,
    planes: str,
    mean: NDArray[np.float32],
    numbers: onnx.NodeProto,
    centred: onnx.NodeProto,
) -> list[onnx.NodeProto]:
    """Return the operators from planes uint8 [1, 3, H, W] to float32 without the mean, in their order."""
    level = mean[0]
    if (mean == level).all() and level.is_integer() and 0 <= level <= _MAX_LEVEL:
        scale, zero = f"{HEAD}scale", f"{HEAD}zero_point"
        graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), scale))
        graph.initializer.append(numpy_helper.from_array(np.array(level, np.uint8), zero))
        return [helper.make_node("DequantizeLinear", [planes, scale, zero], [centred.output[0]])]
    name = f"{HEAD}mean"
    graph.initializer.append(numpy_helper.from_array(mean.reshape(1, -1, 1, 1), name))
    return [
        helper.make_node("Cast", [planes], [numbers.output[0]], to=onnx.TensorProto.FLOAT),
        helper.make_node("Sub", [numbers.output[0], name], [centred.output[0]]),
    ]
