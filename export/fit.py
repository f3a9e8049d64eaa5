"""Fit a bundle to normal pictures: the whole way, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Calibration, Scene, Scoring
from edge_config.bundle.staging import staging
from edge_config.errors import TooFewImages
from export.bank.bank import MemoryBank, bank_size, most_candidates
from export.bank.features import FeatureTable, embed_pictures
from export.calibrate import at_threshold, calibrate, contiguous, hold_out
from export.gate.choose_golden import choose_golden
from export.gate.int8_cost import measure_cost
from export.gate.parity import MAX_PICTURES, measure_parity
from export.gate.refuse_threshold import refuse_copies, refuse_rounding
from export.gate.synthetic_faults import with_faults
from export.gate.tolerance_cost import ToleranceCost, measure_tolerances
from export.learn_bank import learn_bank
from export.learn_scene import MAX_PICTURES as MAX_SCENE_PICTURES
from export.learn_scene import learn
from export.memory_needed import Work, require
from export.network.make_network import Network, make_network
from export.normals.exclude import warn
from export.normals.foreign import count_foreign
from export.options import Options
from export.pictures.check import check_pictures, say
from export.pictures.clock import times_of
from export.pictures.images import Pictures, spread
from export.pictures.regions import Looked, look_where
from export.pictures.survey import Survey
from export.progress import progress
from export.promise.promise import PromisedAlerts, promise_alerts, require_time
from export.report.choose import choose
from export.report.facts import FitReport, StrangePicture
from export.report.gallery import show
from export.report.page import write_page
from export.report.target import refuse_page
from export.unused_options import changed, without_effect
from export.vary.copies import Copies, Plan, embed_copies, learnt_again, plan
from export.write_bundle import write_bundle
from runtime.frame import Image
from runtime.inference.assemble import assemble
from runtime.process.progress import GAUGE
from runtime.process.threads import limit_threads
from runtime.scene.thumbnail import Thumbnail
from runtime.scoring.scorer import Scorer

MIN_PICTURES = 4

Timed = Callable[[str], AbstractContextManager[None]]


def fit(options: Options) -> FitReport:
    """Make a bundle from normal pictures.

    Raises:
        UsageError: pictures, network or target that cannot be used; nothing is left behind.
        ParityRefused: what was made differs from what it was made from; nothing is left behind.
    """
    threads = limit_threads(options.threads)
    out, cost, choice = Path(options.out), None, None
    seconds: dict[str, float] = {}
    timed = partial(_timed, seconds)
    page = refuse_page(out, unwanted=options.no_report, force=options.force)
    with staging(out, force=options.force) as folder:
        with timed("look"):
            pictures, survey = _check_pictures(options)
        with timed("graph"):
            network, looked = _make_network(options, pictures, survey, folder, threads)
        require(_work(pictures, network, survey, options), folder.parent, options.images)
        with timed("embed"):
            # Not into the folder of the bundle: on a network disk even a file without a name shows up in its folder.
            stages, room = (network.preprocess, network.embed), len(_copies(len(pictures), options))
            walk = len(pictures), *stages, folder.parent
            features = embed_pictures(pictures, *walk, copies=room, judged=looked.judged)
            _require(len(features), options)
        held = hold_out(len(features), options.hold_out)
        _check_features(features, held, network, survey, options)
        with timed("vary"):
            copies = embed_copies(_copies(len(features), options), features, pictures, *stages)
        found = learn_bank(timed, pictures, features, copies, held, network, options, folder, threads)
        (network, bank), learnt, held = found.memory, found.kept & ~held, found.kept & held
        scoring = Scoring(mode=options.score, b=bank.neighbours.shape[1], k=options.k)
        scorer = _assemble(network, bank, scoring, looked)
        calibration, scores, alerts = _calibrate(
            timed, pictures, features, copies, held, scorer, found.strange_held, options
        )
        with timed("gate"):
            compared = spread(held, network.fewer(MAX_PICTURES))

            def pairs() -> Iterator[tuple[Image, Image]]:
                """Read held-out pictures once more: each as it is, and with a fault."""
                return with_faults(pictures.again(compared), options.seed, looked.pixels)

            parity = measure_parity(chain.from_iterable(pairs()), network, scorer, bank.exact, 2 * len(compared))
            tiled_hw = network.cut.hw if network.cut else None
            golden = choose_golden(pairs(), len(compared), bank.bank, bank.measure.divisors, scorer, tiled_hw)
        tolerance_costs = _tolerance_costs(pictures, held, network, looked, scoring, options, timed)
        with timed("scene"):
            scene, reference = _learn_scene(pictures, found.kept, options)
        with timed("seal"):
            sections = (scoring, calibration, alerts.promise, parity, scene, options.may_vary)
            bundle = write_bundle(folder, network, bank, *sections, reference, golden, threads, looked, found.excluded)
        if options.precision == "int8":
            with timed("cost of int8"):
                cost = measure_cost(_again(pictures, learnt, options), pairs(), network, bank, scorer, scoring, options)
        if page:
            with timed("faults"):
                sources = (pictures, held, scores, found.learnt)
                calibrated = partial(calibrate, scores, foreign=calibration.foreign)
                choice = choose(*sources, calibrated, scorer, bundle.manifest, survey, looked, options)
        report = FitReport(
            manifest=bundle.manifest,
            bundle_id=bundle.id,
            pictures=int(found.kept.sum()),
            skipped=list(pictures.skipped),
            size_bytes=sum(entry.stat().st_size for entry in folder.iterdir()),
            seconds=seconds,
            survey=survey,
            options=options,
            strangest=msgspec.convert(found.strange, list[StrangePicture], from_attributes=True),
            warnings=warn(found, calibration, scores, pictures.names(), held),
            int8_cost=cost,
            page=page,
            choice=choice,
            tolerance_costs=tolerance_costs,
            alerts=alerts,
        )
        write_page(report, out, partial(show, pictures, looked, found.strange, scorer))
    return report


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Show that a stage is running, and add how long it took, without the stages inside it."""
    start, others = time.perf_counter(), sum(seconds.values())
    with GAUGE.stage(stage):
        yield
    inside = sum(seconds.values()) - others
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start - inside


