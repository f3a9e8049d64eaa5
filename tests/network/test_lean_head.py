"""A first convolution that reads a frame as it lies in memory: the same features, from fewer operators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.network.aggregate import Aggregation
from export.network.graph import Reference, export_graph
from export.network.load_backbone import load_backbone
from runtime.scoring.embed import Embed
from tests.support.small import LAYERS, small_network

HW = (64, 96)

ROUNDING = 1e-5
"""Of the largest feature: float32 weights are divided by the deviation once, and sums have another order."""

NORMALISATIONS = {
    "whole level": ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
    "ImageNet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


def graph_and_reference(
    folder: Path, name: str, network: onnx.ModelProto, layers: tuple[str, ...]
) -> tuple[onnx.ModelProto, Reference]:
    """Return the graph of a network with this normalisation, and the features by their definition."""
    onnx.save(network, folder / "net.onnx")
    mean, std = NORMALISATIONS[name]
    backbone = replace(load_backbone(str(folder / "net.onnx"), HW, layers=layers), mean=mean, std=std)
    by_definition = Reference(backbone, Aggregation())
    graph = export_graph(backbone, Aggregation(), by_definition.layout(HW), HW)
    return onnx.load_model_from_string(graph), by_definition


def features(model: onnx.ModelProto, frame: np.ndarray, folder: Path) -> np.ndarray:
    onnx.save(model, folder / "model.onnx")
    return Embed(folder / "model.onnx", 1)(frame)


def takers(model: onnx.ModelProto) -> list[str]:
    """Return the operators that take the frame."""
    return [node.op_type for node in model.graph.node if "frame" in node.input]


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (1, *HW, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_features_are_the_same(name: str, frame: np.ndarray, tmp_path: Path) -> None:
    """Colours of unequal mean and deviation, and borders that are padded with zeros, give the right features."""
    model, by_definition = graph_and_reference(tmp_path, name, small_network(), LAYERS)
    assert takers(model) == ["Reshape"]
    wanted = by_definition(frame)
    assert np.abs(features(model, frame, tmp_path) - wanted).max() <= ROUNDING * np.abs(wanted).max()


def test_a_picture_that_others_take_too_stays(frame: np.ndarray, tmp_path: Path) -> None:
    """Where a second operator takes the normalised picture it is made, and the features are those of the method."""
    network = small_network()
    last = network.graph.node[-1].output[0]
    network.graph.node.append(onnx.helper.make_node("ReduceMean", ["picture"], ["light"], keepdims=1))
    network.graph.node.append(onnx.helper.make_node("Add", [last, "light"], ["lit"]))
    model, by_definition = graph_and_reference(tmp_path, "ImageNet", network, (LAYERS[0], "lit"))
    assert takers(model) == ["Transpose"]
    wanted = by_definition(frame)
    assert np.abs(features(model, frame, tmp_path) - wanted).max() <= ROUNDING * np.abs(wanted).max()
