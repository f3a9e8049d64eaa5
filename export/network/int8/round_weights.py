"""Round the weights of convolutions to levels so that their outputs change least: GPTQ (Frantar et al., 2022).

Rounding each weight to the nearest level leaves errors that the inputs, all positive behind a ReLU, add up: a filter
for edges no longer ignores a bright surface. Here weights are rounded one after the other, and those that follow are
moved to make up for the error so far, as the second moments of the inputs over normal pictures say. That costs nothing
on the device.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.network.graph import FRAME
from export.network.int8.weight_ranges import LEVELS, largest_of

MAX_PAIR = 128
"""Sum of the levels of two neighbours of one sign: 255 * 128 < 2**15."""

MAX_INPUTS = 1024
"""Inputs of an output channel: the time grows with their cube. Beyond, weights go to the nearest level."""

DAMPING = 0.01
"""Of the mean second moment, added to each: GPTQ's. Inputs that hardly occurred have a say too."""

Moments = NDArray[np.float64]
"""Second moments of inputs over places of pictures: [1, K, K] of a pointwise convolution, [C, K, K] of a depthwise."""


def round_weights(
    model: onnx.ModelProto, convolutions: Iterable[onnx.NodeProto], tensors: Iterable[NDArray[np.uint8]]
) -> None:
    """Round the weights of pointwise and depthwise convolutions in place, within the ranges of `weight_ranges`.

    Args:
        model: in float32.
        convolutions: those of its nodes that are to be quantised.
        tensors: inputs of the graph for normal pictures, uint8 [N, H, W, 3].
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    fitting = [node for node in convolutions if _fits(node, constants)]
    weights = {node.input[1]: numpy_helper.to_array(constants[node.input[1]]) for node in fitting}
    moments = _moments(model, fitting, weights, tensors)
    for name, of_inputs in moments.items():
        constants[name].CopyFrom(numpy_helper.from_array(rounded(weights[name], of_inputs), name))


def rounded(weights: NDArray[np.float32], moments: Moments) -> NDArray[np.float32]:
    """Return weights that lie on levels; those of `largest_of`.

    Args:
        weights: [outputs, channels, 1, 1] of a pointwise convolution, [outputs, 1, height, width] of a depthwise one.
        moments: of its inputs.
    """
    step = largest_of(weights).astype(np.float64)[:, None] / LEVELS
    wanted = weights.reshape(len(weights), -1) / step
    levels = np.zeros_like(wanted)
    count = wanted.shape[1]
    mean = np.trace(moments, axis1=1, axis2=2)[:, None, None] / count
    damped = moments + (DAMPING * mean + np.finfo(np.float32).tiny) * np.eye(count)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    pairs = weights.shape[1] > 1
    for place in range(count):
        before = levels[:, place - 1] if pairs and place % 2 else np.zeros(len(levels))
        low = np.maximum(-LEVELS, -MAX_PAIR - np.minimum(before, 0))
        high = np.minimum(LEVELS, MAX_PAIR - np.maximum(before, 0))
        levels[:, place] = np.clip(np.rint(wanted[:, place]), low, high)
        error = (wanted[:, place] - levels[:, place]) / upper[:, place, place]
        wanted[:, place + 1 :] -= error[:, None] * upper[:, place, place + 1 :]
    found: NDArray[np.float32] = (levels * step).reshape(weights.shape).astype(np.float32)
    return found


def _fits(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Return whether it is pointwise or depthwise, with constant weights, without gaps, and not too large."""
    if node.input[1] not in constants:
        return False
    outputs, channels, height, width = constants[node.input[1]].dims
    set_here = _attributes(node)
    groups = set_here.get("group", 1)
    known = (groups == 1 and (height, width) == (1, 1)) or (channels == 1 and groups == outputs)
    plain = set_here.get("auto_pad", b"NOTSET") == b"NOTSET" and set_here.get("dilations", [1, 1]) == [1, 1]
    return bool(known and plain and channels * height * width <= MAX_INPUTS)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _moments(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    weights: dict[str, NDArray[np.float32]],
    tensors: Iterable[NDArray[np.uint8]],
) -> dict[str, Moments]:
    """Return for each weight the second moments of its inputs, summed over pictures."""
    inputs = list(dict.fromkeys(node.input[0] for node in nodes))
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs)
    session = onnxruntime.InferenceSession(shown.SerializeToString(), providers=["CPUExecutionProvider"])
    found: dict[str, Moments] = {}
    for tensor in tensors if inputs else ():
        values = dict(zip(inputs, session.run(inputs, {FRAME: tensor}), strict=True))
        for node in nodes:
            name = node.input[1]
            for picture in values[node.input[0]]:
                found[name] = found.get(name, 0) + _of_picture(picture, weights[name].shape[2:], _attributes(node))
    return found


def _of_picture(picture: NDArray[np.float32], kernel: tuple[int, ...], attributes: dict[str, Any]) -> Moments:
    """Return the mean of products of inputs over the places of a picture [C, H, W]."""
    down, right = attributes.get("strides", [1, 1])
    top, left, bottom, end = attributes.get("pads", [0] * 4)
    padded = np.pad(picture, ((0, 0), (top, bottom), (left, end)))
    windows = sliding_window_view(padded, kernel, axis=(1, 2))[:, ::down, ::right]
    rows = windows.reshape(len(picture), -1, kernel[0] * kernel[1]).transpose(0, 2, 1)  # [C, taps, places]
    if attributes.get("group", 1) == 1:
        rows = rows.reshape(1, len(picture), -1)
    return (rows @ rows.transpose(0, 2, 1)).astype(np.float64) / rows.shape[2]
