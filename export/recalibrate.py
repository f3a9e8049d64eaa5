"""Set a new threshold for a bundle from new normal pictures; graph, bank and index are kept.

They also widen the limits of the scene, against the reference of the bundle.
"""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.files import Bundle
from edge_config.bundle.manifest import Calibration, Scene
from edge_config.bundle.may_vary import MayVary
from edge_config.bundle.staging import refuse_target, staging
from edge_config.errors import NoImages
from runtime.frame import Image
from runtime.inference.load import golden_images, load, scene_reference
from runtime.learning.calibrate import at_threshold, calibrate
from runtime.learning.gate import faults_lost
from runtime.learning.gate.faults_lost import FaultsLost, count_lost
from runtime.learning.gate.refuse_threshold import refuse_blinding
from runtime.learning.learn_scene import MAX_PICTURES, learn, widened
from runtime.learning.normals import words
from runtime.learning.normals.foreign import count_foreign
from runtime.learning.normals.leave_out import held_out_only, leave_out
from runtime.learning.pictures.check import check_pictures
from runtime.learning.pictures.images import Pictures, spread
from runtime.learning.pictures.regions import Looked
from runtime.learning.pictures.survey import Survey
from runtime.learning.progress import progress
from runtime.learning.promise.promise import PromisedAlerts, promise_alerts, require_time
from runtime.learning.vary.strengths import at_random
from runtime.process.threads import limit_threads
from runtime.scoring.scorer import Scorer

STRETCHES = 8
"""Number of contiguous stretches of a recording, each judged by the threshold that the others set."""


class Recalibration(msgspec.Struct, frozen=True):
    """Result of `recalibrate`.

    Attributes:
        bundle_id, recalibrated_from: ids of the new and the old bundle.
        before, after: the two calibrations.
        may_vary: what is no fault: the pictures were altered at random within it.
        skipped: pictures that could not be read.
        survey: findings about the pictures.
        problem: problem of the new threshold, with `force`; None if there is none.
        warnings: which pictures were left out or did not set the threshold, because they are foreign.
        alerts: false alerts a day.
        faults: synthetic faults that the two thresholds find.
    """

    bundle_id: str
    recalibrated_from: str
    before: Calibration
    after: Calibration
    may_vary: MayVary
    skipped: list[str]
    survey: Survey
    problem: str | None
    warnings: list[str]
    alerts: PromisedAlerts
    faults: FaultsLost


