"""Fit a bundle to pictures: the order of the stages, the manifest, and the check by the runtime before the rename."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.files import Bundle
from edge_config.bundle.manifest import Manifest, Scoring
from edge_config.errors import BundleParity, ParityRefused, TooFewImages, UsageError
from export.bank.bank import bank_size, make_memory
from export.bank.features import Features, embed_pictures
from export.calibrate import calibrate, hold_out
from export.gate.int8_cost import Cost, measure_cost
from export.gate.parity import MAX_PICTURES, ROUNDING, is_clear, measure_parity
from export.gate.synthetic_faults import with_faults
from export.learn_scene import MAX_PICTURES as MAX_SCENE_PICTURES
from export.learn_scene import learn
from export.memory_needed import Work, require
from export.network.network import Network, make_network
from export.options import Options
from export.pictures.images import Pictures, evenly
from export.pictures.survey import Survey, look_for, say
from export.progress import progress
from export.unused_options import changed, without_effect
from runtime.frame import Image
from runtime.inference.golden_frames import exact, score_golden, write_golden
from runtime.inference.load import assemble, load
from runtime.process.progress import GAUGE
from runtime.process.threads import limit_threads
from runtime.scene.thumbnail import Thumbnail
from runtime.scoring.scorer import Scorer

MIN_PICTURES = 4

GOLDEN_NORMAL, GOLDEN_FAULTS = 3, 1
GOLDEN_CANDIDATES = 12
GOLDEN_SIDE = 640
"""Golden frames are stored no larger than this, pixels: a bundle is copied over slow links."""

RECALL_PICTURES = 16
"""Held-out pictures that recall is measured on, spread evenly: as they are, and upside down. The graph finds the
neighbours of normal patches easily; of strange ones, which matter, it misses more, and a scene that stands on its head
is strange in every patch."""

_TOOLS = ("numpy", "onnxruntime", "opencv-python-headless", "hnswlib", "onnx", "torch", "timm", "patchedge")


@dataclass(slots=True)
class Report:
    """What `fit` did.

    Attributes:
        manifest: of the bundle.
        bundle_id: its id.
        pictures: that were used, held-out ones included.
        skipped: pictures that could not be read.
        size_bytes: of the bundle on disk.
        seconds: by stage, in order.
        survey: what was found before the work began.
        int8_cost: what int8 costs in accuracy; None with float32.
    """

    manifest: Manifest
    bundle_id: str
    pictures: int
    skipped: list[str]
    size_bytes: int
    seconds: dict[str, float]
    survey: Survey
    int8_cost: Cost | None = None


@dataclass(slots=True)
class _Clock:
    """Takes the time of the stages."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        with GAUGE.stage(stage):
            yield
        self.seconds[stage] = time.perf_counter() - start


class _Gallery:
    """Held-out pictures, each as it is and with a fault, read again one by one: the gate looks at them.

    Attributes:
        places: of the pictures among those of the last walk.
        normal, faults: candidates for golden frames, small; there once all were walked.
    """

    def __init__(self, pictures: Pictures, places: list[int], seed: int) -> None:
        self.places = places
        self.normal: list[Image] = []
        self.faults: list[Image] = []
        self._pictures = pictures
        self._seed = seed

    def pairs(self) -> Iterator[tuple[Image, Image]]:
        """Read again: each picture, and the same with a fault."""
        return with_faults(self._pictures.again(self.places), self._seed)

    def __iter__(self) -> Iterator[Image]:
        """Read again, and keep the candidates."""
        candidates = set(evenly(len(self.places), GOLDEN_CANDIDATES))
        self.normal, self.faults = [], []
        for number, (normal, fault) in enumerate(self.pairs()):
            if number in candidates:
                self.normal.append(_no_larger(normal))
                self.faults.append(_no_larger(fault))
            yield normal
            yield fault


