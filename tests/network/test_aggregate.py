"""f_agg: the small convolutions and the definition in use against the paper's steps, and torch's own pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from export.network.aggregate import (
    Aggregation,
    Kernel,
    adaptive_kernels,
    bilinear_matrix,
    by_definition,
    pooling_matrix,
)
from tests.support import reference

KERNEL_ABSOLUTE = 1e-5  # of features around 1: float32 weights and sums of some ten thousand values at most
FLOAT64_ABSOLUTE = 1e-12  # of values around 1: float64 sums of ten thousand values in another order
MAPS_HW = [(6, 8), (3, 4), (2, 2), (1, 2)]
"""Maps of consecutive layers, none of them square but one, and the last not half of the one before."""


def maps_of(channels: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    """Return random maps float32 [1, c, h, w], each layer smaller than the one before."""
    random = np.random.default_rng(seed)
    return [
        random.standard_normal((1, count, *hw)).astype(np.float32) for count, hw in zip(channels, MAPS_HW, strict=False)
    ]


def literal(maps: list[np.ndarray], aggregation: Aggregation) -> np.ndarray:
    """Return the patch features of the reference."""
    dims = (aggregation.layer_dim, aggregation.target_dim) if aggregation.kind == "adaptive" else None
    return reference.patch_features([each[0] for each in maps], aggregation.patch_size, aggregation.stride, dims)


def by_kernels(maps: list[np.ndarray], kernels: list[Kernel], target_dim: int) -> np.ndarray:
    """Convolve every layer, resize it to the first and add it to the outputs that it has a share of, all in torch."""
    total = torch.zeros(1, target_dim, *maps[0].shape[2:])
    for layer, kernel in zip(maps, kernels, strict=True):
        weight = torch.from_numpy(kernel.weight)
        local = functional.conv2d(torch.from_numpy(layer), weight, padding=weight.shape[-1] // 2, groups=kernel.groups)
        large = functional.interpolate(local, maps[0].shape[2:], mode="bilinear", align_corners=False)
        total[:, kernel.first : kernel.first + len(weight)] += large
    return total[0].reshape(target_dim, -1).T.numpy()


@pytest.mark.parametrize("patch_size", [1, 3, 5])
@pytest.mark.parametrize(
    ("channels", "layer_dim", "target_dim"),
    [
        pytest.param((512, 1024), 1024, 1024, id="WideResNet50"),
        pytest.param((128, 256), 1024, 1024, id="ResNet18"),
        pytest.param((40, 112), 1024, 1024, id="two of lite0"),
        pytest.param((24, 40, 112), 1000, 900, id="three, nothing divides"),
        pytest.param((24, 40, 112), 1024, 1024, id="three, outputs shared"),
        pytest.param((40, 112), 37, 61, id="fewer than channels, then more than joined"),
        pytest.param((7, 5, 3, 11), 100, 7, id="four into seven"),
        pytest.param((7,), 50, 20, id="one layer"),
        pytest.param((40, 112), 64, 1, id="one number"),
    ],
)
def test_convolutions_give_what_the_paper_describes(
    channels: tuple[int, ...], layer_dim: int, target_dim: int, patch_size: int
):
    """One convolution per layer gives the paper's features, for any channels, dimensions and patch size."""
    aggregation = Aggregation(kind="adaptive", patch_size=patch_size, layer_dim=layer_dim, target_dim=target_dim)
    maps = maps_of(channels)
    kernels = adaptive_kernels(channels, aggregation)
    assert [kernel.weight.shape[2:] for kernel in kernels] == [(patch_size, patch_size)] * len(channels)
    found = by_kernels(maps, kernels, target_dim)
    np.testing.assert_allclose(found, literal(maps, aggregation), rtol=0, atol=KERNEL_ABSOLUTE)


def test_the_closed_form_of_the_papers_network():
    """For 512 and 1,024 channels the kernels are the known ones: 0.1 with 0.2 in the centre, and means of pairs.

    Nine values of a channel become two means of five, which share the centre, and these one; of 1,024 channels each
    gives one mean of nine, and two of these one.
    """
    first, second = adaptive_kernels((512, 1024), Aggregation(kind="adaptive", layer_dim=1024, target_dim=1024))
    centred = np.full((3, 3), 0.1)
    centred[1, 1] = 0.2
    assert (first.groups, first.first, first.weight.shape) == (512, 0, (512, 1, 3, 3))
    np.testing.assert_allclose(first.weight, np.broadcast_to(centred, first.weight.shape), rtol=KERNEL_ABSOLUTE)
    assert (second.groups, second.first, second.weight.shape) == (512, 512, (512, 2, 3, 3))
    np.testing.assert_allclose(second.weight, 1 / 18, rtol=KERNEL_ABSOLUTE)


