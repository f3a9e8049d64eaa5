"""The graph against its reference: both must give the same features, and with them the same scores.

Held-out pictures and synthetic faults go through the graph as the device runs it, and through its reference.
Differences above rounding are refused, before there is a bundle.

Scores are exact on both sides, found lazily. A distance to the nearest entry differs by no more than its feature does
(the triangle inequality), divided by the smallest divisor: only where this bound is above the limit are the distances
themselves compared, which costs a search of every patch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.parity_result import GraphParity
from runtime.frame import Image, Score
from runtime.inference.golden_frames import unit
from runtime.learning.gate.differences import ComparedWays, Limits, checks, judge
from runtime.learning.network import Network
from runtime.learning.progress import progress
from runtime.scoring.adjust import Adjust
from runtime.scoring.scorer import Scorer
from runtime.search.full import Deciding

GRAPH = {
    # float32 sums in another order: features measured within 4e-6. A patch distance is a difference of features
    # that are some times longer than it.
    "float32": Limits(features=1e-4, distances=1e-3, distances_mean=1e-4, scores=1e-3),
    # A value in the middle between two of 256 levels may go to either, and so on through all layers.
    "int8": Limits(features=0.2, distances=0.1, distances_mean=0.01, scores=0.05),
    # bf16 has 8 bits, and is held against float32: scores differed by 0.13 (office), a patch distance by 0.28. A patch
    # near the mean has a short feature once the mean is taken off, and what is left differed by up to 0.54 of its
    # length. Those of a wrong graph differ by as much as the largest distance, and on average.
    "bf16": Limits(features=1.0, distances=0.5, distances_mean=0.05, scores=0.3),
}
"""ONNX Runtime against the reference, by precision."""

_REASON = "the versions of the packages may not go together"


class GraphReference(Protocol):
    """What a graph must equal."""

    @property
    def program(self) -> str:
        """Name of what computes it."""

    @property
    def precision(self) -> str:
        """Number type of the graph's convolutions."""

    def expected(self, tensor: NDArray[np.uint8], adjust: Adjust) -> NDArray[np.float32]:
        """Return the features of an input uint8 [N, H, W, 3] BGR, adjusted, float32 [patches, D]."""


def measure_graph(
    pictures: Iterable[Image],
    made: GraphReference,
    network: Network,
    scorer: Scorer,
    exact: Deciding,
    total: int | None = None,
) -> GraphParity:
    """Compare the graph with its reference.

    Args:
        pictures: held-out ones and faults, uint8 [H, W, 3] BGR.
        made: the reference.
        network: the graph, adjusted as it is served.
        scorer: the stages as the device runs them.
        exact: a search whose largest distances are exact.
        total: number of pictures, if known.

    Raises:
        ParityRefused: they differ by more than rounding.
    """
    graph, count, limits = ComparedWays(), 0, GRAPH[made.precision]
    way = f"ONNX Runtime against {made.program}"
    for picture in progress(pictures, "graph gate", total=total, unit="picture"):
        tensor = scorer.preprocess(picture)
        wanted, features = made.expected(tensor, network.adjust), scorer.embed(tensor)
        if not np.isfinite(features).all():  # before a search of what has no distances
            judge([(f"{way}, features", np.nan, limits.features, _REASON)])
        true, found = (scorer.score(one, exact(one, scorer.judged)) for one in (wanted, features))
        apart = _apart(features, found, wanted, true, scorer, exact, limits)
        graph.add(found, apart, true, features, wanted, scorer)
        count += 1
    parity = GraphParity(pictures=count, reference=made.program, graph=graph.summary())
    judge(checks(way, parity.graph, limits, _REASON))
    return parity


def _apart(
    features: NDArray[np.float32],
    found: Score,
    wanted: NDArray[np.float32],
    true: Score,
    scorer: Scorer,
    exact: Deciding,
    limits: Limits,
) -> NDArray[np.float64]:
    """Return by how much the distance of each patch differs at most; by how much it does, if that could be too much."""
    most = np.linalg.norm(features.astype(np.float64) - wanted, axis=1) / scorer.least_divisor
    largest = unit(true.distances, wanted, scorer)
    if most.max() <= limits.distances * largest and most.mean() <= limits.distances_mean * largest:
        return np.asarray(most)
    for values, score in ((features, found), (wanted, true)):
        exact.refine(values, score.found, 0.0)
    return np.abs(found.distances.astype(np.float64) - true.distances)
