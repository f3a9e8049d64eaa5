"""The bare network of a bundle: its graph, cut before the aggregation, as the measure that a frame is held against.

ONNX files are protocol buffers. The fields that a cut touches are declared here, all others pass through unread; the
`onnx` package, which a device does not need for anything else, stays out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from edge_config.bundle.files import AGGREGATION
from edge_config.errors import BundleGraphInvalid

_FIELDS: dict[str, list[tuple[str, int, str | None, bool]]] = {
    "Model": [("graph", 7, "Graph", False)],
    "Graph": [("node", 1, "Node", True), ("initializer", 5, "Tensor", True), ("output", 12, "Value", True)],
    "Node": [("input", 1, None, True), ("output", 2, None, True)],
    "Tensor": [("name", 8, None, False)],
    "Value": [("name", 1, None, False)],
}
"""By message: name and number of the field in onnx.proto, its type (None is a string), and whether it is repeated."""


def cut_before_aggregation(model: Path) -> bytes:
    """Return the graph of model.onnx without its aggregation: its outputs are the maps of the network.

    Raises:
        BundleGraphInvalid: not a graph of patchedge.
    """
    cut = _model_class()()
    try:
        cut.ParseFromString(model.read_bytes())
    except DecodeError as error:
        raise BundleGraphInvalid(f"not an ONNX file ({error})", where=str(model)) from error
    graph = cut.graph
    final = {value.name for value in graph.output}
    tail: list[Any] = []
    kept: list[Any] = []
    for node in graph.node:
        (tail if final & set(node.output) or node.output[0].startswith(AGGREGATION) else kept).append(node)
    computed = {name for node in kept for name in node.output}
    maps = sorted(computed & {name for node in tail for name in node.input})
    if len(tail) == 1 or not maps:
        raise BundleGraphInvalid("its aggregation is not marked", where=str(model), remedy="fit again")
    needed = {name for node in kept for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    for field, items in (("node", kept), ("initializer", constants)):
        copies = [type(item).FromString(item.SerializeToString()) for item in items]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)
    graph.ClearField("output")
    for name in maps:
        graph.output.add(name=name)
    data: bytes = cut.SerializeToString()
    return data


def _model_class() -> Any:
    """Declare the messages of `_FIELDS` and give the class of the outermost."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="patchedge/onnx.proto", package="patchedge", syntax="proto2")
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            described.field.add(
                name=name,
                number=number,
                type=kinds.TYPE_MESSAGE if kind else kinds.TYPE_STRING,
                type_name=f".patchedge.{kind}" if kind else None,
                label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("patchedge.Model"))
