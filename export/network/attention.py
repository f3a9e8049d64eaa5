"""Find the tensors of attention in a graph: queries, keys, values, scores, head outputs.

Their shapes may be those of a map (heads x tokens x tokens), and they are none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import onnx

_HEADS_AXES = 4
_SAME_PLACE = frozenset({"Add", "Sub", "Mul", "Div", "Where", "Cast", "Identity", "Dropout", "Clip", "Min", "Max"})
_OF_SCORES = _SAME_PLACE | {"Reshape", "Unsqueeze", "Squeeze", "Transpose"}
_OF_HEADS = _SAME_PLACE | {"Transpose"}
_PRODUCTS = frozenset({"MatMul", "Einsum", "FusedMatMul"})


@dataclass(frozen=True, slots=True)
class Attention:
    """What was found.

    Attributes:
        inside: tensors inside attention.
        shares: all outputs of a Softmax.
    """

    inside: frozenset[str]
    shares: frozenset[str]


def find(model: onnx.ModelProto, axes: dict[str, int]) -> Attention:
    """Look for attention in a graph.

    Args:
        model: the graph.
        axes: name of a tensor -> how many axes it has, where that is known.
    """
    graph = _Graph(model, axes)
    shares = [node for node in model.graph.node if node.op_type == "Softmax"]
    inside = {name for node in shares for name in graph.around(node)}
    return Attention(frozenset(inside), frozenset(node.output[0] for node in shares))


class _Graph:
    """Producers and consumers of the tensors of a graph."""

    def __init__(self, model: onnx.ModelProto, axes: dict[str, int]) -> None:
        self._axes = axes
        self._fixed = {one.name for one in model.graph.initializer}
        self._fixed |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
        self._maker = {name: node for node in model.graph.node for name in node.output}
        self._takers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self._takers[name].append(node)

    def around(self, softmax: onnx.NodeProto) -> Iterator[str]:
        """Yield the tensors of the attention that a Softmax belongs to; none if it belongs to none."""
        before = list(self._back(softmax.input[0], _OF_SCORES))
        after = list(self._on(softmax.output[0], _OF_SCORES))
        makers = [self._maker[name] for name in before if name in self._maker]
        products = [node for node in makers if self._is_product(node)]
        weighted = [node for name in after for node in self._takers[name] if self._is_product(node)]
        if not products and not weighted:
            return
        yield from (*before, *after)
        for node in (*products, *weighted):
            for name in node.input:
                yield from self._of_heads(self._back(name, _OF_HEADS))
        for node in weighted:
            yield from self._of_heads(self._on(node.output[0], _OF_HEADS))

    def _is_product(self, node: onnx.NodeProto) -> bool:
        """Return whether a node multiplies two tensors that both depend on the picture."""
        return node.op_type in _PRODUCTS and sum(name not in self._fixed for name in node.input if name) > 1

    def _of_heads(self, names: Iterator[str]) -> Iterator[str]:
        """Leave out tensors of fewer axes: with one head they may be the tokens themselves."""
        return (name for name in names if self._axes.get(name, _HEADS_AXES) == _HEADS_AXES)

    def _back(self, name: str, through: frozenset[str]) -> Iterator[str]:
        """Yield a tensor, and those that it was made of by some kinds of operators."""
        todo, seen = [name], set()
        while todo:
            one = todo.pop()
            if one in seen or one in self._fixed or not one:
                continue
            seen.add(one)
            yield one
            node = self._maker.get(one)
            if node is not None and node.op_type in through:
                todo += node.input

    def _on(self, name: str, through: frozenset[str]) -> Iterator[str]:
        """Yield a tensor, and those that are made of it by some kinds of operators."""
        todo, seen = [name], set()
        while todo:
            one = todo.pop()
            if one in seen:
                continue
            seen.add(one)
            yield one
            todo += [output for node in self._takers[one] if node.op_type in through for output in node.output]
