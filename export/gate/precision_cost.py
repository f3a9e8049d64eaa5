"""Measure what a precision below float32 costs in accuracy: the same patches in the bank, once in each precision."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from edge_config.bundle.manifest import Scoring
from edge_config.saving import TEMPORARY, writing
from export.evaluation.dataset import open_dataset
from export.evaluation.metrics import image_auroc
from export.options import Options
from runtime.frame import Image
from runtime.learning.bank.bank import MemoryBank
from runtime.learning.bank.index import neighbour_table
from runtime.learning.bank.measure import NEAREST, make_measure
from runtime.learning.network import Network
from runtime.learning.progress import progress
from runtime.scoring.embed import Embed
from runtime.scoring.score import ScoreFrame
from runtime.scoring.scorer import Scorer
from runtime.search.full import ExactSearch
from runtime.search.restricted import Restricted

MAX_LOST = 0.01
"""Image AUROC that it may lose before a fit warns: one point. Between 12 pictures and 12 faults, two pairs."""


class Auroc(msgspec.Struct, frozen=True):
    """Image AUROC in float32 and in the precision of the bundle; null if a kind of picture is missing."""

    float32: float | None
    reduced: float | None

    @property
    def lost(self) -> float:
        """What the precision loses; 0 if it is unknown."""
        return 0.0 if self.float32 is None or self.reduced is None else self.float32 - self.reduced


class Cost(msgspec.Struct, frozen=True):
    """Accuracy cost of a precision below float32.

    Attributes:
        precision: of the bundle, such as `int8`.
        faults: held-out pictures against synthetic faults.
        test_set: the pictures of `--test-set`; None without one.
    """

    precision: str
    faults: Auroc
    test_set: Auroc | None

    def warnings(self) -> list[str]:
        """Return a line for each kind of picture on which more is lost than may be."""
        of_kinds = (("synthetic faults", self.faults), ("the test set", self.test_set))
        return [
            f"{self.precision} separates {kind} worse than float32 does: "
            f"image AUROC {one.reduced:.4f} and not {one.float32:.4f}; "
            "use --precision float32 for this scene"
            for kind, one in of_kinds
            if one is not None and one.lost > MAX_LOST
        ]


def measure_cost(
    learnt: Iterable[Image],
    pairs: Iterable[tuple[Image, Image]],
    network: Network,
    float_graph: bytes,
    memory: MemoryBank,
    scorer: Scorer,
    scoring: Scoring,
    options: Options,
) -> Cost:
    """Compare the precision of a network with float32.

    Args:
        learnt: what the bank was selected from: training pictures and altered copies, in the order of its rows.
        pairs: held-out pictures, each with its copy with a synthetic fault.
        network: the graph, adjusted.
        float_graph: the same in float32.
        memory: the bank made through it.
        scorer: the stages as the device runs them.
        scoring: score mode.
        options: test set, if there is one, and threads.
    """
    twin = _float_twin(learnt, network, float_graph, memory, scorer, scoring, options.threads)
    precision = network.section.precision
    synthetic = ((image, anomalous) for pair in pairs for image, anomalous in zip(pair, (False, True), strict=True))
    faults_cost = _aurocs(synthetic, None, scorer, twin, precision)
    if options.test_set is None:
        return Cost(precision, faults_cost, None)
    dataset = open_dataset(Path(options.test_set))
    samples = (
        (image, dataset.samples[number].anomalous) for number, image in dataset.pictures(depth=network.spec.depth)
    )
    return Cost(precision, faults_cost, _aurocs(samples, len(dataset.samples), scorer, twin, precision))


def _aurocs(
    samples: Iterable[tuple[Image, bool]], count: int | None, reduced: Scorer, float32: Scorer, precision: str
) -> Auroc:
    found = [
        (float32(image).value, reduced(image).value, anomalous)
        for image, anomalous in progress(samples, f"cost of {precision}", total=count, unit="picture")
    ]
    by_float, by_reduced, truth = (np.array(column) for column in zip(*found, strict=True))
    return Auroc(image_auroc(by_float, truth), image_auroc(by_reduced, truth))


def _float_twin(
    learnt: Iterable[Image],
    network: Network,
    float_graph: bytes,
    memory: MemoryBank,
    scorer: Scorer,
    scoring: Scoring,
    threads: int,
) -> Scorer:
    """Return the same stages in float32, with the features of the same patches as bank, searched exactly."""
    with writing(tempfile.gettempdir(), TEMPORARY, full_only=True), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(float_graph)
        embed = Embed(path, threads, stitch=network.stitch).adjusted(network.adjust)
    places = np.arange(embed.output_shape[0]) if scorer.judged is None else np.flatnonzero(scorer.judged)
    patches = len(places)
    bank = np.full_like(memory.bank, np.nan)
    of_picture = memory.rows // patches
    for place, image in enumerate(progress(learnt, "float32 bank", unit="picture")):
        entries = np.flatnonzero(of_picture == place)
        bank[entries] = embed(network.preprocess(image))[places[memory.rows[entries] % patches]]
    if np.isnan(bank).any():
        raise ValueError("entries of the bank are of no picture that was learnt")
    b = memory.neighbours.shape[1]
    table = neighbour_table(bank, min(max(b, 1 + NEAREST), len(bank)))
    divisors = make_measure(network.adjust, bank, table, memory.coreset.spacing).divisors
    whole = ExactSearch(bank, divisors)
    exact = whole if scorer.judged is None else Restricted(whole, scorer.judged)
    return Scorer(
        preprocess=network.preprocess,
        embed=embed,
        search=exact,
        new_search=lambda: exact,
        whole=exact,
        score=ScoreFrame(bank, table[:, :b], scoring.mode, scoring.k, divisors),
        grid=network.grid,
        judged=scorer.judged,
    )
