"""Backbones that the user brings as an ONNX file, cut at named tensors. Needs no torch."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, inliner, shape_inference
from onnx.utils import Extractor

from edge_config.bundle.files import file_sha256
from edge_config.errors import UsageError
from export.network.attention import find
from export.network.backbone import Backbone, first_line
from export.network.tokens import AXES, choose, grids, in_words, with_maps

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""On the scale 0 to 255, RGB: what most published networks were trained with."""

_MAP_AXES = 4

_OFTEN = 4
"""Blocks give tokens of one shape again and again; what comes once is a prefix alone, or tokens the other way round."""


_FATAL = 4  # of ONNX Runtime: what is wrong with a graph is said by an exception already


class OnnxNetwork:
    """A cut graph, computed by ONNX Runtime without any of its optimisations."""

    program = f"onnxruntime {onnxruntime.__version__} float32, not optimised"

    def __init__(self, model: onnx.ModelProto) -> None:
        """Take a graph with one input and the maps as outputs."""
        self._model = model
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = _FATAL
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def maps(self, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Compute the maps as the file says, operator by operator."""
        found: list[NDArray[np.float32]] = self._session.run(None, {self._session.get_inputs()[0].name: pictures})
        return found

    def to_onnx(self) -> onnx.ModelProto:
        """Return a copy of the cut graph."""
        copy = onnx.ModelProto()
        copy.CopyFrom(self._model)
        return copy


def load_onnx(
    path: Path, input_hw: tuple[int, int], layers: Sequence[str] | None, tokens_to_map: int | str | None
) -> Backbone:
    """Load an ONNX file with one input float32 [N, 3, H, W] RGB. See `load_backbone`.

    Raises:
        UsageError: the file, its input or one of the named tensors cannot be used.
    """
    try:
        model, sha256 = _read(path)
    except Exception as error:  # protobuf's, onnx's and the system's errors have no common base but this
        raise UsageError(f"not an ONNX graph that can be read ({first_line(error)})", where=str(path)) from error
    picture = _fix_input(model, input_hw, path)
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # as above
        raise UsageError(f"is wrong for an input of {input_hw} ({first_line(error)})", where=str(path)) from error
    look = _Shapes(inferred, input_hw)
    if not layers:
        raise UsageError("which tensors are the maps?", where=str(path), remedy=f"name them by --layers: {look}")
    known = {name for node in model.graph.node for name in node.output}
    for number, layer in enumerate(layers):
        if layer in layers[:number]:
            raise UsageError(f"--layers names {layer} twice", where=str(path))
        if layer not in known:
            raise UsageError(f"has no tensor {layer}", where=str(path), remedy=f"it has {look}")
    try:
        cut = Extractor(inferred).extract_model([picture], list(layers))
        cut, prefix = _as_maps(cut, tokens_to_map, input_hw, look, path)
        network = OnnxNetwork(cut)
    except UsageError:
        raise
    except Exception as error:  # as above, and ONNX Runtime's
        raise UsageError(f"cannot be cut and run ({first_line(error)})", where=str(path)) from error
    return Backbone(
        name=path.name,
        network=network,
        layers=tuple(layers),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        weights=path.name,
        weights_sha256=sha256,
        prefix_tokens=prefix,
    )


def _read(path: Path) -> tuple[onnx.ModelProto, str]:
    """Return the graph with all its weights, and their hash: of the file, or of the whole if some lie beside it."""
    model = onnx.load(path, load_external_data=False)
    inside = not any(external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)
    external_data_helper.load_external_data_for_model(model, str(path.parent))
    onnx.checker.check_model(model)
    whole = model.SerializeToString(deterministic=True)
    sha256 = file_sha256(path) if inside else hashlib.sha256(whole).hexdigest()
    return inliner.inline_local_functions(model), sha256  # what converts old opsets knows no functions


def _fix_input(model: onnx.ModelProto, input_hw: tuple[int, int], path: Path) -> str:
    """Make the graph one for a single picture of a fixed size, and give the name of its input."""
    constants = {constant.name for constant in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    kinds = [value.type.tensor_type for value in inputs]
    if len(kinds) != 1 or len(kinds[0].shape.dim) != _MAP_AXES:
        raise UsageError("needs one input float32 [N, 3, H, W]", where=str(path))
    if kinds[0].elem_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(kinds[0].elem_type).lower()
        raise UsageError(
            f"its input is {kind}, and pictures come as float32",
            where=str(path),
            remedy="convert it with float32 inputs (onnxconverter-common: keep_io_types=True), or export it in float32",
        )
    axes = kinds[0].shape.dim
    sizes = [axis.dim_value for axis in axes]  # 0 where it is a symbol
    if sizes[3] == 3 != sizes[1]:  # noqa: PLR2004 - the channels of a picture
        raise UsageError(
            "its input has the channels last, [N, H, W, 3]", where=str(path), remedy="export it for [N, 3, H, W]"
        )
    for at, (axis, size) in enumerate(zip(axes, (1, 3, *input_hw), strict=True)):
        if axis.dim_value not in (0, size):
            square = sizes[2] == sizes[3] or not all(sizes[2:])
            remedy = f"give --size {axis.dim_value}" if at > 1 and square else "it must take one square RGB picture"
            raise UsageError(f"its input is {sizes[at]} along axis {at}, not {size}", where=str(path), remedy=remedy)
        axis.dim_value = size  # and no longer a symbol
    del model.graph.value_info[:]  # shapes for another batch or size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return str(inputs[0].name)


class _Shapes:
    """What the tensors of a graph are: in words, those that can be layers, the finest first."""

    def __init__(self, inferred: onnx.ModelProto, input_hw: tuple[int, int]) -> None:
        self._input_hw = input_hw
        values = [*inferred.graph.value_info, *inferred.graph.output]
        self._sizes = {one.name: [axis.dim_value for axis in one.type.tensor_type.shape.dim] for one in values}
        self._names = [name for node in inferred.graph.node for name in node.output]
        self.attention = find(inferred, {name: len(sizes) for name, sizes in self._sizes.items()})

    def __str__(self) -> str:
        """Name the last map of each resolution, where the stages of a network end, and the last tokens."""
        ends: dict[tuple[int, int, bool], str] = {}
        often = Counter(tuple(self._sizes.get(name, ())) for name in self._names)
        for name in self._names:
            sizes = self._sizes.get(name, [])
            if name in self.attention.inside | self.attention.shares or sizes[:1] not in ([0], [1]):
                continue
            if len(sizes) == _MAP_AXES and is_alike((sizes[2], sizes[3]), self._input_hw):
                ends[sizes[2], sizes[3], False] = name
            elif len(sizes) == AXES and often[tuple(sizes)] >= _OFTEN and (found := grids(sizes[1], self._input_hw)):
                ends[(*found[0][1], True)] = name
        named = sorted(ends.items(), key=lambda end: -end[0][0] * end[0][1])
        return (
            ", ".join(
                f"{name} ({rows} x {columns}{' with --tokens-to-map' if tokens else ''})"
                for (rows, columns, tokens), name in named
            )
            or "no maps"
        )


def is_alike(map_hw: tuple[int, int], input_hw: tuple[int, int]) -> bool:
    """Return whether the sides of a map divide those of the picture alike, but for rounding at the edge."""
    (rows, columns), (height, width) = map_hw, input_hw
    fits = 0 < rows <= height and 0 < columns <= width
    return fits and abs(rows * width - columns * height) <= max(height, width)


def _as_maps(
    cut: onnx.ModelProto, tokens_to_map: int | str | None, input_hw: tuple[int, int], look: _Shapes, path: Path
) -> tuple[onnx.ModelProto, int | None]:
    """Look at what the layers give, and make maps of tokens, if that is wanted.

    Returns:
        The graph, and how many tokens before those of the patches are dropped; None where no layer is tokens.

    Raises:
        UsageError: a layer is no map, and cannot be made one.
    """
    try:
        found = OnnxNetwork(cut).maps(np.zeros((1, 3, *input_hw), dtype=np.float32))
    except Exception:  # noqa: BLE001 - whatever ONNX Runtime raises: what does not run is said by who tries it next
        return cut, None
    layers = [output.name for output in cut.graph.output]
    chosen = {}
    for number, (layer, one) in enumerate(zip(layers, found, strict=True)):
        _refuse(layer, one.shape, input_hw, look, path)
        if one.ndim == AXES and len(one) == 1:
            if tokens_to_map is None:
                raise _is_tokens(layer, one.shape, input_hw, path)
            chosen[number] = choose(layer, one.shape[1], input_hw, tokens_to_map)
    if tokens_to_map is not None and not chosen:
        raise UsageError("none of the layers is tokens", where=str(path), remedy="drop --tokens-to-map")
    half = {number for number, one in enumerate(found) if one.dtype == np.float16}
    prefix = next((dropped for dropped, _ in chosen.values()), None)
    return with_maps(cut, chosen, half) if chosen or half else cut, prefix


def _refuse(layer: str, shape: tuple[int, ...], input_hw: tuple[int, int], look: _Shapes, path: Path) -> None:
    """Refuse a layer that has the axes of a map, and is none."""
    if layer in look.attention.inside:
        raise UsageError(f"{layer} is part of the attention, no map", where=str(path), remedy=f"it has {look}")
    if len(shape) == _MAP_AXES and not is_alike((shape[2], shape[3]), input_hw):
        (rows, columns), (height, width) = shape[2:], input_hw
        raise UsageError(
            f"{layer} is {rows} x {columns}, and the input {height} x {width}: its sides do not divide the input "
            "alike, so it is no map of it",
            where=str(path),
            remedy=f"it has {look}",
        )


def _is_tokens(layer: str, shape: tuple[int, ...], input_hw: tuple[int, int], path: Path) -> UsageError:
    found = in_words(grids(shape[1], input_hw))
    remedy = f"give --tokens-to-map: {found} more" if found else "name a layer that is one"
    return UsageError(f"{layer} is {shape[1]} tokens of {shape[2]}, no map", where=str(path), remedy=remedy)
