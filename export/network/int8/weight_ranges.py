"""Ranges of 8-bit weights by which no processor saturates: the finest steps that sums of two products allow.

An x86 without VNNI multiplies unsigned bytes (activations) by signed ones (weights) and adds two neighbouring products
in 16 bits (`vpmaddubsw`), which saturate. 7-bit weights avoid that, and double the error of all of them. But only a
pair of neighbours whose weights have the same sign and are both large can exceed: a range is widened for its own
largest pair, and most channels keep nearly 8 bits.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

LEVELS = 127
"""Of a sign: -127 to 127."""

MAX_PAIR = 127
"""Of the sum of two weights, in levels, before they are rounded: rounding adds one at most, and 255 * 128 < 2**15."""

Range = dict[str, object]


def ranges(model: onnx.ModelProto, convolutions: list[onnx.NodeProto]) -> dict[str, list[Range]]:
    """Return for the weights of each convolution the range of each output channel, as ONNX Runtime takes ranges.

    Args:
        model: has the weights.
        convolutions: those to be quantised; of those whose weights are not constant nothing is returned.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, list[Range]] = {}
    for node in convolutions:
        if node.input[1] in constants:
            largest = largest_of(numpy_helper.to_array(constants[node.input[1]]))
            found[node.input[1]] = [{"rmin": -one, "rmax": one} for one in largest]
            found[node.input[1]][0] |= {"axis": 0, "symmetric": True}
    return found


def largest_of(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each output channel the weight that becomes the largest level, float32 [outputs].

    Args:
        weights: [outputs, channels / groups, height, width]. Depthwise ones, of one channel, are not added in 16 bits.
    """
    rows = weights.transpose(0, 2, 3, 1).reshape(len(weights), -1).astype(np.float64)  # as they lie in memory
    largest = np.abs(rows).max(axis=1)
    if weights.shape[1] > 1:
        rows = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
        for sign in (1, -1):
            of_sign = np.maximum(sign * rows, 0)
            largest = np.maximum(largest, (of_sign[:, ::2] + of_sign[:, 1::2]).max(axis=1) * LEVELS / MAX_PAIR)
    found: NDArray[np.float32] = np.maximum(largest, np.finfo(np.float32).tiny).astype(np.float32)
    return found
