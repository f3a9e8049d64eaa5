"""Let the first convolution read a frame as it lies in memory: the same numbers in fewer passes over the picture.

(x - mean) / std in another order of colours, then a convolution, is x - mean, then a convolution whose weights are
divided by std and lie in that order. And a frame [H, W, 3] is a picture of one channel, [H, 3 W], over which a kernel
three times as wide moves three times as far: its planes need not be taken apart. The mean stays: zeros that a
convolution pads with are zeros after it is subtracted. A mean of whole levels, the same for each colour, is a zero
point: one operator subtracts it and converts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

HEAD = "patchedge/head/"
"""Prefix of the names of tensors between the frame and the network."""

_OPERATORS = ["Transpose", "Gather", "Cast", "Sub", "Div"]
_COLOURS = 3
_MAX_LEVEL = 255


def fold_head(model: onnx.ModelProto) -> bool:
    """Fold the head into the first convolution, in place; return False, and change nothing, where that cannot be.

    Args:
        model: with one input and the head of `export_graph`. What takes the picture is one dense convolution, in
            float32.
    """
    graph, frame = model.graph, model.graph.input[0].name
    head = [node for node in graph.node if node.input[0] == frame or node.input[0].startswith(HEAD)]
    constants = {tensor.name: tensor for tensor in graph.initializer}
    takers = [node for node in graph.node if head[-1].output[0] in node.input]
    if [node.op_type for node in head] != _OPERATORS or len(takers) != 1 or not _plain(takers[0], constants):
        return False
    first = takers[0]
    if sum(first.input[1] in node.input for node in graph.node) > 1:  # its weights are another's too
        return False
    order, mean, std = (numpy_helper.to_array(constants[head[place].input[1]]).ravel() for place in (1, 3, 4))
    in_frame = np.argsort(order)  # from the network's colours to those of a frame
    weights = numpy_helper.to_array(constants[first.input[1]])
    _read_rows(first, constants[first.input[1]], (weights / std.reshape(1, -1, 1, 1))[:, in_frame])
    for node in head:
        graph.node.remove(node)
    for name in {head[place].input[1] for place in (1, 3, 4)}:
        graph.initializer.remove(constants[name])
    height, width = (axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim[1:3])
    lean, added = _lean(frame, height, width, mean[in_frame])
    graph.initializer.extend(added)
    for place, node in enumerate(lean):
        graph.node.insert(place, node)
    first.input[0] = lean[-1].output[0]
    return True


def _plain(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Return whether it is a convolution over all colours, with constant weights of its own, pads, and no gaps."""
    if node.op_type != "Conv" or node.input[1] not in constants:
        return False
    attributes = _attributes(node)
    dense = constants[node.input[1]].dims[1] == _COLOURS and attributes.get("dilations", [1, 1]) == [1, 1]
    return bool(dense and attributes.get("auto_pad", b"NOTSET") == b"NOTSET")


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _read_rows(node: onnx.NodeProto, tensor: onnx.TensorProto, weights: NDArray[np.float32]) -> None:
    """Have a convolution read rows of pixels in place of planes; its weights [outputs, 3, h, w] become those given."""
    outputs, _, height, width = weights.shape
    rows = np.ascontiguousarray(weights.transpose(0, 2, 3, 1)).reshape(outputs, 1, height, width * _COLOURS)
    tensor.CopyFrom(numpy_helper.from_array(rows, tensor.name))
    before = _attributes(node)
    down, right = before.get("strides", [1, 1])
    top, left, bottom, end = before.get("pads", [0] * 4)
    after = {
        "kernel_shape": [height, width * _COLOURS],
        "strides": [down, right * _COLOURS],
        "pads": [top, left * _COLOURS, bottom, end * _COLOURS],
    }
    others = [attribute for attribute in node.attribute if attribute.name not in after]
    del node.attribute[:]
    node.attribute.extend([*others, *(helper.make_attribute(name, values) for name, values in after.items())])


def _lean(
    frame: str, height: int, width: int, mean: NDArray[np.float32]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return operators from a frame uint8 [N, H, W, 3] to float32 [N, 1, H, 3 W] without the mean, and constants."""
    shape, scale, zero, means = (f"{HEAD}{name}" for name in ("shape", "scale", "zero_point", "mean"))
    rows, numbers, centred = (f"{HEAD}{name}" for name in ("rows", "numbers", "centred"))
    as_rows = helper.make_node("Reshape", [frame, shape], [rows])
    constants = [numpy_helper.from_array(np.array([0, 1, height, width * _COLOURS], np.int64), shape)]
    level = float(mean[0])
    if (mean == level).all() and level.is_integer() and 0 <= level <= _MAX_LEVEL:
        constants.append(numpy_helper.from_array(np.array(1, np.float32), scale))
        constants.append(numpy_helper.from_array(np.array(level, np.uint8), zero))
        return [as_rows, helper.make_node("DequantizeLinear", [rows, scale, zero], [centred])], constants
    constants.append(numpy_helper.from_array(np.tile(mean, width).astype(np.float32), means))
    cast = helper.make_node("Cast", [rows], [numbers], to=onnx.TensorProto.FLOAT)
    return [as_rows, cast, helper.make_node("Sub", [numbers, means], [centred])], constants