def _check_pictures(options: Options) -> tuple[Pictures, Survey]:
    pictures = Pictures(Path(options.images), limit=options.max_images, skip_bad=options.skip_bad)
    _require(len(pictures), options)
    survey = check_pictures(
        pictures,
        Path(options.images),
        least=MIN_PICTURES,
        depth=None if options.depth == "auto" else options.depth,
        resize=options.resize,
        size=options.size,
        accept_crop=options.accept_crop,
        polygons=(*options.regions, *options.ignore),
    )
    require_time(pictures, options.alerts_per_day, options.hold_out)
    _note(survey, without_effect(options))
    return pictures, survey


def _make_network(
    options: Options, pictures: Pictures, survey: Survey, folder: Path, threads: int
) -> tuple[Network, Looked]:
    """Make the network, and find the patches that it looks at."""
    network = make_network(options, pictures, survey.usual_hw, folder, threads)
    _note(survey, network.notes(options, survey.usual_hw))
    looked = look_where(options, survey, network.preprocess, network.grid)
    return network.adjusted(replace(network.adjust, centring=options.centring, judged=looked.judged)), looked


def _note(survey: Survey, notes: list[str]) -> None:
    for note in notes:
        say(note)
    survey.notes += notes


def _require(pictures: int, options: Options) -> None:
    if pictures < MIN_PICTURES:
        raise TooFewImages(
            f"{pictures} usable pictures, at least {MIN_PICTURES} are needed",
            where=options.images,
            remedy="take a few hundred of the normal scene",
        )


def _copies(pictures: int, options: Options) -> Plan:
    return plan(options.may_vary, hold_out(pictures, options.hold_out), options.seed)


def _again(pictures: Pictures, learnt: NDArray[np.bool_], options: Options) -> Iterator[Image]:
    return learnt_again(_copies(len(learnt), options), pictures, learnt)


