"""Patch features: torch against the definition, ONNX Runtime against torch, and what stands in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage
import torch

from edge_config.manifest import Preprocessing
from export.backbone import DEFAULT, load_backbone
from export.graph import PatchFeatures, export_graph, largest_difference
from runtime.embed import Embed
from runtime.preprocess import Preprocess
from tests import reference

INPUT_HW = (96, 128)  # not square, so that rows and columns cannot change places unseen
GRID_HW = (12, 16)
DIMENSION = 40 + 112
TORCH_RELATIVE = 1e-5  # of a patch's norm: float32 means of 9 values and bilinear weights
RUNTIME_RELATIVE = 1e-4  # the promise of the manifest's parity; measured about 1e-6
CHANGED_RELATIVE = 1e-2  # another colour order moves features by far more than any rounding


def preprocess() -> Preprocess:
    """Give the stage that makes inputs of the graph."""
    return Preprocess(
        Preprocessing(
            resize="area",
            resize_hw=INPUT_HW,
            crop_hw=INPUT_HW,
            color_order="bgr",
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
        )
    )


def photograph(name: str) -> np.ndarray:
    """Give a real photograph as the input of the graph, uint8 [1, H, W, 3] BGR."""
    rgb = getattr(skimage.data, name)()
    return preprocess()(np.ascontiguousarray(rgb[..., ::-1]))


@pytest.fixture(scope="module")
def backbone():
    """Give the default network."""
    return load_backbone(DEFAULT, INPUT_HW)


@pytest.fixture(scope="module")
def module(backbone) -> PatchFeatures:
    """Give the patch features of 3 x 3 neighbourhoods in torch."""
    return PatchFeatures(backbone, 3).eval()


@pytest.fixture(scope="module")
def model(module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the exported graph."""
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    export_graph(module, INPUT_HW, path)
    return path


def by_hand(backbone, tensor: np.ndarray, patch_size: int) -> np.ndarray:
    """Compute patch features from the maps of the bare network, which gets (x - 127) / 128 in RGB order."""
    rgb = tensor[0, :, :, ::-1].transpose(2, 0, 1)
    normalised = ((rgb.astype(np.float64) - 127) / 128).astype(np.float32)
    with torch.no_grad():
        maps = backbone.module(torch.from_numpy(normalised[None]))
    return reference.patch_features([layer[0].numpy() for layer in maps], patch_size)


@pytest.mark.parametrize("patch_size", [1, 3, 5])
@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_patch_features_equal_the_definition(backbone, patch_size: int, name: str):
    """Normalised, aggregated over p x p, resized and joined as the method says, patch by patch in row order."""
    tensor = photograph(name)
    found = PatchFeatures(backbone, patch_size).eval().run(tensor)
    assert found.shape == (GRID_HW[0] * GRID_HW[1], DIMENSION)
    assert found.dtype == np.float32
    assert largest_difference(found, by_hand(backbone, tensor, patch_size)) <= TORCH_RELATIVE


def test_grid_and_dimension_are_those_of_the_features(module):
    """Rows, columns and dimension are known before anything is computed on a picture."""
    assert module.grid_and_dimension(INPUT_HW) == (GRID_HW, DIMENSION)


def test_largest_difference_is_relative_to_each_patch():
    """The difference of the worst patch counts, as a share of that patch's own length."""
    patches = np.array([[3, 4], [300, 400]], dtype=np.float32)
    assert largest_difference(patches + np.float32([[0, 0], [0, 5]]), patches) == pytest.approx(0.01)
    assert largest_difference(patches + np.float32([[5, 0], [0, 5]]), patches) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_onnx_runtime_computes_what_torch_computes(module, model: Path, name: str):
    """On real photographs the exported graph gives torch's features, to the promised precision."""
    tensor = photograph(name)
    found = Embed(model, threads=1)(tensor)
    assert found.dtype == np.float32
    assert largest_difference(found, module.run(tensor)) <= RUNTIME_RELATIVE


def test_the_graph_tells_its_shapes(model: Path):
    """Input and output have fixed shapes that a device can compare with the manifest before the first frame."""
    embed = Embed(model, threads=1)
    assert embed.input_shape == (1, *INPUT_HW, 3)
    assert embed.output_shape == (GRID_HW[0] * GRID_HW[1], DIMENSION)


def test_the_graph_takes_bgr(backbone, model: Path):
    """A BGR frame gives the features of its RGB colours; with red and blue exchanged they are others."""
    embed = Embed(model, threads=1)
    tensor = photograph("coffee")
    right = by_hand(backbone, tensor, patch_size=3)
    assert largest_difference(embed(tensor), right) <= RUNTIME_RELATIVE
    assert largest_difference(embed(np.ascontiguousarray(tensor[..., ::-1])), right) > CHANGED_RELATIVE


@pytest.mark.parametrize("level", [0, 255])
def test_frames_of_one_level_give_finite_features(module, model: Path, level: int):
    """The darkest and the brightest frame have features, and the same in both programs."""
    tensor = np.full((1, *INPUT_HW, 3), level, dtype=np.uint8)
    found = Embed(model, threads=1)(tensor)
    assert np.isfinite(found).all()
    assert largest_difference(found, module.run(tensor)) <= RUNTIME_RELATIVE


def test_exporting_again_gives_the_same_bytes(model: Path, tmp_path: Path):
    """The same network exported again, loaded afresh, is the same file."""
    again = tmp_path / "again.onnx"
    export_graph(PatchFeatures(load_backbone(DEFAULT, INPUT_HW), 3), INPUT_HW, again)
    assert again.read_bytes() == model.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.onnx"]  # the weights are inside


def test_the_file_says_nothing_about_this_machine(model: Path):
    """No path, no trace of the call stack and no name of a source file stands in the graph."""
    data = model.read_bytes()
    words = [b".py", b"Traceback", b"stack_trace", b"site-packages", b"/home/", b"/tmp/", b"/usr/", b"/work/"]
    assert [word for word in (*words, str(Path.cwd()).encode()) if word in data] == []


def test_the_graph_has_the_opset_that_old_devices_take(model: Path):
    """The graph uses the plain ONNX operators of opset 18, and none of its own."""
    proto = onnx.load(model)
    assert {(entry.domain, entry.version) for entry in proto.opset_import} == {("", 18)}
    assert not proto.functions
