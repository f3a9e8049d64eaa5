"""From pictures to a bundle: the order of the stages, the manifest, and the check by the runtime before the rename."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edge_config import bundle as bundles
from edge_config import manifest as manifests
from edge_config.errors import TooFewImages
from edge_config.manifest import Calibration, Coreset, Features, Index, Manifest, Parity, Preprocessing, Scoring
from export.backbone import DEFAULT, Backbone, load_backbone
from export.bank import embed_pictures
from export.calibrate import calibrate, hold_out
from export.coreset import PROJECTION_DIM, covering_radius, select
from export.graph import PatchFeatures, export_graph, largest_difference
from export.images import Pictures, evenly
from export.index import build_index, choose_ef, neighbour_table
from export.progress import bar, progress
from runtime.embed import Embed
from runtime.frame import Image
from runtime.load import load
from runtime.pipeline import Scorer
from runtime.preprocess import Preprocess
from runtime.score import Mode, ScoreFrame
from runtime.search import ExactSearch, GraphSearch, Search, TopExactSearch
from runtime.threads import limit_threads

MIN_PICTURES = 4
MIN_BANK = 16
"""Entries of the smallest bank: the re-weighting and the graph need neighbours."""

GOLDEN_FRAMES = 4
GOLDEN_SIDE = 640
"""Golden frames are stored no larger than this, pixels: a bundle is copied over slow links."""

GOLDEN_RELATIVE = 1e-3
"""Other CPUs sum in another order (some 1e-6 of a feature) and may so find another of two equally near entries; a
changed kernel, colour order or index moves scores by percents."""

RECALL_PICTURES = 16
"""Held-out pictures that recall is measured on, spread evenly: as they are, and upside down. The graph finds the
neighbours of normal patches easily; of strange ones, which matter, it misses more, and a scene that stands on its head
is strange in every patch."""

_TOOLS = ("numpy", "onnxruntime", "opencv-python-headless", "hnswlib", "torch", "onnx", "patchedge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user may choose. `fit --help` says what each means; `Manifest` records them."""

    images: Path
    out: Path
    backbone: str = DEFAULT
    size: int = 224
    resize: int | None = None
    patch_size: int = 3
    coreset: float = 0.1
    projection_dim: int | None = PROJECTION_DIM
    seed: int = 0
    score: Mode = "paper"
    b: int = 9
    alpha: float = 0.01
    hold_out: float = 0.25
    max_images: int | None = None
    skip_bad: bool = False
    threads: int = 0
    force: bool = False


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
    """

    manifest: Manifest
    bundle_id: str
    pictures: int
    skipped: list[str]
    size_bytes: int
    seconds: dict[str, float]


@dataclass(slots=True)
class _Clock:
    """Takes the time of the stages."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class _Network:
    """The graph in both forms, and what goes before it."""

    backbone: Backbone
    module: PatchFeatures
    spec: Preprocessing
    preprocess: Preprocess
    embed: Embed
    grid_hw: tuple[int, int]
    dimension: int


@dataclass(frozen=True, slots=True)
class _Memory:
    """What patches are compared with, and the manifest's words about it."""

    coreset: Coreset
    index: Index
    search: Search
    score: ScoreFrame
    b: int


def fit(options: Options) -> Report:
    """Make a bundle from normal pictures.

    Raises:
        UsageError: pictures or target that cannot be used; nothing is left behind.
    """
    threads = limit_threads(options.threads)
    torch.set_num_threads(threads)
    clock = _Clock()
    with bundles.staging(options.out, force=options.force) as folder:
        with clock("look"):
            pictures = Pictures(options.images, limit=options.max_images, skip_bad=options.skip_bad)
            _require(len(pictures), options)
        with clock("graph"):
            network = _make_network(options, folder, threads)
        with clock("embed"):
            features = embed_pictures(pictures, len(pictures), network.preprocess, network.embed)
            _require(len(features), options)
        held = hold_out(len(features), options.hold_out)
        some = _some_held_out(pictures, held)
        queries = [_embed_all(some, network), _embed_all([image[::-1] for image in some], network)]
        train = features[~held].reshape(-1, network.dimension)
        memory = _make_memory(train, queries, options, folder, clock, threads)
        with clock("calibrate"):
            scores = [
                memory.score(patches, memory.search(patches)).value
                for patches in progress(features[held], "calibrate", unit="picture")
            ]
            calibration = calibrate(np.array(scores), options.alpha)
        with clock("seal"):
            golden = [_no_larger(some[number]) for number in evenly(len(some), GOLDEN_FRAMES)]
            parity = _measure_parity(golden, network)
            _save_golden(folder / bundles.GOLDEN, golden, network, memory)
            manifest = _make_manifest(options, folder, network, memory, calibration, parity)
            (folder / bundles.MANIFEST).write_bytes(manifests.encode(manifest))
            sealed, _ = load(folder, threads)
    return Report(
        manifest=sealed.manifest,
        bundle_id=sealed.id,
        pictures=len(features),
        skipped=list(pictures.skipped),
        size_bytes=sum(entry.stat().st_size for entry in options.out.iterdir()),
        seconds=clock.seconds,
    )