def fit(options: Options) -> Report:
    """Make a bundle from normal pictures.

    Raises:
        UsageError: pictures, network or target that cannot be used; nothing is left behind.
        ParityRefused: what was made differs from what it was made from; nothing is left behind.
    """
    threads = limit_threads(options.threads)
    out = Path(options.out)
    clock = _Clock()
    cost = None
    with bundles.staging(out, force=options.force) as folder:
        with clock("look"):
            pictures = Pictures(Path(options.images), limit=options.max_images, skip_bad=options.skip_bad)
            _require(len(pictures), options)
            seen = look_for(pictures, options, MIN_PICTURES)
            _note(seen, without_effect(options))
        with clock("graph"):
            network = make_network(options, pictures, folder, threads)
        require(_work(pictures, network, seen, options), folder.parent, options.images)
        with clock("embed"):
            # Not into the folder of the bundle: on a network disk even a file without a name shows up in its folder.
            features = embed_pictures(pictures, len(pictures), network.preprocess, network.embed, folder.parent)
            _require(len(features), options)
        held = hold_out(len(features), options.hold_out)
        with clock("memory"):
            train = np.flatnonzero(np.repeat(~held, features.patches))
            sizes = {"train": len(train), "patches": features.patches, "dimension": network.layout.dimension}
            _note(seen, changed(options, **sizes))
            memory = make_memory(features.rows, _queries(pictures, held, network), options, folder, threads, train)
        scoring = Scoring(mode=options.score, b=memory.neighbours.shape[1], k=options.k)
        scorer = assemble(
            network.preprocess,
            network.embed,
            memory.graph,
            memory.bank,
            memory.neighbours,
            scoring,
            network.grid,
            search="lazy",
        )
        with clock("calibrate"):
            scores = _score_held(features, held, scorer)
            calibration = calibrate(scores, options.alpha)
            _refuse_rounding(calibration.threshold, features, held, options)
        with clock("gate"):
            gallery = _Gallery(pictures, _spread(held, MAX_PICTURES), options.seed)
            parity = measure_parity(gallery, network, scorer, memory.exact, 2 * len(gallery.places))
        with clock("scene"):
            scene, reference = learn(pictures.again(evenly(len(features), MAX_SCENE_PICTURES)))
        with clock("seal"):
            _save_golden(folder / bundles.GOLDEN, gallery, memory.bank, scorer, reference)
            manifest = Manifest(
                format_version=manifests.FORMAT_VERSION,
                files=bundles.file_table(folder),
                preprocessing=network.spec,
                features=network.features(),
                coreset=memory.coreset,
                index=memory.index,
                scoring=scoring,
                calibration=calibration,
                parity=parity,
                scene=scene,
                versions=_versions(),
                created=now(),
            )
            (folder / bundles.MANIFEST).write_bytes(manifests.encode(manifest))
            sealed = _load_again(folder, threads)
        if options.precision == "int8":
            with clock("cost of int8"):
                cost = measure_cost(pictures, ~held, gallery.pairs(), network, memory, scorer, scoring, options)
    return Report(
        manifest=sealed.manifest,
        bundle_id=sealed.id,
        pictures=len(features),
        skipped=list(pictures.skipped),
        size_bytes=sum(entry.stat().st_size for entry in out.iterdir()),
        seconds=clock.seconds,
        survey=seen,
        int8_cost=cost,
    )


def _note(seen: Survey, notes: list[str]) -> None:
    for note in notes:
        say(note)
    seen.notes += notes


