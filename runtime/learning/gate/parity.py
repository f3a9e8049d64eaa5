"""Parity check: what the device does must give the scores that were learnt.

Held-out pictures and synthetic faults are scored with the exact search and with that of the device, and the resized
pixels are compared with the definition of the kernel. Differences above rounding are refused, before there is a bundle.
Features that were learnt from must be those that the gate computes of the same pictures, wherever they were embedded.
That the graph computes what its network does was checked where the graph was made (`export/gate/parity.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Preprocessing
from edge_config.bundle.parity_result import Parity, Tolerance, name_of_tolerance
from edge_config.errors import ParityRefused
from runtime.frame import Image, Neighbours, Score
from runtime.inference.golden_frames import unit
from runtime.inference.providers.options import BF16, CUDA, OPENVINO, TENSORRT
from runtime.learning.gate.differences import ROUNDING, ComparedWays, Limits, checks, judge
from runtime.learning.gate.differences import apart as apart_of
from runtime.learning.gate.resize_by_definition import Levels, inputs_by_definition
from runtime.learning.network import Network
from runtime.scoring.scorer import Scorer
from runtime.search.full import Deciding, distances

MAX_PICTURES = 12
"""Maximum number of held-out pictures that are compared, spread evenly, and as many faults: each costs an exact search
of every patch, and an index or a graph that differs shows it on the first one."""

LEVELS = 1.0
"""OpenCV resizes in fixed point or float32 and rounds to whole levels; so does the definition, in float64."""

LEVELS_MEAN = 0.25
"""Bilinear weights of 11 bits round some pixels to the other level; another kernel is off by whole levels."""

SEARCH = Limits(features=0.0, distances=np.inf, distances_mean=0.02, scores=1e-5)
"""The device's search against the exact one: the score is equal but for the order of sums; off the top, the graph
misses a few nearest entries."""

BELOW = 1e-3
"""Share of the picture's largest distance by which rounding may take one below the true one. More than that is the
distance to an entry that the bank does not have."""

_FAULTY = "the GPU or worker that embedded the pictures computes in fewer bits, or is faulty"

CPU = "CPUExecutionProvider"
GPUS = CUDA, TENSORRT

FLOAT32_CPU = Tolerance(scores=1e-3, distances_mean=1e-3)
"""Other CPUs sum in another order; a changed kernel, colour order or index moves scores by percents."""

FLOAT32_OPENVINO = Tolerance(scores=1e-4, distances_mean=1e-4)
"""OpenVINO in float32: differences of up to 1e-6 seen (default network). In bfloat16, 0.1."""

FLOAT32_GPU = Tolerance(scores=1e-5, distances_mean=1e-5)
"""CUDA without TF32: differences of up to 1e-6 seen (H100; default network, WideResNet50). With TF32, which keeps 10
bits of a factor, 1e-4 to 3e-3. TensorRT in float32 was not run."""

FLOAT16_GPU = Tolerance(scores=2e-2, distances_mean=1e-2)
"""TensorRT with `trt_fp16_enable`: float16 has 10 bits. Not measured: no such device was at hand."""

BFLOAT16_OPENVINO = Tolerance(scores=1e-3, distances_mean=1e-3)
"""A bundle in bf16: up to 7e-5 seen between AVX512-BF16 and the same in steps of AVX-512, and nothing between numbers
of threads or of pictures. OpenVINO in float32 differs by 2e-3 and 7e-3, and must be refused."""

INT8 = Tolerance(scores=0.05, distances_mean=0.01)

TOLERANCES = {
    "float32": {CPU: FLOAT32_CPU, OPENVINO: FLOAT32_OPENVINO}
    | dict.fromkeys(GPUS, FLOAT32_GPU)
    | {name_of_tolerance(TENSORRT, "fp16"): FLOAT16_GPU},
    BF16: {name_of_tolerance(OPENVINO, BF16): BFLOAT16_OPENVINO},
    "int8": dict.fromkeys((CPU, OPENVINO, *GPUS), INT8),
}
"""Tolerance of a device on the golden frames, by precision and provider of ONNX Runtime."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparedPicture:
    """Differences on one picture, wherever it was compared.

    Attributes:
        levels: of its pixels.
        search: of the device's search.
        below: how far a distance is below the true one at most, as a share of the largest.
        learnt: how far the features that were learnt from are off at most, as a share of the longest one.
    """

    levels: Levels
    search: ComparedWays
    below: float
    learnt: float


