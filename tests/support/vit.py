"""A small vision transformer in an ONNX file: tokens with a prefix, attention matrices, and a map beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, PATCH = 24, 2, 16

EMBEDDED, TOKENS, ATTENTION, QUERIES, CONTEXT = "patches", "tokens", "attention", "queries", "context"
"""Names of tensors: the map of the patches, the tokens at the end, and what should never be offered as a map."""


def _random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).normal(0, 0.2, shape).astype(np.float32)


def write_vit(
    path: Path, size: tuple[int, int], prefix: int = 1, *, opset: int = 17, half_inside: bool = False
) -> Path:
    """Write one block of attention over the patches of a picture of height and width `size` and `prefix` tokens."""
    grid = size[0] // PATCH, size[1] // PATCH
    count = grid[0] * grid[1] + prefix
    nodes: list[onnx.NodeProto] = []
    constants = {
        "w_patch": _random(WIDTH, 3, PATCH, PATCH) / 20,
        "prefix": _random(1, prefix, WIDTH),
        "scale": np.array(0.3, np.float32),
        **{f"w_{name}": _random(WIDTH, WIDTH) + np.eye(WIDTH, dtype=np.float32) for name in "qkvo"},
        "to_rows": np.array([1, WIDTH, -1]),
        "to_heads": np.array([1, count, HEADS, WIDTH // HEADS]),
        "to_tokens": np.array([1, count, WIDTH]),
    }

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    add("Conv", ["picture", "w_patch"], EMBEDDED, kernel_shape=[PATCH] * 2, strides=[PATCH] * 2)
    add("Transpose", [add("Reshape", [EMBEDDED, "to_rows"], "rows")], "columns", perm=[0, 2, 1])
    before = add("Concat", ["prefix", "columns"], "before", axis=1) if prefix else "columns"
    for name, permuted in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        flat = add("MatMul", [before, f"w_{name}"], f"{name}_flat")
        add("Transpose", [add("Reshape", [flat, "to_heads"], f"{name}_heads")], f"{name}_turned", perm=permuted)
    add("Mul", ["q_turned", "scale"], QUERIES)
    add("MatMul", [QUERIES, "k_turned"], "scores")
    add("Softmax", ["scores"], ATTENTION, axis=3)
    add("Transpose", [add("MatMul", [ATTENTION, "v_turned"], CONTEXT)], "turned", perm=[0, 2, 1, 3])
    out = add("MatMul", [add("Reshape", ["turned", "to_tokens"], "joined"), "w_o"], "out")
    last = add("Add", [out, before], "sum" if half_inside else TOKENS)
    if half_inside:
        add("Cast", [last], TOKENS, to=TensorProto.FLOAT16)
    kind = TensorProto.FLOAT16 if half_inside else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "vit",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, *size])],
        [helper.make_tensor_value_info(TOKENS, kind, [1, count, WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if value.size],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.save(model, path)
    return path