def now() -> str:
    """Return the time for a manifest: ISO 8601, UTC, whole seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _require(pictures: int, options: Options) -> None:
    if pictures < MIN_PICTURES:
        raise TooFewImages(
            f"{pictures} usable pictures, at least {MIN_PICTURES} are needed",
            where=options.images,
            remedy="take a few hundred of the normal scene",
        )


def _work(pictures: Pictures, network: Network, seen: Survey, options: Options) -> Work:
    """Return what is to be learnt, in numbers."""
    patches, dimension = network.embed.output_shape
    train = int((~hold_out(len(pictures), options.hold_out)).sum())
    return Work(
        pictures=len(pictures),
        train=train,
        patches=patches,
        dimension=dimension,
        projected=options.projection_dim if 0 < options.projection_dim < dimension else dimension,
        entries=bank_size(options, train * patches),
        pixels=seen.largest_pixels,
        graph_bytes=len(network.float_graph),
    )


def _load_again(folder: Path, threads: int) -> Bundle:
    """Load the bundle as a device does.

    Raises:
        ParityRefused: its golden frames score otherwise than a moment ago, which no data may cause.
    """
    try:
        return load(folder, threads)[0]
    except BundleParity as error:
        remedy = "no bundle was made; the same packages on the same machine gave other numbers a moment ago: report it"
        raise ParityRefused(error.what, remedy=remedy) from error


def _score_held(features: Features, held: NDArray[np.bool_], scorer: Scorer) -> NDArray[np.float64]:
    """Return the scores of the held-out pictures, float64 [n]."""
    numbers: Iterable[int] = progress(np.flatnonzero(held).tolist(), "calibrate", unit="picture")
    return np.array([scorer.judge(features[number]).value for number in numbers])


def _refuse_rounding(threshold: float, features: Features, held: NDArray[np.bool_], options: Options) -> None:
    """Refuse a threshold that is rounding: nothing was held out that differs from what was learnt.

    Raises:
        UsageError: it is.
    """
    numbers: list[int] = np.flatnonzero(held).tolist()
    length = max(float(np.linalg.norm(features[number], axis=1).max()) for number in numbers)
    if threshold > ROUNDING * length:
        return
    raise UsageError(
        f"to the network all {len(numbers)} held-out pictures are the same as pictures that were learnt from, so the "
        f"threshold would be 0 (patch distances of {threshold:.1e}) and every new frame an alarm",
        where=options.images,
        remedy="take pictures that differ, not copies of one, nor repeated frames of a video (--max-images spreads "
        "them); where they do differ, the network sees nothing of it: check --layers, --mean and --std",
    )


def _spread(chosen: NDArray[np.bool_], most: int) -> list[int]:
    """Return the places of at most `most` of the chosen pictures, spread evenly."""
    places = np.flatnonzero(chosen)
    return [int(places[number]) for number in evenly(len(places), most)]


def _queries(pictures: Pictures, held: NDArray[np.bool_], network: Network) -> list[NDArray[np.float32]]:
    """Embed some held-out pictures as they are, and upside down."""
    upright, turned = [], []
    for image in pictures.again(_spread(held, RECALL_PICTURES)):  # one at a time: they may be large
        upright.append(network.embed(network.preprocess(image)))
        turned.append(network.embed(network.preprocess(image[::-1])))
    return [np.concatenate(upright), np.concatenate(turned)]


def _save_golden(
    path: Path,
    gallery: _Gallery,
    bank: NDArray[np.float32],
    scorer: Scorer,
    reference: Thumbnail,
) -> None:
    """Choose frames whose scores no rounding on another machine can turn, and write them with what they score.

    Beside them goes the reference of the scene.
    """
    kinds = ((gallery.normal, GOLDEN_NORMAL), (gallery.faults, GOLDEN_FAULTS))
    frames = [frame for images, wanted in kinds for frame in _clear(images, wanted, bank, scorer)]
    write_golden(path, [score_golden(frame, scorer) for frame in frames], reference)


def _clear(images: Sequence[Image], wanted: int, bank: NDArray[np.float32], scorer: Scorer) -> list[Image]:
    """Take the first clear ones of some pictures; if there are too few, the others too."""
    clear: list[Image] = []
    others: list[Image] = []
    for frame in images:
        features = scorer.embed(scorer.preprocess(frame))
        score = scorer.score(features, exact(scorer, features))
        (clear if is_clear(features, score, bank) else others).append(frame)
        if len(clear) == wanted:
            break
    return (clear + others)[:wanted]


def _no_larger(image: Image) -> Image:
    factor = GOLDEN_SIDE / max(image.shape[:2])
    if factor >= 1:
        return image
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _versions() -> dict[str, str]:
    """Return the versions of the tools that are installed."""
    found = {"python": platform.python_version()}
    for tool in _TOOLS:
        with suppress(
            importlib.metadata.PackageNotFoundError
        ):  # timm, torch with a user's own ONNX file, onnxruntime-gpu
            found[tool] = importlib.metadata.version(tool)
    return found
