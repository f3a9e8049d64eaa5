"""A first convolution that reads a frame as it lies in memory: the same features, from fewer operators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.network.aggregate import Aggregation
from export.network.graph import Reference, export_graph
from export.network.lean_head import fold_head
from export.network.load_backbone import load_backbone
from runtime.scoring.embed import Embed
from tests.support.small import LAYERS, small_network

HW = (64, 96)

ROUNDING = 1e-5
"""Of the largest feature: float32 weights are divided by the deviation once, before and not after the rounding."""

NORMALISATIONS = {
    "whole level": ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
    "ImageNet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


def graph_of(folder: Path, name: str, network: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph of a network with this normalisation."""
    onnx.save(network, folder / "net.onnx")
    mean, std = NORMALISATIONS[name]
    backbone = replace(load_backbone(str(folder / "net.onnx"), HW, layers=LAYERS), mean=mean, std=std)
    layout = Reference(backbone, Aggregation()).layout(HW)
    return onnx.load_model_from_string(export_graph(backbone, Aggregation(), layout, HW))


def features(model: onnx.ModelProto, folder: Path) -> np.ndarray:
    onnx.save(model, folder / "model.onnx")
    frame = np.random.default_rng(3).integers(0, 256, (1, *HW, 3), dtype=np.uint8)
    return Embed(folder / "model.onnx", 1)(frame)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_features_are_the_same(name: str, tmp_path: Path) -> None:
    """Colours of unequal mean and deviation, and borders that are padded with zeros, give the same features."""
    model = graph_of(tmp_path, name, small_network())
    before, count = features(model, tmp_path), len(model.graph.node)
    assert fold_head(model)
    assert len(model.graph.node) < count
    onnx.checker.check_model(model, full_check=True)
    assert np.abs(features(model, tmp_path) - before).max() <= ROUNDING * np.abs(before).max()


def test_a_picture_that_others_take_too_stays(tmp_path: Path) -> None:
    """Where a second operator takes the normalised picture, nothing is changed."""
    model = graph_of(tmp_path, "ImageNet", small_network())
    picture = next(node for node in model.graph.node if node.op_type == "Conv").input[0]
    model.graph.node.append(onnx.helper.make_node("Relu", [picture], ["other"]))
    same = model.SerializeToString()
    assert not fold_head(model)
    assert model.SerializeToString() == same
