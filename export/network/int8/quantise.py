"""Quantise the convolutions of a float32 graph to 8 bits: static, per channel, quantise and dequantise (QDQ)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from edge_config.saving import TEMPORARY, writing
from export.network.graph import FRAME, OWN, finish
from export.network.int8.round_weights import round_weights
from export.network.int8.weight_ranges import ranges

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


class Quantiser:
    """Quantises a graph by several plans: ranges and rounding are found once."""

    def __init__(self, graph: bytes, tensors: Iterable[NDArray[np.uint8]]) -> None:
        """Round the weights of all convolutions but the first.

        Args:
            graph: as `export_graph` gives it.
            tensors: inputs of the graph for normal pictures, uint8 [1, H, W, 3] BGR.
        """
        self.shown = list(tensors)
        self._model = onnx.load_model_from_string(graph)
        for number, node in enumerate(self._model.graph.node):
            node.name = node.name or f"node_{number}"
        nodes = self._model.graph.node
        convolutions = [node for node in nodes if node.op_type == "Conv" and not node.output[0].startswith(OWN)]
        self.first, self.convolutions = convolutions[:FLOAT_CONVOLUTIONS], convolutions[FLOAT_CONVOLUTIONS:]
        self._weights = {tensor.name: tensor for tensor in onnx.load_model_from_string(graph).graph.initializer}
        round_weights(self._model, self.convolutions, self.shown[:: -(-len(self.shown) // ROUNDING_PICTURES)])
        self._ranges: bytes | None = None

    @property
    def model(self) -> onnx.ModelProto:
        """The graph in float32, with rounded weights."""
        return self._model

    def __call__(self, kept: Collection[str] = ()) -> bytes:
        """Return a graph with the same input and output.

        Normalisation, aggregation and the joining of layers stay float32.

        Args:
            kept: names of the outputs of further convolutions that stay float32, with the weights that they had.
        """
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        staying = [node for node in self.convolutions if node.output[0] in kept]
        own = {node.input[1] for node in staying}
        for tensor in model.graph.initializer:
            if tensor.name in own:
                tensor.CopyFrom(self._weights[tensor.name])
        excluded = [*self.first, *staying, *(node for node in model.graph.node if node.output[0].startswith(OWN))]
        quantised = [node for node in self.convolutions if node.output[0] not in kept]
        logging.disable(logging.WARNING)  # it recommends a preparation that has been done
        try:
            with writing(tempfile.gettempdir(), TEMPORARY, full_only=True), tempfile.TemporaryDirectory() as folder:
                target, known = Path(folder) / "int8.onnx", Path(folder) / "ranges.json"
                if self._ranges is not None:
                    known.write_bytes(self._ranges)
                quantize_static(
                    model,
                    target,
                    _Inputs(self.shown),
                    quant_format=QuantFormat.QDQ,
                    op_types_to_quantize=list(_QUANTISED),
                    nodes_to_exclude=[node.name for node in excluded],
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    calibrate_method=CalibrationMethod.MinMax,
                    calibration_cache_path=known,
                    extra_options={"TensorQuantOverrides": ranges(model, quantised)},
                )
                self._ranges = known.read_bytes()
                return finish(onnx.load(target))
        finally:
            logging.disable(logging.NOTSET)