def recalibrate(
    source: Path,
    images: Path,
    out: Path,
    *,
    alpha: float | None = None,
    exclude: int | Literal["auto"] | None = None,
    alerts_per_day: float | None = None,
    max_images: int | None = None,
    skip_bad: bool = False,
    threads: int = 0,
    force: bool = False,
) -> Recalibration:
    """Make a bundle with another threshold.

    Args:
        source: the bundle; it is not changed.
        images: normal pictures that its bank has never seen: all of them calibrate.
        out: path of the new bundle.
        alpha: wanted false-alarm rate; None keeps that of the bundle.
        exclude: number of the highest scores to leave out, or `auto` for those that are foreign.
        alerts_per_day: wanted number of false alerts a day, which sets the threshold; None: `alpha` does.
        max_images: maximum number of pictures, spread evenly.
        skip_bad: skip pictures that cannot be read.
        threads: threads of ONNX Runtime and hnswlib; 0 means all cores.
        force: replace an existing bundle at `out`, and accept a threshold that misses faults.

    Raises:
        BundleError: the source must not be served.
        UsageError: invalid pictures or target.
        BlindThreshold: the new threshold would miss faults that the old one detects.
    """
    threads = limit_threads(threads)
    refuse_target(out, force=force)
    bundle, scorer = load(source, threads)
    pictures = Pictures(images, limit=max_images, skip_bad=skip_bad)
    golden = golden_images(bundle, scorer.grid)
    depth, (height, width) = bundle.manifest.preprocessing.depth, golden[0].shape[:2]
    seen = check_pictures(pictures, least=1, depth=depth, learnt_hw=(height, width))
    require_time(pictures, alerts_per_day, 1.0)
    skipped = list(pictures.skipped)  # no walk looks at them again
    walk = progress(pictures, "calibrate", total=len(pictures), unit="picture")
    may_vary, seed = bundle.manifest.may_vary, bundle.manifest.coreset.seed
    altered = ((name, at_random(may_vary, seed, number)(image)) for number, (name, image) in enumerate(walk))
    scores = [(name, scorer(image).value) for name, image in altered]
    if not scores:
        raise NoImages("no usable pictures", where=str(images))
    before = bundle.manifest.calibration
    kept, excluded = leave_out(
        np.array([score for _, score in scores]), pictures.names(), exclude, bundle.manifest.excluded
    )
    scores = [pair for pair, stays in zip(scores, kept.tolist(), strict=True) if stays]
    if not scores:
        raise NoImages(f"--exclude {exclude} leaves no picture", where=str(images), remedy="leave out fewer")
    left = np.array([score for _, score in scores])
    after, alerts = _calibrate(pictures, kept, left, scorer, before.alpha if alpha is None else alpha, alerts_per_day)
    golden_scores = [scorer(image).value for image in golden]
    both = before.threshold, after.threshold
    normal = [one for one, score in zip(golden, golden_scores, strict=True) if score <= before.threshold]
    faults = _count_lost(bundle, scorer, *both, pictures, kept, normal)
    problem = refuse_blinding(*both, golden_scores, scores, where=str(images), force=force, faults=faults)
    warnings = words.warn((), held_out_only(excluded) if exclude else None, after, scores)
    changed = msgspec.structs.replace(
        bundle.manifest,
        calibration=after,
        alerts_promise=alerts.promise,
        scene=_widened_scene(bundle, pictures, kept),
        excluded=excluded,
        recalibrated_from=bundle.id,
        lineage=None,  # it is a root of its own: its threshold is no longer that of the one that it grew from
    )
    with staging(out, force=force) as folder:
        for name in bundle.manifest.files:
            shutil.copyfile(bundle.file(name), folder / name)
        (folder / bundles.MANIFEST).write_bytes(manifests.encode(changed))
        sealed, _ = load(folder, threads)
    done = sealed.id, bundle.id, before, after, may_vary
    return Recalibration(*done, skipped, seen, problem, warnings, alerts, faults)


def _calibrate(
    pictures: Pictures,
    kept: NDArray[np.bool_],
    scores: NDArray[np.float64],
    scorer: Scorer,
    alpha: float,
    alerts_per_day: float | None,
) -> tuple[Calibration, PromisedAlerts]:
    """Return the calibration by the scores of the pictures that are kept, and what is known of false alerts a day."""

    def calibrated(some: NDArray[np.float64]) -> Calibration:
        return calibrate(some, alpha, count_foreign(some))

    parts = np.array_split(np.flatnonzero(kept), min(STRETCHES, len(scores)))
    groups = [part.tolist() for part in parts]
    alerts = promise_alerts(pictures, groups, scores, scorer, lambda some: calibrated(some).threshold, alerts_per_day)
    return at_threshold(calibrated(scores), scores, alerts.threshold), alerts


def _count_lost(
    bundle: Bundle,
    scorer: Scorer,
    before: float,
    after: float,
    pictures: Pictures,
    kept: NDArray[np.bool_],
    golden: list[Image],
) -> FaultsLost:
    """Count synthetic faults, on some of the new pictures that are kept and on the normal golden ones."""
    manifest, some = bundle.manifest, spread(kept, faults_lost.MAX_PICTURES)
    rounds = [chain(pictures.again(some), golden) for _ in range(faults_lost.ROUNDS)]
    looked = Looked(manifest.regions, manifest.ignore, manifest.regions_hw)
    return count_lost(rounds, scorer, manifest.scoring, before, after, looked.pixels)


def _widened_scene(bundle: Bundle, pictures: Pictures, kept: NDArray[np.bool_]) -> Scene:
    """Widen the limits of the scene to the new pictures that are kept."""
    seen = pictures.again(spread(kept, MAX_PICTURES))
    new, _ = learn(seen, scene_reference(bundle), bundle.manifest.may_vary)
    return widened(bundle.manifest.scene, new)