def compare_picture(
    picture: Image,
    spec: Preprocessing,
    scorer: Scorer,
    exact: Deciding,
    learnt: NDArray[np.float32] | None = None,
) -> ComparedPicture:
    """Compare the device's search with the exact one on a picture, and its pixels with the definition.

    Args:
        picture: held-out one or fault, uint8 [H, W, 3] BGR.
        spec: from a picture to the input of the graph.
        scorer: the stages as the device runs them.
        exact: the exact search.
        learnt: features that were learnt from, if they were of this picture, float32 [patches, D].
    """
    levels, search = Levels(), ComparedWays()
    tensor = scorer.preprocess(picture)
    levels.add(np.abs(inputs_by_definition(picture, spec) - tensor))
    features = scorer.embed(tensor)
    true = exact(features, scorer.judged)
    decision, whole = scorer.judge(features), scorer.whole(features)
    apart = np.abs(whole.distance.astype(np.float64) - true.distance)
    search.add(decision, apart, scorer.score(features, true), features, features, scorer)
    judged = slice(None) if scorer.judged is None else scorer.judged
    off = 0.0 if learnt is None else apart_of(learnt[judged], features[judged])
    return ComparedPicture(levels, search, _below(whole, true, features, scorer), off)


def judge_parity(compared: Iterable[ComparedPicture], network: Network) -> Parity:
    """Put the differences on all pictures together, in order.

    Raises:
        ParityRefused: they are more than rounding.
    """
    levels, search = Levels(), ComparedWays()
    for one in compared:
        levels.join(one.levels)
        search.join(one.search)
        _refuse_below(one.below)
        judge([("features that were learnt from, against those of the gate", one.learnt, ROUNDING, _FAULTY)])
    parity = Parity(
        pictures=levels.pictures,
        resize_levels=levels.summary(),
        search=search.summary(),
        tolerances=network.tolerances,
    )
    index = "the index misses too many nearest entries of this bank: try another --coreset or --seed, and report it"
    judge([*_pixels(parity), *checks("the index against the exact search", parity.search, SEARCH, index)])
    return parity


def is_clear(
    features: NDArray[np.float32],
    score: Score,
    bank: NDArray[np.float32],
    divisors: NDArray[np.float32] | None = None,
    margin: float = 1e-3,
) -> bool:
    """Return whether no other patch or entry is so close to the deciding ones that rounding could swap them."""
    patches = np.partition(score.distances, -2)[-2:] if len(score.distances) > 1 else np.array([0, 1])
    apart = distances(features[score.patch], bank, divisors=divisors)
    entries = np.partition(apart, 1)[:2]
    return bool(patches[0] < patches[1] * (1 - margin) and entries[0] < entries[1] * (1 - margin))


def _pixels(parity: Parity) -> list[tuple[str, float, float, str]]:
    versions = "the versions of the packages may not go together"
    return [
        ("resized pixels, levels", parity.resize_levels.largest, LEVELS, versions),
        ("resized pixels, levels, mean", parity.resize_levels.mean, LEVELS_MEAN, versions),
    ]


def _below(device: Neighbours, true: Neighbours, features: NDArray[np.float32], scorer: Scorer) -> float:
    return float((true.distance - device.distance).max()) / unit(true.distance, features, scorer)


def _refuse_below(below: float) -> None:
    if below > BELOW:
        raise ParityRefused(
            f"the index gives distances that are {below:.1%} below the true ones: it is not of this bank",
            remedy="fit again; if it stays, report it",
        )
