"""Learn a bundle from a graph and normal pictures: the whole way, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import Calibration, Scene, Scoring
from edge_config.bundle.staging import staging
from edge_config.errors import TooFewImages
from runtime.inference.assemble import assemble
from runtime.learning.bank.bank import MemoryBank, bank_size, most_candidates
from runtime.learning.calibrate import at_threshold, calibrate, contiguous, hold_out
from runtime.learning.gate.choose_golden import choose_golden
from runtime.learning.gate.parity import MAX_PICTURES, judge_parity
from runtime.learning.gate.refuse_threshold import refuse_copies, refuse_rounding, same_as
from runtime.learning.gate.synthetic_faults import draw_faults
from runtime.learning.learn_bank import learn_bank
from runtime.learning.learn_scene import MAX_PICTURES as MAX_SCENE_PICTURES
from runtime.learning.learn_scene import learn as learn_limits
from runtime.learning.learnt import LearntBundle
from runtime.learning.memory_needed import Work, require
from runtime.learning.network import Network
from runtime.learning.network_file import FromFile
from runtime.learning.normals.exclude import warn
from runtime.learning.normals.foreign import count_foreign
from runtime.learning.options import LearnOptions
from runtime.learning.parts.features import SpreadFeatures
from runtime.learning.parts.gate import GatePictures, ServedAs, ServedParts
from runtime.learning.parts.part import Source
from runtime.learning.parts.portable import PortableBank, PortableNetwork
from runtime.learning.parts.scores import held_out_scores
from runtime.learning.parts.spread import Here, Spreading
from runtime.learning.pictures.check import check_pictures
from runtime.learning.pictures.clock import times_of
from runtime.learning.pictures.images import Pictures, spread
from runtime.learning.pictures.regions import Looked, look_where
from runtime.learning.pictures.sizes import Crop
from runtime.learning.pictures.source import PictureSource
from runtime.learning.pictures.survey import Survey
from runtime.learning.progress import say
from runtime.learning.promise.promise import PromisedAlerts, promise_alerts, require_time
from runtime.learning.report import LearnReport
from runtime.learning.stopwatch import Stopwatch
from runtime.learning.unused_options import changed, without_effect
from runtime.learning.vary.copies import Copies, Plan, plan
from runtime.learning.write_bundle import write_bundle
from runtime.scene.thumbnail import Thumbnail
from runtime.scoring.scorer import Scorer

MIN_PICTURES = 4

NetworkFor = Callable[[Pictures, Survey, Path], Network]
"""Writes the graphs for these pictures into the folder of the bundle."""


def learn(
    options: LearnOptions,
    folder: Path,
    network_for: NetworkFor,
    timed: Stopwatch,
    threads: int,
    *,
    crop: Crop | None = None,
    notes: Sequence[str] = (),
    source: PictureSource | None = None,
    on: Spreading | None = None,
) -> LearntBundle:
    """Make a bundle in an empty folder.

    Args:
        options: of learning.
        folder: of the bundle; the caller puts it in its place.
        network_for: makes the network for the pictures.
        timed: measures the stages.
        threads: limit of all threads.
        crop: what the network sees of a picture; None: all of it.
        notes: what the user should know before the work begins.
        source: has the pictures, where they lie in no folder of this machine.
        on: where the work on pictures is done; by default here.

    Raises:
        UsageError: pictures or network that cannot be used.
        ParityRefused: the device would compute other scores than those that were learnt.
    """
    on = on or Here()
    with timed("look"):
        pictures, survey = _check_pictures(options, crop, source, on)
        _note(survey, notes)
    with timed("graph"):
        network = network_for(pictures, survey, folder)
        looked = look_where(options, survey, network.preprocess, network.grid)
        network = network.adjusted(replace(network.adjust, centring=options.centring, judged=looked.judged))
    if on.here:
        require(_work(pictures, network, survey, folder, options), folder.parent, options.images)
    portable = PortableNetwork(network, folder / bundles.MODEL)
    with timed("embed"):
        # Not into the folder of the bundle: on a network disk even a file without a name shows up in its folder.
        room = len(copies_of(len(pictures), options))
        parts = on.embed(Source(pictures, portable, looked.judged, room), folder.parent)
        features = SpreadFeatures(parts, len(pictures), network.embed.output_shape, looked.judged)
    held = hold_out(len(features), options.hold_out)
    _check_features(features, held, network, survey, options)
    with timed("vary"):
        copies = features.add_copies(copies_of(len(features), options))
    found = learn_bank(timed, pictures, features, copies, held, network, options, folder, threads)
    (network, bank, shared), held = found.memory, found.kept & held
    scoring = Scoring(mode=options.score, b=bank.neighbours.shape[1], k=options.k)
    scorer = _assemble(network, bank, scoring, looked)
    calibration, scores, alerts = _calibrate(
        timed, pictures, features, copies, held, shared, scorer, found.strange_held, scoring, options
    )
    with timed("gate"):
        compared = spread(held, network.fewer(MAX_PICTURES))
        faults = draw_faults([survey.each_hw[number] for number in compared], options.seed, looked.pixels)
        served_as = ServedAs(replace(network.adjust, offset=None), scoring, looked, network.tiled_hw)
        served = ServedParts(parts, shared, served_as)
        gate = GatePictures(served, compared, faults)
        parity = judge_parity(gate.compare(), network)
        golden = choose_golden(len(compared), gate.try_some)
    with timed("scene"):
        scene, reference = _learn_scene(pictures, found.kept, options)
    with timed("seal"):
        sections = (scoring, calibration, alerts.promise, parity, scene, options.may_vary)
        bundle = write_bundle(folder, network, bank, *sections, reference, golden, threads, looked, found.excluded)
    warnings = warn(found, calibration, scores, pictures.names(), held)
    learnt = found, scoring, scorer, scores, calibration, alerts, warnings
    return LearntBundle(bundle, pictures, survey, looked, network, served, held, *learnt)


def learn_to_target(options: LearnOptions, network: FromFile, threads: int) -> LearnReport:
    """Make a bundle with a network file, and put it in its place.

    Raises:
        UsageError: pictures or target that cannot be used; nothing is left behind.
        ParityRefused: the device would compute other scores than those that were learnt.
    """
    timed, notes = Stopwatch(), without_effect(options)
    with staging(Path(options.out), force=options.force) as folder:
        learnt = learn(options, folder, network, timed, threads, crop=network.crop, notes=notes)
        return LearnReport(**learnt.facts(options, timed))


def threshold_of(options: LearnOptions, scores: NDArray[np.float64]) -> float:
    """Return the threshold that scores of held-out pictures set, without those that are foreign."""
    return calibrate(scores, options.alpha, count_foreign(scores)).threshold


def copies_of(pictures: int, options: LearnOptions) -> Plan:
    """Return which of so many pictures are copied, and how."""
    return plan(options.may_vary, hold_out(pictures, options.hold_out), options.seed)


def _check_pictures(
    options: LearnOptions, crop: Crop | None, source: PictureSource | None, on: Spreading
) -> tuple[Pictures, Survey]:
    images, limit = Path(options.images), options.max_images
    pictures = Pictures(images, limit=limit, skip_bad=options.skip_bad, source=source)
    _require(len(pictures), options)
    survey = check_pictures(
        pictures,
        least=MIN_PICTURES,
        depth=None if options.depth == "auto" else options.depth,
        crop=crop,
        polygons=(*options.regions, *options.ignore),
        looking=on.look,
    )
    require_time(pictures, options.alerts_per_day, options.hold_out)
    return pictures, survey


def _note(survey: Survey, notes: Sequence[str]) -> None:
    for note in notes:
        say(note)
    survey.notes += notes


def _require(pictures: int, options: LearnOptions) -> None:
    if pictures < MIN_PICTURES:
        raise TooFewImages(
            f"usable pictures: {pictures}, at least {MIN_PICTURES} are needed",
            where=options.images,
            remedy="take a few hundred of the normal scene",
        )


def _work(pictures: Pictures, network: Network, survey: Survey, folder: Path, options: LearnOptions) -> Work:
    """Return the size of the work ahead."""
    patches, dimension = network.embed.output_shape
    train, copies = int((~hold_out(len(pictures), options.hold_out)).sum()), copies_of(len(pictures), options)
    return Work(
        pictures=len(pictures) + len(copies),
        train=train + len(copies.learnt),
        patches=patches,
        dimension=dimension,
        projected=options.projection_dim if 0 < options.projection_dim < dimension else dimension,
        entries=bank_size(options, train * patches),
        pixels=survey.largest_pixels,
        graph_bytes=sum(entry.stat().st_size for entry in folder.iterdir()),
        candidates=most_candidates(options),
    )


def _assemble(network: Network, bank: MemoryBank, scoring: Scoring, looked: Looked) -> Scorer:
    stages = (network.preprocess, network.embed, bank.graph, bank.bank, bank.neighbours)
    return assemble(*stages, scoring, network.grid, search="lazy", judged=looked.judged, divisors=bank.measure.divisors)


def _calibrate(
    timed: Stopwatch,
    pictures: Pictures,
    features: SpreadFeatures,
    copies: Copies,
    held: NDArray[np.bool_],
    bank: PortableBank,
    scorer: Scorer,
    strange: int,
    scoring: Scoring,
    options: LearnOptions,
) -> tuple[Calibration, NDArray[np.float64], PromisedAlerts]:
    """Return the calibration, the scores that it is from, and what is known of false alerts a day.

    So many pictures as are `strange` among the others do not set the threshold, even where their scores alone, of few
    pictures or altered copies, would not tell.
    """
    with timed("calibrate"):
        scores, lengths = held_out_scores(features, copies.calibrated[held], bank, scoring)
        foreign = min(max(count_foreign(scores), strange), len(scores) - 1)
        calibration = calibrate(scores, options.alpha, foreign)
        refuse_rounding(calibration.threshold, lengths, options.images, scorer.least_divisor)
    if times_of(pictures) is None:
        return calibration, scores, PromisedAlerts()
    with timed("alerts"):
        rule = partial(threshold_of, options)
        alerts = promise_alerts(pictures, contiguous(held), scores, scorer, rule, options.alerts_per_day)
    return at_threshold(calibration, scores, alerts.threshold), scores, alerts


def _learn_scene(pictures: Pictures, kept: NDArray[np.bool_], options: LearnOptions) -> tuple[Scene, Thumbnail]:
    return learn_limits(pictures.again(spread(kept, MAX_SCENE_PICTURES)), may_vary=options.may_vary)


def _check_features(
    features: SpreadFeatures, held: NDArray[np.bool_], network: Network, survey: Survey, options: LearnOptions
) -> None:
    """Refuse pictures that are the same to the network, and note which options they leave without effect."""
    learnt = features.about(np.flatnonzero(~held))

    def has_copy(picture: NDArray[np.float32]) -> bool:
        return any(learnt(partial(same_as, picture)))

    refuse_copies(map(features.judged_rows, np.flatnonzero(held).tolist()), has_copy, options.images)
    train = int((~held).sum()) * features.patches
    _note(survey, changed(options, train=train, patches=features.patches, dimension=network.dimension))