def _require(pictures: int, options: Options) -> None:
    if pictures < MIN_PICTURES:
        raise TooFewImages(
            f"{pictures} usable pictures, at least {MIN_PICTURES} are needed",
            where=str(options.images),
            remedy="take a few hundred of the normal scene",
        )


def _make_network(options: Options, folder: Path, threads: int) -> _Network:
    input_hw = (options.size, options.size)
    resize = options.resize or options.size
    backbone = load_backbone(options.backbone, input_hw)
    module = PatchFeatures(backbone, options.patch_size)
    with bar("make graph", 1, "graph") as moving:
        export_graph(module, input_hw, folder / bundles.MODEL)
        moving.update(1)
    spec = Preprocessing(
        resize="area",
        resize_hw=(resize, resize),
        crop_hw=input_hw,
        color_order="bgr",
        mean=backbone.mean,
        std=backbone.std,
    )
    grid_hw, dimension = module.grid_and_dimension(input_hw)
    embed = Embed(folder / bundles.MODEL, threads)
    return _Network(backbone, module, spec, Preprocess(spec), embed, grid_hw, dimension)


def _make_memory(
    train: NDArray[np.float32],
    queries: list[NDArray[np.float32]],
    options: Options,
    folder: Path,
    clock: _Clock,
    threads: int,
) -> _Memory:
    """Select and index features float32 [N, D], and measure recall on queries, kinds of float32 [n, D]."""
    projection_dim = options.projection_dim if (options.projection_dim or 0) < train.shape[1] else None
    with clock("coreset"):
        size = max(MIN_BANK, round(options.coreset * len(train)))
        rows = select(train, size, seed=options.seed, projection_dim=projection_dim)
        bank = train[rows]
        np.save(folder / bundles.BANK, bank)
    with clock("index"):
        graph = build_index(bank)
        graph.save_index(str(folder / bundles.INDEX))
        table = neighbour_table(bank, options.b)
        np.save(folder / bundles.NEIGHBOURS, table)
    with clock("measure"):
        coreset = Coreset(
            size=size,
            patches=len(train),
            seed=options.seed,
            projection_dim=projection_dim,
            covering_radius=covering_radius(train, bank),
        )
        exact = ExactSearch(bank)
        index = choose_ef(graph, queries, exact, threads)
    search = TopExactSearch(GraphSearch(graph, ef=index.ef, threads=threads), exact)
    return _Memory(coreset, index, search, ScoreFrame(bank, table, options.score), options.b)


def _make_manifest(
    options: Options,
    folder: Path,
    network: _Network,
    memory: _Memory,
    calibration: Calibration,
    parity: Parity,
) -> Manifest:
    return Manifest(
        format_version=manifests.FORMAT_VERSION,
        files=bundles.file_table(folder),
        preprocessing=network.spec,
        features=Features(
            backbone=network.backbone.name,
            weights=network.backbone.weights,
            weights_sha256=network.backbone.weights_sha256,
            layers=network.backbone.layers,
            aggregation="mean",
            patch_size=options.patch_size,
            grid_hw=network.grid_hw,
            dimension=network.dimension,
        ),
        coreset=memory.coreset,
        index=memory.index,
        scoring=Scoring(mode=options.score, b=memory.b),
        calibration=calibration,
        parity=parity,
        versions={"python": platform.python_version(), **{tool: importlib.metadata.version(tool) for tool in _TOOLS}},
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _some_held_out(pictures: Pictures, held: NDArray[np.bool_]) -> list[Image]:
    """Give a few of the held-out pictures again, spread evenly."""
    places = np.flatnonzero(held)
    return pictures.again([int(places[number]) for number in evenly(len(places), RECALL_PICTURES)])


def _embed_all(images: list[Image], network: _Network) -> NDArray[np.float32]:
    return np.concatenate([network.embed(network.preprocess(image)) for image in images])


def _no_larger(image: Image) -> Image:
    factor = GOLDEN_SIDE / max(image.shape[:2])
    if factor >= 1:
        return image
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _measure_parity(golden: list[Image], network: _Network) -> Parity:
    """Compare ONNX Runtime with torch on real pictures."""
    tensors = [network.preprocess(image) for image in golden]
    apart = max(largest_difference(network.embed(tensor), network.module.run(tensor)) for tensor in tensors)
    return Parity(features_relative=apart, golden_relative=GOLDEN_RELATIVE)


def _save_golden(path: Path, golden: list[Image], network: _Network, memory: _Memory) -> None:
    scorer = Scorer(network.preprocess, network.embed, memory.search, memory.score, network.grid_hw)
    scores = np.array([scorer(image).value for image in golden])
    frames = {f"frame_{number}": image for number, image in enumerate(golden)}
    np.savez_compressed(path, allow_pickle=False, scores=scores, **frames)
