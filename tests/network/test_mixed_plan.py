"""Which convolutions of an int8 network stay float32: as few as keep what normal pictures are told by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_config.bundle.manifest import Int8Plan
from export.network.aggregate import Aggregation
from export.network.graph import Reference, export_graph
from export.network.int8 import mixed_plan
from export.network.int8.mixed_plan import MAX_CHANGE, blocks_of, choose, notes, quantise
from export.network.int8.quantise import FLOAT_CONVOLUTIONS, Quantiser
from export.network.load_backbone import load_backbone
from runtime.learning.gate.differences import relative
from runtime.learning.network_file import DEFAULT
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from tests.support.preprocessing import resized
from tests.support.small import LAYERS, colour_picture, small_network

SIZE = 64

SAME = 0.02
"""Of a patch's length, between a graph as ONNX Runtime rearranges it and its operators one by one: single levels of 8
bits that round the other way. A convolution that ONNX Runtime quantises by itself changes features by 0.16."""


def pictures(count: int) -> list[np.ndarray]:
    """Return smooth noise, each other."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, 1, 20, 20, 3), dtype=np.uint8)
    return list(coarse.repeat(16, axis=2).repeat(16, axis=3))


def small_graph(folder: Path) -> bytes:
    """Return the graph of four convolutions."""
    onnx.save(small_network(), folder / "small.onnx")
    backbone = load_backbone(str(folder / "small.onnx"), (SIZE, SIZE), layers=LAYERS)
    layout = Reference(backbone, Aggregation()).layout((SIZE, SIZE))
    return export_graph(backbone, Aggregation(), layout, (SIZE, SIZE))


def independent(base: float, gains: list[float]) -> Callable[[tuple[int, ...]], float]:
    """Return the change where each block takes a share of the square."""
    return lambda kept: base * (1 - sum(gains[number] for number in kept)) ** 0.5


@pytest.fixture(scope="module")
def quantiser() -> Quantiser:
    """Return that of the default network."""
    return Quantiser((DEFAULT / "model.onnx").read_bytes(), pictures(2))


def test_nothing_more_stays_where_int8_changes_little() -> None:
    """Where the criterion holds in 8 bits, no time is spent, and nothing else is tried."""
    asked = []

    def change_of(kept: tuple[int, ...]) -> float:
        asked.append(kept)
        return MAX_CHANGE

    assert choose(change_of, [1.0, 1.0]) == ((), MAX_CHANGE)
    assert asked == [()]


def test_blocks_stay_by_what_they_gain_for_their_time() -> None:
    """The block that gains most for its cost is the first, and no more stay than the criterion needs."""
    change_of = independent(MAX_CHANGE * 1.25, [0.3, 0.4, 0.2])
    assert choose(change_of, [1.0, 4.0, 1.0])[0] == (0, 2)
    kept, change = choose(change_of, [10.0, 1.0, 10.0])
    assert kept == (1,)
    assert change == pytest.approx(MAX_CHANGE * 1.25 * 0.6**0.5)


def test_a_block_that_makes_it_worse_goes() -> None:
    """Where nothing reaches the criterion, what helps stays, what does not goes, and the change is told as it is."""
    kept, change = choose(independent(MAX_CHANGE * 10, [0.5, -0.1]), [1.0, 1.0])
    assert kept == (0,)
    assert change > MAX_CHANGE


def test_blocks_end_where_no_relu_follows(quantiser: Quantiser) -> None:
    """Of the default network each inverted residual block is one, no convolution is forgotten, and none is alone."""
    first, blocks = blocks_of(quantiser)
    names = [node.output[0] for node in quantiser.convolutions]
    assert [name for block in blocks for name in block.outputs] == names
    assert {len(block.outputs) for block in blocks} == {3}
    assert first > 0
    assert all(0 < block.int8 < block.float32 for block in blocks)


def test_what_stays_has_the_weights_of_float32(quantiser: Quantiser, tmp_path: Path) -> None:
    """A block that stays has its own weights, the others 8 bits; ONNX Runtime serves the graph as it is written."""
    kept = blocks_of(quantiser)[1][1].outputs
    path = tmp_path / "model.onnx"
    path.write_bytes(quantiser(kept))
    graph, before = onnx.load(path).graph, onnx.load(DEFAULT / "model.onnx").graph
    original = {tensor.name: numpy_helper.to_array(tensor) for tensor in before.initializer}
    source = {node.output[0]: node.input[1] for node in before.node if node.op_type == "Conv"}
    written = {tensor.name: tensor for tensor in graph.initializer}
    float32 = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in written]
    assert {node.output[0] for node in float32[FLOAT_CONVOLUTIONS:]} == set(kept)
    for node in float32[FLOAT_CONVOLUTIONS:]:
        np.testing.assert_array_equal(numpy_helper.to_array(written[node.input[1]]), original[source[node.output[0]]])
    (tensor,) = pictures(1)
    one_by_one = Embed(path, 1, optimise=False)(tensor)
    assert relative(Embed(path, 1)(tensor), one_by_one).mean() < SAME


def test_criterion_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where less change is allowed than 8 bits make, convolutions stay float32; the plan is the same each time."""
    graph, shown = small_graph(tmp_path), [Preprocess(resized((SIZE, SIZE)))(colour_picture(n)) for n in range(16)]
    _, plan = quantise(graph, shown, 1)
    assert plan.change
    monkeypatch.setattr(mixed_plan, "MAX_CHANGE", plan.change * 2)
    assert not quantise(graph, shown, 1)[1].float32
    monkeypatch.setattr(mixed_plan, "MAX_CHANGE", plan.change / 2)
    found, strict = quantise(graph, shown, 1)
    assert strict.float32
    assert strict.change is not None
    assert strict.change < plan.change
    assert quantise(graph, shown, 1) == (found, strict)


def test_few_pictures_show_nothing() -> None:
    """Where scores have no spread to compare with, the plan says that nothing was measured."""
    _, plan = quantise((DEFAULT / "model.onnx").read_bytes(), pictures(2), 1)
    assert (plan.float32, plan.change) == ((), None)
    assert "not measured" in notes(plan)[0]


def test_fit_says_what_a_plan_costs() -> None:
    """Nothing is said of a plan that keeps all bounds; otherwise what stays, what it takes, and what to do."""
    fine = Int8Plan(float32=(), change=0.1, allowed=MAX_CHANGE, time=0.5)
    assert notes(fine) == []
    kept, slow = notes(Int8Plan(float32=("a", "b"), change=0.1, allowed=MAX_CHANGE, time=0.7))
    assert "2 more convolutions stay float32" in kept
    assert "0.70 of float32's time, more than 0.6" in slow
    (bad,) = notes(Int8Plan(float32=(), change=2 * MAX_CHANGE, allowed=MAX_CHANGE, time=0.5))
    assert "--precision float32" in bad
