"""Vision transformers in ONNX files: tokens become maps, and what is no map is refused with the reason."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edge_config.errors import UsageError
from export.network.aggregate import Aggregation
from export.network.graph import Reference, export_graph
from export.network.load_backbone import load_backbone
from export.network.tokens import grids
from tests.network.test_backbone import SAME, difference, write_net
from tests.support.small import call_device, call_export, small_network, write_colours
from tests.support.vit import ATTENTION, CONTEXT, EMBEDDED, PATCH, QUERIES, TOKENS, WIDTH, write_vit

HW = (96, 96)
GRID = (6, 6)


@pytest.mark.parametrize("size", [HW, (64, 96)])
@pytest.mark.parametrize(("prefix", "given"), [(1, "auto"), (1, 1), (5, "auto"), (5, 5), (0, "auto"), (0, 0)])
def test_tokens_are_a_map(tmp_path: Path, size: tuple[int, int], prefix: int, given: str | int) -> None:
    """Prefix tokens are dropped, and the others lie as the patches of the picture do: row by row."""
    path = write_vit(tmp_path / "vit.onnx", size, prefix)
    backbone = load_backbone(str(path), size, layers=[TOKENS], tokens_to_map=given)
    picture = np.random.default_rng(0).normal(0, 1, (1, 3, *size)).astype(np.float32)
    (found,) = backbone.network.maps(picture)
    (tokens,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        [TOKENS], {"picture": picture}
    )
    rows, columns = size[0] // PATCH, size[1] // PATCH
    assert found.shape == (1, WIDTH, rows, columns)
    for row in range(rows):
        for column in range(columns):
            of_patch = tokens[0, prefix + row * columns + column]
            np.testing.assert_allclose(found[0, :, row, column], of_patch, rtol=0, atol=SAME * np.abs(tokens).max())


@pytest.mark.parametrize("opset", [9, 12, 17])
def test_graph_computes_what_the_network_does(tmp_path: Path, opset: int) -> None:
    """Old opsets included, the exported graph has the map inside: a device needs nothing new."""
    path = write_vit(tmp_path / "vit.onnx", HW, opset=opset)
    backbone = load_backbone(str(path), HW, layers=[TOKENS], tokens_to_map="auto")
    aggregation = Aggregation(kind="mean", patch_size=3, stride=1)
    reference = Reference(backbone, aggregation)
    graph = export_graph(backbone, aggregation, reference.layout(HW), HW)
    frame = np.random.default_rng(1).integers(0, 256, (1, *HW, 3), dtype=np.uint8)
    (served,) = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"frame": frame})
    wanted = reference(frame)
    assert served.shape == (GRID[0] * GRID[1], WIDTH)
    assert np.abs(served - wanted).max() <= SAME * np.linalg.norm(wanted, axis=1).max()


def test_map_and_tokens_go_together(tmp_path: Path) -> None:
    """A map of the same network is a layer beside the tokens, untouched."""
    backbone = load_backbone(
        str(write_vit(tmp_path / "vit.onnx", HW)), HW, layers=[EMBEDDED, TOKENS], tokens_to_map="auto"
    )
    first, second = backbone.network.maps(np.zeros((1, 3, *HW), np.float32))
    assert first.shape == second.shape == (1, WIDTH, *GRID)
    assert backbone.layers == (EMBEDDED, TOKENS)


def test_fit_serves_tokens(tmp_path: Path) -> None:
    """The whole way: `fit --tokens-to-map` makes a bundle that `check` accepts."""
    images = write_colours(tmp_path / "images", 12)
    path = write_vit(tmp_path / "vit.onnx", HW)
    words = ["--images", images, "--out", tmp_path / "x.bundle", "--backbone", path, "--layers", TOKENS, "--size", 96]
    done = call_export("fit", *words, "--tokens-to-map", "--threads", 1)
    assert done.code == 0, done.err
    assert call_device("check", tmp_path / "x.bundle").code == 0
    features = json.loads((tmp_path / "x.bundle/manifest.json").read_text())["features"]
    assert (features["map_hw"], features["dimension"], features["prefix_tokens"]) == ([6, 6], WIDTH, 1)


@pytest.mark.parametrize(
    ("layers", "given", "said"),
    [
        ([TOKENS], None, "tokens is 37 tokens of 24, no map; give --tokens-to-map: 6 x 6 patches behind 1 more"),
        ([ATTENTION], None, "attention is part of the attention"),
        ([QUERIES], None, "queries is part of the attention"),
        ([CONTEXT], None, "context is part of the attention"),
        ([TOKENS], 2, "has 35 tokens behind the first 2, and they are no grid of 96 x 96 pixels"),
        ([EMBEDDED], "auto", "none of the layers is tokens; drop --tokens-to-map"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path: Path, layers: list[str], given: str | int | None, said: str) -> None:
    """Each is named with the reason, and with what would do."""
    path = write_vit(tmp_path / "vit.onnx", HW)
    with pytest.raises(UsageError, match=re.escape(said)):
        load_backbone(str(path), HW, layers=layers, tokens_to_map=given)


def test_ambiguous_tokens_have_to_be_told(tmp_path: Path) -> None:
    """Five tokens of 32 x 32 pixels are 2 x 2 behind one, or one behind four: the user says which."""
    path = write_vit(tmp_path / "vit.onnx", (32, 32))
    with pytest.raises(UsageError, match="may be 2 x 2 patches behind 1 or 1 x 1 patches behind 4; say which"):
        load_backbone(str(path), (32, 32), layers=[TOKENS], tokens_to_map="auto")
    backbone = load_backbone(str(path), (32, 32), layers=[TOKENS], tokens_to_map=1)
    assert backbone.network.maps(np.zeros((1, 3, 32, 32), np.float32))[0].shape == (1, WIDTH, 2, 2)


def test_grids_of_published_networks() -> None:
    """The published ones have one grid each: ViT and DINO with 1 prefix token, DINOv2 with registers 5, DeiT 2."""
    assert grids(1025, (512, 512)) == [(1, (32, 32))]
    assert grids(197, (224, 224)) == [(1, (14, 14))]
    assert grids(198, (224, 224)) == [(2, (14, 14))]
    assert grids(261, (224, 224)) == [(5, (16, 16))]
    assert grids(1374, (518, 518)) == [(5, (37, 37))]
    assert grids(99, (224, 224)) == []


def test_hint_offers_maps_and_tokens_alone(tmp_path: Path) -> None:
    """Neither attention, nor queries, nor what heads give is offered; tokens are, with the option that they need."""
    with pytest.raises(UsageError, match="which tensors are the maps") as caught:
        load_backbone(str(write_vit(tmp_path / "vit.onnx", HW)), HW)
    said = str(caught.value)
    assert said.endswith(f"--layers: {EMBEDDED} (6 x 6), {TOKENS} (6 x 6 with --tokens-to-map)")
    for name in (ATTENTION, QUERIES, CONTEXT, "scores", "heads", "turned"):
        assert name not in said


def test_square_heads_are_not_offered_either(tmp_path: Path) -> None:
    """16 tokens, heads of 12: whatever the shapes, attention is known by what computes it."""
    path = write_vit(tmp_path / "vit.onnx", (64, 64), 0)  # scores are 16 x 16, as a map of stride 4 would be
    with pytest.raises(UsageError) as caught:
        load_backbone(str(path), (64, 64))
    assert "16 x 16" not in str(caught.value)


def test_sides_that_do_not_divide_the_input_alike_are_refused(tmp_path: Path) -> None:
    """A tensor of 4 axes whose sides are not those of the picture is no map, and is not offered as one."""
    model = small_network()
    model.graph.node.append(helper.make_node("Transpose", ["map_1"], ["turned"], perm=[0, 2, 1, 3]))
    onnx.save(model, tmp_path / "net.onnx")
    said = "turned is 12 x 16, and the input 64 x 64: its sides do not divide the input alike, so it is no map of it"
    with pytest.raises(UsageError, match=said):
        load_backbone(str(tmp_path / "net.onnx"), (64, 64), layers=["turned"])
    with pytest.raises(UsageError) as caught:
        load_backbone(str(tmp_path / "net.onnx"), (64, 64))
    assert "turned" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (TensorProto.FLOAT16, "its input is float16, and pictures come as float32; convert it with float32 inputs"),
        (TensorProto.BFLOAT16, "its input is bfloat16, and pictures come as float32"),
    ],
)
def test_other_numbers_are_named(tmp_path: Path, kind: int, said: str) -> None:
    """An input of half precision is called so, with what to do about it."""
    with pytest.raises(UsageError, match=said):
        load_backbone(str(write_net(tmp_path / "net.onnx", kind=kind)), HW, layers=["features"])


def test_half_precision_inside_is_served(tmp_path: Path) -> None:
    """A tensor in float16 of a network that takes float32 is converted in the graph."""
    path = write_vit(tmp_path / "vit.onnx", HW, half_inside=True)
    backbone = load_backbone(str(path), HW, layers=[TOKENS], tokens_to_map="auto")
    assert backbone.network.maps(np.zeros((1, 3, *HW), np.float32))[0].dtype == np.float32
    assert difference(backbone, "mean", HW) <= SAME


def test_option_is_for_onnx_files() -> None:
    """Other networks give maps: there it would count for nothing."""
    with pytest.raises(UsageError, match="--tokens-to-map is for ONNX files"):
        load_backbone("efficientnet-lite0", HW, tokens_to_map="auto")
