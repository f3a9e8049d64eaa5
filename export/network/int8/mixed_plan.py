"""Which blocks of convolutions stay float32 in an int8 graph: those without which normal pictures change too much.

8 bits move the distance of a patch to the bank, and so scores, at random. What that may cost is measured before there
is a bank, from normal pictures alone: by patches of half of the pictures as bank for the other half. A block is a run
of convolutions up to one without a ReLU behind it. It stays or goes as a whole: ONNX Runtime itself quantises a single
convolution between quantised tensors, with one scale for all channels, which is worse than ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import shape_inference

from edge_config.bundle.manifest import Int8Plan
from export.network.graph import FRAME
from export.network.int8.quantise import Quantiser
from runtime.scoring.graph_session import session_options
from runtime.search.full import ExactSearch

MAX_CHANGE = 0.35
"""Standard deviation of the change of a distance, as a share of that of normal scores. The threshold is about the
largest held-out score, and chance, which pictures are held out, moves it: the largest of 1,000 normally distributed
scores has a deviation of 0.35 of theirs, and that of fewer a larger one. int8 may move scores by no more than that."""

MAX_TIME = 0.6
"""Share of float32's time that int8 should take at most, or it is hardly worth its rounding: a fit says so."""

MIN_PICTURES = 8
"""Fewer show no spread of scores."""

MAX_PICTURES, MAX_ENTRIES = 32, 100
"""Pictures that are compared, and patches of each that a bank is made of: two seconds for a plan."""

DECIDING = 16
"""Patches of a picture, the farthest, whose change counts: scores are the largest distances."""

DEPTHWISE = 3.5
"""Time of a multiplication in a depthwise convolution, where that of a dense one takes 1: float32, ONNX Runtime 1.32.0,
AVX-512, one thread."""

INT8_DENSE, INT8_DEPTHWISE = 0.4, 0.83
"""Time of a convolution in 8 bits as a share of its time in float32, on a processor with VNNI. Their proportion is of a
profile, their size what the whole default network took by docs/evidence/precision.md."""


@dataclass(frozen=True, slots=True)
class Block:
    """Convolutions that have the same precision.

    Attributes:
        outputs: names of their outputs.
        float32, int8: estimated times, in multiplications of a dense convolution in float32.
    """

    outputs: tuple[str, ...]
    float32: float
    int8: float


def quantise(graph: bytes, tensors: Sequence[NDArray[np.uint8]], threads: int = 0) -> tuple[bytes, Int8Plan]:
    """Quantise a graph by the plan that its change of normal pictures requires.

    Args:
        graph: as `export_graph` gives it.
        tensors: inputs of the graph for normal pictures, uint8 [1, H, W, 3] BGR.
        threads: of ONNX Runtime.
    """
    quantiser = Quantiser(graph, tensors)
    first, blocks = blocks_of(quantiser)
    if len(quantiser.shown) < MIN_PICTURES:
        return quantiser(), Int8Plan(float32=(), change=None, allowed=MAX_CHANGE, time=_time(first, blocks, ()))
    measure = _Change(graph, quantiser.shown, threads)

    def change_of(kept: tuple[int, ...]) -> float:
        return measure(quantiser(_outputs(blocks, kept)))

    kept, change = choose(change_of, [block.float32 - block.int8 for block in blocks])
    outputs = _outputs(blocks, kept)
    plan = Int8Plan(float32=outputs, change=round(change, 3), allowed=MAX_CHANGE, time=_time(first, blocks, kept))
    return quantiser(outputs), plan


def choose(change_of: Callable[[tuple[int, ...]], float], costs: Sequence[float]) -> tuple[tuple[int, ...], float]:
    """Choose the blocks that stay float32: by what each takes from the squared change for its cost, the best first.

    Args:
        change_of: the change with these blocks in float32. Independent changes add up by their squares.
        costs: what each costs.

    Returns:
        Their numbers, and the change with them; it may still be above `MAX_CHANGE` with all of them.
    """
    kept: tuple[int, ...] = ()
    change = change_of(kept)
    if change <= MAX_CHANGE:
        return kept, change
    gains = [(change**2 - change_of((number,)) ** 2) / cost for number, cost in enumerate(costs)]
    for number in sorted(range(len(costs)), key=lambda number: -gains[number]):
        more = tuple(sorted((*kept, number)))
        if (now := change_of(more)) < change:
            kept, change = more, now
        if change <= MAX_CHANGE:
            break
    return kept, change


