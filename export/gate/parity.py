"""Parity check: the bundle to be served must give the scores that were learnt.

Held-out pictures and synthetic faults are scored three ways: by the reference with the exact search, by ONNX Runtime
with the exact search, and by ONNX Runtime with the search of the device. The resized pixels are compared with the
definition of the kernel. Differences above rounding are refused, before there is a bundle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Preprocessing
from edge_config.bundle.parity_result import Comparison, Difference, Parity, Tolerance
from edge_config.errors import ParityRefused
from export.network.aggregate import bilinear_matrix
from export.network.make_network import Network
from export.progress import progress
from runtime.frame import Image, Neighbours, Score
from runtime.inference.golden_frames import unit
from runtime.scoring.scorer import Scorer
from runtime.search.full import Deciding, distances

MAX_PICTURES = 50
"""Maximum number of held-out pictures that are compared, spread evenly, and as many faults: each costs two exact
searches of every patch, and a graph that differs shows it on the first one."""

LEVELS = 1.0
"""OpenCV resizes in fixed point or float32 and rounds to whole levels; so does the definition, in float64."""

LEVELS_MEAN = 0.25
"""Bilinear weights of 11 bits round some pixels to the other level; another kernel is off by whole levels."""

ROUNDING = 1e-4
"""Maximum rounding error relative to a feature's length (`GRAPH`): a threshold below it separates nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a `Comparison`; infinite where a difference has no meaning."""

    features: float
    distances: float
    distances_mean: float
    scores: float


GRAPH = {
    # float32 sums in another order: features measured within 4e-6. A patch distance is a difference of features
    # that are some times longer than it.
    "float32": Limits(features=1e-4, distances=1e-3, distances_mean=1e-4, scores=1e-3),
    # A value in the middle between two of 256 levels may go to either, and so on through all layers.
    "int8": Limits(features=0.2, distances=0.1, distances_mean=0.01, scores=0.05),
}
"""ONNX Runtime against the reference, by precision."""

SEARCH = Limits(features=0.0, distances=np.inf, distances_mean=0.02, scores=1e-5)
"""The device's search against the exact one: the score is equal but for the order of sums; off the top, the graph
misses a few nearest entries."""

BELOW = 1e-3
"""Share of the picture's largest distance by which rounding may take one below the true one. More than that is the
distance to an entry that the bank does not have."""

CPU = "CPUExecutionProvider"
OTHERS = ("CUDAExecutionProvider", "TensorrtExecutionProvider")

TOLERANCES = {
    # Other CPUs sum in another order; a changed kernel, colour order or index moves scores by percents.
    "float32": {CPU: Tolerance(scores=1e-3, distances_mean=1e-3)}
    # TF32 keeps 10 bits of a factor. Not measured: no such device was at hand.
    | dict.fromkeys(OTHERS, Tolerance(scores=2e-2, distances_mean=1e-2)),
    "int8": dict.fromkeys((CPU, *OTHERS), Tolerance(scores=0.05, distances_mean=0.01)),
}
"""Tolerance of a device on the golden frames, by precision and provider of ONNX Runtime."""