def _work(pictures: Pictures, network: Network, survey: Survey, options: Options) -> Work:
    """Return the size of the work ahead."""
    patches, dimension = network.embed.output_shape
    train, copies = int((~hold_out(len(pictures), options.hold_out)).sum()), _copies(len(pictures), options)
    return Work(
        pictures=len(pictures) + len(copies),
        train=train + len(copies.learnt),
        patches=patches,
        dimension=dimension,
        projected=options.projection_dim if 0 < options.projection_dim < dimension else dimension,
        entries=bank_size(options, train * patches),
        pixels=survey.largest_pixels,
        graph_bytes=len(network.float_graph),
        candidates=most_candidates(options),
    )


def _assemble(network: Network, bank: MemoryBank, scoring: Scoring, looked: Looked) -> Scorer:
    stages = (network.preprocess, network.embed, bank.graph, bank.bank, bank.neighbours)
    return assemble(*stages, scoring, network.grid, search="lazy", judged=looked.judged, divisors=bank.measure.divisors)


def _calibrate(
    timed: Timed,
    pictures: Pictures,
    features: FeatureTable,
    copies: Copies,
    held: NDArray[np.bool_],
    scorer: Scorer,
    strange: int,
    options: Options,
) -> tuple[Calibration, NDArray[np.float64], PromisedAlerts]:
    """Return the calibration, the scores that it is from, and what is known of false alerts a day.

    So many pictures as are `strange` among the others do not set the threshold, even where their scores alone, of few
    pictures or altered copies, would not tell.
    """
    with timed("calibrate"):
        numbers: list[int] = copies.calibrated[held].tolist()
        walk = progress(numbers, "calibrate", unit="picture")
        scores = np.array([scorer.judge(features[number]).value for number in walk])
        foreign = min(max(count_foreign(scores), strange), len(scores) - 1)
        calibration = calibrate(scores, options.alpha, foreign)
        judged = (features[number] for number in numbers)
        refuse_rounding(calibration.threshold, judged, Path(options.images), scorer.least_divisor)
    if times_of(pictures) is None:
        return calibration, scores, PromisedAlerts()
    with timed("alerts"):
        rule = partial(_threshold, options)
        alerts = promise_alerts(pictures, contiguous(held), scores, scorer, rule, options.alerts_per_day)
    return at_threshold(calibration, scores, alerts.threshold), scores, alerts


def _threshold(options: Options, scores: NDArray[np.float64]) -> float:
    return calibrate(scores, options.alpha, count_foreign(scores)).threshold


def _learn_scene(pictures: Pictures, kept: NDArray[np.bool_], options: Options) -> tuple[Scene, Thumbnail]:
    return learn(pictures.again(spread(kept, MAX_SCENE_PICTURES)), may_vary=options.may_vary)


def _tolerance_costs(
    pictures: Pictures,
    held: NDArray[np.bool_],
    network: Network,
    looked: Looked,
    scoring: Scoring,
    options: Options,
    timed: Timed,
) -> list[ToleranceCost]:
    judged = slice(None) if looked.judged is None else looked.judged

    def embed(image: Image) -> NDArray[np.float32]:
        return network.embed(network.preprocess(image))[judged]

    if not options.tolerance_cost:
        return []
    with timed("cost of tolerances"):
        return measure_tolerances(pictures, held, embed, looked.pixels, scoring, partial(_threshold, options), options)


def _check_features(
    features: FeatureTable, held: NDArray[np.bool_], network: Network, survey: Survey, options: Options
) -> None:
    """Refuse pictures that are the same to the network, and note which options they leave without effect."""
    kept, learnt = np.flatnonzero(held).tolist(), np.flatnonzero(~held).tolist()
    refuse_copies(map(features.__getitem__, kept), lambda: map(features.__getitem__, learnt), Path(options.images))
    train, dimension = int((~held).sum()) * features.patches, network.layout.dimension
    _note(survey, changed(options, train=train, patches=features.patches, dimension=dimension))
