"""Turn the tokens of a vision transformer into a map: prefix tokens are dropped, patch tokens keep their layout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_config.errors import UsageError
from export.network.graph import recent

MAX_PREFIX = 8
"""Most tokens before those of the patches (class, distillation, registers) that are looked for; 5 are usual at most."""

AXES = 3
"""Of tokens: [1, tokens, channels]."""

_PLACE = "tokens_to_map/"


def grid_of(patches: int, input_hw: tuple[int, int]) -> tuple[int, int] | None:
    """Return rows and columns of so many patches of a picture; None if they are no grid of its proportions.

    Args:
        patches: square ones.
        input_hw: height and width of the picture.
    """
    height, width = input_hw
    columns = math.isqrt(patches * width // height) if patches > 0 else 0
    rows = patches // columns if columns else 0
    return (rows, columns) if rows and rows * columns == patches and rows * width == columns * height else None


def grids(count: int, input_hw: tuple[int, int]) -> list[tuple[int, tuple[int, int]]]:
    """Return what so many tokens may be: how many come before the patches, and rows and columns of these.

    Only patches whose side divides the picture count.
    """
    found = []
    for prefix in range(MAX_PREFIX + 1):
        grid = grid_of(count - prefix, input_hw)
        if grid and input_hw[0] % grid[0] == 0:
            found.append((prefix, grid))
    return found


def choose(layer: str, count: int, input_hw: tuple[int, int], given: int | str) -> tuple[int, tuple[int, int]]:
    """Return how many tokens are dropped, and rows and columns of the others.

    Args:
        layer: name of the tensor, for the errors.
        count: of its tokens.
        input_hw: height and width of the picture.
        given: how many to drop, or "auto".

    Raises:
        UsageError: what is left is no grid, or there are several possibilities.
    """
    size = f"{input_hw[0]} x {input_hw[1]} pixels"
    if isinstance(given, int):
        grid = grid_of(count - given, input_hw)
        if grid is None:
            left = max(0, count - given)
            raise UsageError(f"{layer} has {left} tokens behind the first {given}, and they are no grid of {size}")
        return given, grid
    found = grids(count, input_hw)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            f"the {count} tokens of {layer} are no grid of {size}, whatever of the first {MAX_PREFIX} is dropped",
            remedy="say how many come before the patches: --tokens-to-map N; --size must be the network's own",
        )
    raise UsageError(
        f"the {count} tokens of {layer} may be {in_words(found)}", remedy="say which: --tokens-to-map N drops N"
    )


def in_words(found: Sequence[tuple[int, tuple[int, int]]]) -> str:
    """Return the possible grids of tokens in words."""
    return " or ".join(f"{rows} x {columns} patches behind {prefix}" for prefix, (rows, columns) in found)


def with_maps(
    model: onnx.ModelProto, chosen: dict[int, tuple[int, tuple[int, int]]], half: set[int]
) -> onnx.ModelProto:
    """Return a graph some of whose outputs are maps, where they were tokens, and float32, where they were float16.

    Args:
        model: the graph.
        chosen: number of an output [1, tokens, channels] -> tokens to drop, rows and columns of the others.
        half: numbers of the outputs in float16.
    """
    model = recent(model)
    graph = model.graph
    for number in sorted({*chosen, *half}):
        name, place = graph.output[number].name, f"{_PLACE}{number}/"
        if number in half:
            name = _add(graph, "Cast", [name], f"{place}float", to=TensorProto.FLOAT)
        if number in chosen:
            name = _to_map(graph, name, place, *chosen[number])
        graph.output[number].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return model


def _to_map(graph: onnx.GraphProto, name: str, place: str, prefix: int, grid: tuple[int, int]) -> str:
    """From [1, tokens, channels] to [1, channels, rows, columns]."""
    if prefix:
        limits = {"starts": prefix, "ends": np.iinfo(np.int64).max, "axes": 1}
        inputs = [name, *(_constant(graph, f"{place}{word}", [value]) for word, value in limits.items())]
        name = _add(graph, "Slice", inputs, f"{place}patches")
    shape = _constant(graph, f"{place}shape", [0, grid[0], grid[1], -1])
    rows = _add(graph, "Reshape", [name, shape], f"{place}rows")
    return _add(graph, "Transpose", [rows], f"{place}map", perm=[0, 3, 1, 2])


def _constant(graph: onnx.GraphProto, name: str, values: list[int]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array(values, dtype=np.int64), name))
    return name


def _add(graph: onnx.GraphProto, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
    graph.node.append(helper.make_node(kind, inputs, [output], **attributes))
    return output