@pytest.mark.parametrize("channels", [(512, 1024), (128, 256), (24, 40, 112), (64,)])
def test_the_weights_of_each_output_sum_to_one(channels: tuple[int, ...]):
    """Over all layers the weights of one output sum to 1, so features keep the scale of the maps."""
    aggregation = Aggregation(kind="adaptive", layer_dim=1024, target_dim=1024)
    total = np.zeros(1024)
    for kernel in adaptive_kernels(channels, aggregation):
        total[kernel.first : kernel.first + len(kernel.weight)] += kernel.weight.sum(axis=(1, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(total, 1, rtol=KERNEL_ABSOLUTE)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("patch_size", [1, 3, 5])
@pytest.mark.parametrize("kind", ["mean", "adaptive"])
@pytest.mark.parametrize("channels", [(9,), (8, 12), (5, 7, 11), (3, 4, 5, 6)])
def test_the_definition_in_use_is_that_of_the_method(
    channels: tuple[int, ...], kind: str, patch_size: int, stride: int
):
    """What the gate compares the graph with equals the method, for both kinds and any layers, patch size and stride."""
    aggregation = Aggregation(kind=kind, patch_size=patch_size, stride=stride, layer_dim=50, target_dim=33)
    maps = maps_of(channels)
    found = by_definition(maps, aggregation)
    assert found.dtype == np.float64
    assert found.shape == (-(-6 // stride) * -(-8 // stride), aggregation.dimension(channels))
    np.testing.assert_allclose(found, literal(maps, aggregation), rtol=0, atol=FLOAT64_ABSOLUTE)


def test_the_definition_for_the_papers_network():
    """Also with the paper's channels and dimensions, what the gate compares with is the paper's method."""
    aggregation = Aggregation(kind="adaptive", layer_dim=1024, target_dim=1024)
    maps = maps_of((512, 1024))
    np.testing.assert_allclose(
        by_definition(maps, aggregation), literal(maps, aggregation), rtol=0, atol=FLOAT64_ABSOLUTE
    )


@pytest.mark.parametrize(
    ("inputs", "outputs"), [(4608, 1024), (9216, 1024), (2048, 1024), (360, 1024), (3072, 900), (7, 7), (5, 1), (1, 5)]
)
def test_pooling_is_torchs_adaptive_average(inputs: int, outputs: int):
    """The pooling matrix averages the same cells as torch's adaptive pooling, also to more cells than values."""
    values = np.random.default_rng(0).standard_normal((3, inputs))
    torchs = functional.adaptive_avg_pool1d(torch.from_numpy(values), outputs).numpy()
    found = pooling_matrix(inputs, outputs)
    assert found.shape == (outputs, inputs)
    np.testing.assert_allclose((found @ values.T).T, torchs, rtol=0, atol=FLOAT64_ABSOLUTE)
    np.testing.assert_allclose(reference.adaptive_pool(values.T, outputs).T, torchs, rtol=0, atol=FLOAT64_ABSOLUTE)


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 8), (5, 12), (12, 5), (7, 7), (1, 6), (9, 1)])
def test_resizing_is_bilinear_between_pixel_centres(inputs: int, outputs: int):
    """Enlarging interpolates between pixel centres, level beyond the outermost; shrinking does not smooth."""
    values = np.random.default_rng(0).standard_normal((1, inputs, 1))
    wanted = reference.resize_bilinear(values, (outputs, 1))[0]
    np.testing.assert_allclose(bilinear_matrix(inputs, outputs) @ values[0], wanted, rtol=0, atol=FLOAT64_ABSOLUTE)


def test_dimension_is_known_before_any_picture():
    """`mean` gives the sum of the channels, `adaptive` always target_dim."""
    assert Aggregation(kind="mean").dimension((24, 40, 112)) == 176
    assert Aggregation(kind="adaptive", target_dim=900).dimension((24, 40, 112)) == 900