def notes(plan: Int8Plan) -> list[str]:
    """Return what a user should know about a plan."""
    if plan.change is None:
        return [f"int8: fewer than {MIN_PICTURES} pictures, so how far it changes scores was not measured"]
    lines = []
    if plan.float32:
        lines.append(
            f"int8: {len(plan.float32)} more convolutions stay float32, so that the distance of a patch changes by "
            f"{plan.change:.2f} of the spread of normal scores"
        )
    if plan.change > plan.allowed:
        lines.append(
            f"int8 changes the distance of a patch by {plan.change:.2f} of the spread of normal scores, more than the "
            f"{plan.allowed:g} that it may: take --precision float32 for this network"
        )
    if plan.time > MAX_TIME:
        lines.append(
            f"int8 takes about {plan.time:.2f} of float32's time, more than {MAX_TIME:g}: compare with `bench`"
        )
    return lines


def blocks_of(quantiser: Quantiser) -> tuple[float, list[Block]]:
    """Return the time of the convolutions that are always float32, and the blocks of the others, in order."""
    model = shape_inference.infer_shapes(quantiser.model)
    sizes = {
        one.name: math.prod(axis.dim_value or 1 for axis in one.type.tensor_type.shape.dim)
        for one in (*model.graph.value_info, *model.graph.output)
    }
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    followed = {node.input[0] for node in model.graph.node if node.op_type in {"Clip", "Relu"}}
    runs: list[list[onnx.NodeProto]] = [[]]
    for node in quantiser.convolutions:
        runs[-1].append(node)
        if node.output[0] not in followed and len(runs[-1]) > 1:
            runs.append([])
    if len(runs) > 1 and len(runs[-1]) < 2:  # noqa: PLR2004 - none, or a single one
        last = runs.pop()
        runs[-1] += last

    def times(node: onnx.NodeProto) -> tuple[float, float]:
        inputs = math.prod(weights[node.input[1]][1:]) if node.input[1] in weights else 1
        depthwise = any(one.name == "group" and one.i > 1 for one in node.attribute)
        dense = sizes.get(node.output[0], 1) * inputs * (DEPTHWISE if depthwise else 1.0)
        return dense, dense * (INT8_DEPTHWISE if depthwise else INT8_DENSE)

    blocks = []
    for run in runs:
        each = [times(node) for node in run]
        blocks.append(Block(tuple(node.output[0] for node in run), *map(sum, zip(*each, strict=True))))
    return sum(times(node)[0] for node in quantiser.first), blocks


def _outputs(blocks: Sequence[Block], kept: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(name for number in kept for name in blocks[number].outputs)


def _time(first: float, blocks: Sequence[Block], kept: tuple[int, ...]) -> float:
    """Return the estimated time of all convolutions, as a share of float32's."""
    taken = sum(block.float32 if number in kept else block.int8 for number, block in enumerate(blocks))
    return round((first + taken) / (first + sum(block.float32 for block in blocks)), 2)


class _Change:
    """Measures how far a graph moves distances."""

    def __init__(self, graph: bytes, tensors: Sequence[NDArray[np.uint8]], threads: int) -> None:
        self._tensors = tensors[:: -(-len(tensors) // MAX_PICTURES)]
        self._threads = threads
        features = self._features(graph)
        deviation = np.maximum(features.reshape(-1, features.shape[2]).std(axis=0), np.finfo(np.float32).tiny)
        self._scale = (1 / np.sqrt(deviation)).astype(np.float32)  # the measure of a bundle, see `adjust`
        self._distances = self._apart(features)
        self._deciding = np.argsort(self._distances, axis=2)[:, :, -DECIDING:]
        self._spread = float(np.sqrt(self._distances.max(axis=2).var(axis=1).mean()))

    def __call__(self, graph: bytes) -> float:
        moved = self._apart(self._features(graph)) - self._distances
        deviation = float(np.take_along_axis(moved, self._deciding, axis=2).std())
        return deviation / self._spread if self._spread else 0.0

    def _features(self, graph: bytes) -> NDArray[np.float32]:
        """Return the features of all pictures, float32 [N, patches, D]."""
        options = session_options(self._threads)
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return np.stack([session.run(None, {FRAME: tensor})[0] for tensor in self._tensors])

    def _apart(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distances of the patches of each half of the pictures to some of the other half, [2, N, patches].

        Halves are every second picture, and of the same size.
        """
        scaled = features * self._scale
        halves = scaled[0 : len(scaled) // 2 * 2 : 2], scaled[1::2]
        found = []
        for bank, others in (halves, halves[::-1]):
            entries = bank[:, :: -(-bank.shape[1] // MAX_ENTRIES)].reshape(-1, bank.shape[2])
            search = ExactSearch(np.ascontiguousarray(entries))
            found.append([search(picture).distance for picture in others])
        return np.array(found, dtype=np.float32)
