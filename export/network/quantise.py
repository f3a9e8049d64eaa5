"""Quantise the convolutions of a float32 graph to 8 bits: static, per channel, quantise and dequantise (QDQ)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from edge_config.saving import TEMPORARY, writing
from export.network.graph import FRAME, OWN, finish
from export.network.round_weights import round_weights
from export.network.weight_ranges import ranges

PICTURES = 64
"""Normal pictures that the ranges of the activations are taken from, spread evenly."""

ROUNDING_PICTURES = 8
"""Of them, those that weights are rounded by: each has thousands of places, where a channel has some hundred inputs."""

FLOAT_CONVOLUTIONS = 3
"""The first convolutions stay float32: few channels of wide and different ranges, whose rounding goes through all that
follows. On large maps 8 bits gain little there: what they save is spent on converting, and the third convolution of
EfficientNet-lite0 leaves half of the channels to convert."""

_QUANTISED = ("Conv", "Clip", "Relu")  # a clip or ReLU behind a convolution becomes part of its range


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    """Feeds inputs of the graph to the calibration."""

    def __init__(self, tensors: Iterable[NDArray[np.uint8]]) -> None:
        self._tensors: Iterator[NDArray[np.uint8]] = iter(tensors)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next one; None at the end."""
        tensor = next(self._tensors, None)
        return None if tensor is None else {FRAME: tensor}


def quantise(graph: bytes, tensors: Iterable[NDArray[np.uint8]]) -> bytes:
    """Quantise a graph; normalisation, aggregation and the joining of layers stay float32.

    Args:
        graph: as `export_graph` gives it.
        tensors: inputs of the graph for normal pictures, uint8 [1, H, W, 3] BGR.

    Returns:
        A graph with the same input and output.
    """
    model = onnx.load_model_from_string(graph)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    convolutions = [node for node in model.graph.node if node.op_type == "Conv" and not node.output[0].startswith(OWN)]
    shown = list(tensors)
    round_weights(model, convolutions[FLOAT_CONVOLUTIONS:], shown[:: -(-len(shown) // ROUNDING_PICTURES)])
    own = [node.name for node in model.graph.node if node.output[0].startswith(OWN)]
    logging.disable(logging.WARNING)  # it recommends a preparation that has been done
    try:
        with writing(tempfile.gettempdir(), TEMPORARY, full_only=True), tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "int8.onnx"
            quantize_static(
                model,
                target,
                _Inputs(shown),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_QUANTISED),
                nodes_to_exclude=[*(node.name for node in convolutions[:FLOAT_CONVOLUTIONS]), *own],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"TensorQuantOverrides": ranges(model, convolutions[FLOAT_CONVOLUTIONS:])},
            )
            return finish(onnx.load(target))
    finally:
        logging.disable(logging.NOTSET)
