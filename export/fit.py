"""Fit a bundle to normal pictures: make the network, learn with it, and hold it against the network's own program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from edge_config.bundle.staging import staging
from edge_config.extra import look_for
from export.cluster.connect import Cluster, cluster_of
from export.cluster.spread import OnCluster
from export.gate.bf16_time import compare_times
from export.gate.parity import measure_graph
from export.gate.precision_cost import Cost, measure_cost
from export.gate.score_faults import PlacedFaults, ScoreFaults
from export.gate.tolerance_cost import ToleranceCost, measure_tolerances
from export.gpu.start import here_on
from export.network.packaged import PackagedNetwork
from export.options import Options
from export.pictures.where import source_of
from export.report.choose import choose
from export.report.facts import FitReport
from export.report.gallery import show
from export.report.page import write_page
from export.report.target import refuse_page
from export.unused_options import without_effect
from runtime.frame import Image
from runtime.inference.providers.bf16 import require_bf16
from runtime.inference.providers.options import BF16
from runtime.learning.calibrate import calibrate
from runtime.learning.learn import copies_of, learn, threshold_of
from runtime.learning.learnt import LearntBundle
from runtime.learning.network import Network
from runtime.learning.parts.spread import Here, Spreading
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.sizes import Crop
from runtime.learning.pictures.source import PictureSource
from runtime.learning.pictures.survey import Survey
from runtime.learning.progress import say
from runtime.learning.stopwatch import Stopwatch
from runtime.learning.vary.copies import learnt_again
from runtime.process.threads import limit_threads

if TYPE_CHECKING:
    from export.network.make_network import MadeNetwork  # loads torch and onnx


def fit(
    options: Options,
    *,
    source: PictureSource | None = None,
    sealed: Callable[[Path], None] | None = None,
    cluster: Cluster | None = None,
    here: Here | None = None,
) -> FitReport:
    """Make a bundle from normal pictures.

    Args:
        options: of learning, and of the network.
        source: has the pictures; by default they are where `options.images` says.
        sealed: gets the folder of the complete bundle before it is put in its place.
        cluster: where the work on pictures is done; by default as the options say.
        here: what computes in this process, where there is no cluster; by default as the options say.

    Raises:
        UsageError: pictures, network or target that cannot be used; nothing is left behind.
        ParityRefused: what was made differs from what it was made from; nothing is left behind.
        ProviderUnavailable: the GPU that the options ask for cannot be used; nothing was begun.
    """
    threads = limit_threads(options.threads)
    out, timed = Path(options.out), Stopwatch()
    if options.precision != "float32":
        look_for("sklearn")
    if options.precision == BF16:
        require_bf16("--precision bf16")
    page = refuse_page(out, unwanted=options.no_report, force=options.force)
    with _where(options, cluster, here, threads) as on, staging(out, force=options.force) as folder:
        maker = _Maker(options, threads)
        crop = Crop(options.resize, options.size, accepted=options.accept_crop) if options.resize else None
        learnt = learn(
            options,
            folder,
            maker,
            timed,
            threads,
            crop=crop,
            notes=without_effect(options),
            source=source or source_of(options.images),
            on=on,
        )
        with timed("graph gate"):
            both, count = chain.from_iterable(learnt.pairs(options.seed)), 2 * len(learnt.compared)
            exact = learnt.scorer.another().search
            graph = measure_graph(both, maker.made, learnt.network, learnt.scorer, exact, count)
        tolerance_costs, cost = (
            _tolerance_costs(learnt, options, timed),
            _precision_cost(learnt, maker.made, options, timed),
        )
        choice = None
        if page:
            with timed("faults"):
                sources = learnt.pictures, learnt.held, learnt.scores, learnt.found.learnt
                calibrated = partial(calibrate, learnt.scores, foreign=learnt.calibration.foreign)
                about = learnt.bundle.manifest, learnt.survey, learnt.looked
                choice = choose(*sources, calibrated, learnt.scorer, partial(_judge, learnt), *about, options)
        facts = learnt.facts(options, timed)
        facts["warnings"] = [*facts["warnings"], *(cost.warnings() if cost else [])]
        report = FitReport(
            **facts,
            graph=graph,
            precision_cost=cost,
            page=page,
            choice=choice,
            tolerance_costs=tolerance_costs,
        )
        write_page(report, out, partial(show, learnt.pictures, learnt.looked, learnt.found.strange, learnt.scorer))
        if sealed is not None:
            sealed(folder)
    return report


@contextmanager
def _where(options: Options, cluster: Cluster | None, here: Here | None, threads: int) -> Iterator[Spreading]:
    """Yield where the work on pictures is done."""
    with ExitStack() as stack:
        if cluster is None and options.spread:
            cluster = stack.enter_context(cluster_of(options))
        if cluster is None:
            yield here or here_on(options.device, threads)
        else:
            on = OnCluster(cluster)
            stack.callback(on.close)
            yield on


class _Maker:
    """Makes the network of the options, and keeps what it was made of."""

    made: MadeNetwork | PackagedNetwork

    def __init__(self, options: Options, threads: int) -> None:
        self._options, self._threads = options, threads

    def __call__(self, pictures: Pictures, survey: Survey, folder: Path) -> Network:
        if self._options.default_network:  # the same on every machine, whatever torch and onnx make here
            self.made = PackagedNetwork(pictures, survey, folder, self._threads, self._options.precision)
        else:
            from export.network.make_network import make_network

            self.made = make_network(self._options, pictures, survey.usual_hw, folder, self._threads)
        notes = self.made.notes(self._options, survey.usual_hw)
        if self._options.precision == BF16:
            notes += compare_times(folder / bundles.MODEL, self._threads)
        for note in notes:
            say(note)
        survey.notes += notes
        return self.made.served


def _judge(learnt: LearntBundle, faults: PlacedFaults) -> dict[int, list[float]]:
    """Score synthetic faults where their pictures are read."""
    return learnt.served.ask(ScoreFaults(faults), what="synthetic faults")


def _tolerance_costs(learnt: LearntBundle, options: Options, timed: Stopwatch) -> list[ToleranceCost]:
    network, judged = learnt.network, learnt.looked.judged
    some = slice(None) if judged is None else judged

    def embed(image: Image) -> NDArray[np.float32]:
        return network.embed(network.preprocess(image))[some]

    if not options.tolerance_cost:
        return []
    with timed("cost of tolerances"):
        rule = partial(threshold_of, options)
        return measure_tolerances(
            learnt.pictures, learnt.held, embed, learnt.looked.pixels, learnt.scoring, rule, options
        )


def _precision_cost(
    learnt: LearntBundle, made: MadeNetwork | PackagedNetwork, options: Options, timed: Stopwatch
) -> Cost | None:
    if options.precision == "float32":
        return None
    with timed(f"cost of {options.precision}"):
        again, pairs = _again(learnt, options), learnt.pairs(options.seed)
        return measure_cost(
            again, pairs, learnt.network, made.float_graph, learnt.bank, learnt.scorer, learnt.scoring, options
        )


def _again(learnt: LearntBundle, options: Options) -> Iterator[Image]:
    """Read once more what the bank was selected from."""
    train = learnt.found.kept & ~learnt.held
    return learnt_again(copies_of(len(train), options), learnt.pictures, train)