@dataclass(slots=True)
class _Differences:
    """Measurements on the pictures so far."""

    features: list[NDArray[np.float64]] = field(default_factory=list)
    distances: list[NDArray[np.float64]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    ties: list[bool] = field(default_factory=list)

    def add(
        self,
        found: Score,
        whole: Neighbours,
        true: Score,
        features: NDArray[np.float32],
        wanted: NDArray[np.float32],
        scorer: Scorer,
    ) -> None:
        """Compare one picture: features, scores, and all distances, as a decision has only a few."""
        judged = slice(None) if true.found.active is None else true.found.active
        self.features.append(relative(features, wanted)[judged])
        largest = unit(true.distances, wanted, scorer)
        self.distances.append(np.abs(whole.distance.astype(np.float64) - true.distances)[judged] / largest)
        tie = (found.patch, found.entry) != (true.patch, true.entry)
        self.ties.append(tie)
        # Two entries at the same distance have different neighbours, and so another re-weighting: then only the largest
        # distance can be compared.
        here, there = (float(score.distances.max()) if tie else score.value for score in (found, true))
        self.scores.append(abs(here - there) / largest)

    def summary(self) -> Comparison:
        """Return the largest and the mean of each."""
        features, distances = np.concatenate(self.features), np.concatenate(self.distances)
        return Comparison(
            features=_difference(features),
            distances=_difference(distances),
            scores=_difference(np.array(self.scores)),
            ties=float(np.mean(self.ties)),
        )


@dataclass(slots=True)
class _Levels:
    """Differences of resized pixels, of all pictures so far: no pixel is kept."""

    largest: float = 0.0
    total: float = 0.0
    pixels: int = 0
    pictures: int = 0

    def add(self, levels: NDArray[np.float64]) -> None:
        """Add those of a picture."""
        self.largest = max(self.largest, float(levels.max()))
        self.total += float(levels.sum())  # integers: exact
        self.pixels += levels.size
        self.pictures += 1

    def summary(self) -> Difference:
        """Return the largest and the mean."""
        return Difference(largest=self.largest, mean=self.total / self.pixels)


def measure_parity(
    pictures: Iterable[Image], network: Network, scorer: Scorer, exact: Deciding, total: int | None = None
) -> Parity:
    """Compare the three ways.

    Args:
        pictures: held-out ones and faults, uint8 [H, W, 3] BGR.
        network: the graph to be served, and its reference.
        scorer: the stages as the device runs them.
        exact: the exact search.
        total: number of pictures, if known.

    Raises:
        ParityRefused: they differ by more than rounding.
    """
    levels, graph, search = _Levels(), _Differences(), _Differences()
    for picture in progress(pictures, "parity gate", total=total, unit="picture"):
        tensor = scorer.preprocess(picture)
        levels.add(np.abs(inputs_by_definition(picture, network.spec) - tensor))
        wanted, features = network.expected(tensor), scorer.embed(tensor)
        true, middle = exact(wanted, scorer.judged), exact(features, scorer.judged)
        decision, whole = scorer.judge(features), scorer.whole(features)
        by_exact = scorer.score(features, middle)
        graph.add(by_exact, middle, scorer.score(wanted, true), features, wanted, scorer)
        search.add(decision, whole, by_exact, features, features, scorer)
        _refuse_below(whole, middle, features, scorer)
    parity = Parity(
        pictures=levels.pictures,
        reference=network.program,
        resize_levels=levels.summary(),
        graph=graph.summary(),
        search=search.summary(),
        tolerances=TOLERANCES[network.precision],
    )
    _judge(parity, GRAPH[network.precision])
    return parity


def relative(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ||found - wanted|| / ||wanted|| of each patch, for float32 [patches, D]."""
    apart = np.linalg.norm(found.astype(np.float64) - wanted, axis=1)
    lengths = np.linalg.norm(wanted.astype(np.float64), axis=1)
    return np.asarray(apart / np.maximum(lengths, np.finfo(np.float32).tiny))


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


def resize_by_definition(picture: Image, spec: Preprocessing) -> NDArray[np.float64]:
    """Resize and crop by the definition of the kernels, rounded to whole levels: float64 [H, W, 3]."""
    shrinks = all(have >= want for have, want in zip(picture.shape, spec.resize_hw, strict=False))
    matrix = _area_matrix if shrinks else bilinear_matrix
    rows, columns = (matrix(have, want) for have, want in zip(picture.shape, spec.resize_hw, strict=False))
    narrow = _weighted(rows, picture)
    resized = np.rint(_weighted(columns, narrow.transpose(1, 0, 2)).transpose(1, 0, 2))
    top, left = ((resize - crop) // 2 for resize, crop in zip(spec.resize_hw, spec.crop_hw, strict=True))
    return np.asarray(resized[top : top + spec.crop_hw[0], left : left + spec.crop_hw[1]])


def inputs_by_definition(picture: Image, spec: Preprocessing) -> NDArray[np.float64]:
    """Return the inputs of the graph by definition, rounded to whole levels: float64 [N, H, W, 3]."""
    seen = resize_by_definition(picture, spec)
    if spec.tiles is None:
        return seen[None]
    height, width = spec.tiles.tile_hw
    corners = ((top, left) for top in spec.tiles.tops for left in spec.tiles.lefts)
    return np.stack([seen[top : top + height, left : left + width] for top, left in corners])


def _weighted(matrix: NDArray[np.float64], values: NDArray[Any]) -> NDArray[np.float64]:
    """Return matrix @ values for a banded matrix: float64 [outputs, ...]."""
    found = np.empty((len(matrix), *values.shape[1:]))
    for weights, row in zip(matrix, found, strict=True):
        some = np.flatnonzero(weights)
        span = slice(int(some[0]), int(some[-1]) + 1)
        row[:] = np.tensordot(weights[span], values[span].astype(np.float64), axes=1)
    return found


def _area_matrix(inputs: int, outputs: int) -> NDArray[np.float64]:
    """Return the share of each input pixel in each output pixel, float64 [outputs, inputs]."""
    edges = np.arange(outputs + 1) * inputs / outputs
    pixels = np.arange(inputs)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.maximum(overlap, 0) * outputs / inputs)


def _difference(values: NDArray[np.float64]) -> Difference:
    return Difference(largest=float(values.max()), mean=float(values.mean()))


def _refuse_below(device: Neighbours, true: Neighbours, features: NDArray[np.float32], scorer: Scorer) -> None:
    below = float((true.distance - device.distance).max()) / unit(true.distance, features, scorer)
    if below > BELOW:
        raise ParityRefused(
            f"the index gives distances that are {below:.1%} below the true ones: it is not of this bank",
            remedy="fit again; if it stays, report it",
        )


def _judge(parity: Parity, limits: Limits) -> None:
    """Refuse values beyond the limits, and NaN."""
    machine = "the versions of the packages may not go together"
    index = "the index misses too many nearest entries of this bank: try another --coreset or --seed, and report it"
    checks = [
        ("resized pixels, levels", parity.resize_levels.largest, LEVELS, machine),
        ("resized pixels, levels, mean", parity.resize_levels.mean, LEVELS_MEAN, machine),
        *((*check, machine) for check in _checks(f"ONNX Runtime against {parity.reference}", parity.graph, limits)),
        *((*check, index) for check in _checks("the index against the exact search", parity.search, SEARCH)),
    ]
    for what, found, limit, reason in checks:
        if not found <= limit:
            raise ParityRefused(
                f"parity gate: {what}: differs by {found:.2e}, allowed is {limit:.0e}",
                remedy=f"no bundle was made; {reason}",
            )


def _checks(way: str, found: Comparison, limits: Limits) -> list[tuple[str, float, float]]:
    return [
        (f"{way}, features", found.features.largest, limits.features),
        (f"{way}, patch distances", found.distances.largest, limits.distances),
        (f"{way}, patch distances, mean", found.distances.mean, limits.distances_mean),
        (f"{way}, image scores", found.scores.largest, limits.scores),
    ]
