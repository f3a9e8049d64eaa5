"""The graph against the network's own program: both must give the same features, and with them the same scores.

Held-out pictures and synthetic faults are scored by the reference and by ONNX Runtime, both with the exact search.
Differences above rounding are refused, before there is a bundle.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_config.bundle.parity_result import GraphParity
from export.network.make_network import MadeNetwork
from runtime.frame import Image
from runtime.learning.gate.differences import ComparedWays, Limits, checks, judge
from runtime.learning.network import Network
from runtime.learning.progress import progress
from runtime.scoring.scorer import Scorer
from runtime.search.full import Deciding

GRAPH = {
    # float32 sums in another order: features measured within 4e-6. A patch distance is a difference of features
    # that are some times longer than it.
    "float32": Limits(features=1e-4, distances=1e-3, distances_mean=1e-4, scores=1e-3),
    # A value in the middle between two of 256 levels may go to either, and so on through all layers.
    "int8": Limits(features=0.2, distances=0.1, distances_mean=0.01, scores=0.05),
}
"""ONNX Runtime against the reference, by precision."""


def measure_graph(
    pictures: Iterable[Image],
    made: MadeNetwork,
    network: Network,
    scorer: Scorer,
    exact: Deciding,
    total: int | None = None,
) -> GraphParity:
    """Compare the graph with its reference.

    Args:
        pictures: held-out ones and faults, uint8 [H, W, 3] BGR.
        made: the graph and its reference.
        network: the graph, adjusted as it is served.
        scorer: the stages as the device runs them.
        exact: the exact search.
        total: number of pictures, if known.

    Raises:
        ParityRefused: they differ by more than rounding.
    """
    graph, count = ComparedWays(), 0
    for picture in progress(pictures, "graph gate", total=total, unit="picture"):
        tensor = scorer.preprocess(picture)
        wanted, features = made.expected(tensor, network.adjust), scorer.embed(tensor)
        true, found = exact(wanted, scorer.judged), exact(features, scorer.judged)
        graph.add(scorer.score(features, found), found, scorer.score(wanted, true), features, wanted, scorer)
        count += 1
    parity = GraphParity(pictures=count, reference=made.program, graph=graph.summary())
    versions = "the versions of the packages may not go together"
    judge(checks(f"ONNX Runtime against {made.program}", parity.graph, GRAPH[made.precision], versions))
    return parity
