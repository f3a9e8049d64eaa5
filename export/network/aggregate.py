"""f_agg: from the maps of a network to patch features (PatchCore section 3.1, equations 2 and 3).

`mean` averages each channel over p x p. `adaptive` flattens each neighbourhood as (channel, row, column), averages it
to `layer_dim` values, joins the layers and averages again to `target_dim`. Both are linear with fixed weights, so a
convolution computes either: `adaptive_kernels` finds the smallest one. `by_definition` is the slow literal form that
the gate compares the graph with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from runtime.learning.gate.resize_by_definition import bilinear_matrix

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """How maps become patch features.

    Attributes:
        kind: `mean` or `adaptive`.
        patch_size: p, odd.
        stride: s; patches are the positions with row mod s = 0 and column mod s = 0.
        layer_dim, target_dim: lengths after the two steps of `adaptive`.
    """

    kind: Literal["mean", "adaptive"] = "mean"
    patch_size: int = 3
    stride: int = 1
    layer_dim: int = 1024
    target_dim: int = 1024

    def dimension(self, channels: Sequence[int]) -> int:
        """Return D for layers of so many channels."""
        return self.target_dim if self.kind == "adaptive" else sum(channels)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A grouped convolution over one layer that gives some of the channels of `adaptive`.

    Attributes:
        weight: float32 [outputs, channels / groups, p, p].
        groups: of channels; outputs of a group see its channels only.
        first: number of the first output; the layers before it give those below, except where both give a share.
    """

    weight: NDArray[np.float32]
    groups: int
    first: int


def adaptive_kernels(channels: Sequence[int], aggregation: Aggregation) -> list[Kernel]:
    """Find, for each layer, the convolution with the fewest weights that equals `adaptive`.

    Each output averages neighbouring values, so it sees few channels; where the layer splits into equal blocks of
    channels and outputs, a convolution with so many groups leaves out only zeros. For 512 and 1,024 channels pooled to
    1,024 it is depthwise for the first and pairs of channels for the second.

    Args:
        channels: of each layer, the finest first.
        aggregation: of kind `adaptive`.
    """
    window = aggregation.patch_size**2
    layer_dim = aggregation.layer_dim
    target = pooling_matrix(len(channels) * layer_dim, aggregation.target_dim).tocsc()
    kernels = []
    for number, count in enumerate(channels):
        joined = target[:, number * layer_dim : (number + 1) * layer_dim]
        matrix = (joined @ pooling_matrix(count * window, layer_dim)).tocoo()
        first, last = int(matrix.row.min()), int(matrix.row.max())
        outputs = last - first + 1
        rows, entries = matrix.row - first, matrix.col // window
        most = math.gcd(count, outputs)
        divisors = (g for g in range(most, 0, -1) if most % g == 0)
        groups = next(g for g in divisors if (rows // (outputs // g) == entries // (count // g)).all())
        weight = np.zeros((outputs, count // groups, window), dtype=np.float32)
        weight[rows, entries % (count // groups), matrix.col % window] = matrix.data
        p = aggregation.patch_size
        kernels.append(Kernel(weight.reshape(outputs, count // groups, p, p), groups, first))
    return kernels


def pooling_matrix(inputs: int, outputs: int) -> sparse.csr_array:
    """Return 1-D adaptive average pooling as a matrix: row i averages floor(i n / m) to ceil((i + 1) n / m) - 1."""
    from scipy import sparse  # `mean` does without

    cells = np.arange(outputs)
    starts, ends = cells * inputs // outputs, -((cells + 1) * -inputs // outputs)
    lengths = ends - starts
    columns = np.repeat(starts - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths) + np.arange(lengths.sum())
    rows = np.repeat(cells, lengths)
    return sparse.csr_array((np.repeat(1 / lengths, lengths), (rows, columns)), shape=(outputs, inputs))


def resizing_matrix(have: int, want: int) -> NDArray[np.float64]:
    """Return the matrix of a bilinear resize, half-pixel centres, float64 [want, have], as OpenCV computes it."""
    return np.asarray(cv2.resize(np.eye(have), (have, want), interpolation=cv2.INTER_LINEAR))


def averaging_matrix(length: int, window: int) -> NDArray[np.float64]:
    """Return the matrix of a mean over a window with zeros outside of the map, float64 [length, length]."""
    places = np.arange(length)
    near = np.abs(np.subtract.outer(places, places)) <= window // 2
    return near / window


def by_definition(maps: Sequence[NDArray[np.float32]], aggregation: Aggregation) -> NDArray[np.float64]:
    """Compute patch features as the method says, step by step.

    Args:
        maps: of one picture, each float32 [1, c_j, h_j, w_j], the finest first.
        aggregation: how.

    Returns:
        float64 [patches, D], row by row.
    """
    layers = [_neighbourhoods(layer[0].astype(np.float64), aggregation) for layer in maps]
    grid = layers[0].shape[1:]
    joined = np.concatenate([layers[0], *(_resize(deeper, grid) for deeper in layers[1:])])
    joined = joined[:, :: aggregation.stride, :: aggregation.stride]
    patches = joined.reshape(len(joined), -1).T
    return _pool(patches, aggregation.target_dim) if aggregation.kind == "adaptive" else patches


def _neighbourhoods(layer: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
    """Aggregate the p x p windows of a map [c, h, w], zeros outside: [c or layer_dim, h, w]."""
    p = aggregation.patch_size
    reach = p // 2
    padded = np.pad(layer, ((0, 0), (reach, reach), (reach, reach)))
    windows = sliding_window_view(padded, (p, p), axis=(1, 2))
    if aggregation.kind == "mean":
        return np.asarray(windows.mean(axis=(3, 4)))
    channels, height, width = layer.shape
    flat = windows.transpose(1, 2, 0, 3, 4).reshape(height * width, channels * p * p)
    return _pool(flat, aggregation.layer_dim).T.reshape(-1, height, width)


def _pool(values: NDArray[np.float64], outputs: int) -> NDArray[np.float64]:
    """Average the rows of [n, inputs] adaptively to [n, outputs]."""
    inputs = values.shape[1]
    sums = np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))
    cells = np.arange(outputs)
    starts, ends = cells * inputs // outputs, -((cells + 1) * -inputs // outputs)
    return np.asarray((sums[:, ends] - sums[:, starts]) / (ends - starts))


def _resize(layer: NDArray[np.float64], size_hw: tuple[int, ...]) -> NDArray[np.float64]:
    """Resize [c, h, w] bilinearly, align_corners = False."""
    rows, columns = (bilinear_matrix(have, want) for have, want in zip(layer.shape[1:], size_hw, strict=True))
    return np.asarray(rows @ layer @ columns.T)
