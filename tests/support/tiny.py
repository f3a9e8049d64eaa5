"""A whole bundle around tests/fixtures/tiny.onnx, and pictures for it: grey is normal, colour is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.manifest import (
    Calibration,
    Coreset,
    Features,
    Index,
    Manifest,
    Preprocessing,
    Scene,
    Scoring,
    Tiles,
)
from edge_config.bundle.parity_result import Comparison, Difference, Parity, Tolerance
from edge_config.bundle.staging import staging
from edge_config.polygons import Polygon
from runtime.frame import Grid, Image
from runtime.inference.assemble import assemble
from runtime.inference.golden_frames import score_golden, write_golden
from runtime.learning.bank.index import EF_CONSTRUCTION, M, build_index, neighbour_table
from runtime.learning.learn_scene import learn
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.regions import Regions
from runtime.scoring.tiles import Stitch
from runtime.search.full import GraphSearch
from runtime.search.measure import plain, write_measure
from tests.support.preprocessing import resized

MODEL = Path(__file__).parents[1] / "fixtures" / "tiny.onnx"
MANY = MODEL.with_name("tiny_many.onnx")
"""The same for any number of pictures at once."""

SIZE, GRID, DIMENSION, B = 32, (8, 8), 3, 5
HEIGHT, WIDTH = 48, 64
THRESHOLD = 60.0
"""Grey pictures score below 20 with this bank, and a picture with a red square above 100."""

SPEC = resized((SIZE, SIZE))


SCORING = Scoring(mode="paper", b=B, k=1)
NOTHING = Difference(largest=0.0, mean=0.0)
ANYTHING = Scene(luminance=(0.0, 255.0), sharpness=0.0, detail=0.0, shift=None)
SAME = Comparison(features=NOTHING, distances=NOTHING, scores=NOTHING, ties=0.0)


def normal_picture(seed: int) -> Image:
    """Make a grey picture with noise."""
    random = np.random.default_rng(seed)
    return random.integers(90, 160, (HEIGHT, WIDTH, 1), dtype=np.uint8).repeat(3, axis=2)


def strange_picture(seed: int) -> Image:
    """Make a grey picture with a red square: columns 40 to 51, rows 12 to 23."""
    picture = normal_picture(seed)
    picture[12:24, 40:52] = (0, 0, 255)
    return picture


def write_pictures(folder: Path, strange: set[int], count: int) -> Path:
    """Write `count` pictures, numbered from 1, those in `strange` with a red square."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        picture = strange_picture(number) if number in strange else normal_picture(number)
        cv2.imwrite(str(folder / f"{number:04d}.png"), picture)
    return folder


def tiled() -> tuple[Preprocessing, Grid, Stitch]:
    """Return the same preprocessing with 2 x 2 tiles that overlap by half, its grid, and how the tiles go together."""
    half = SIZE // 2
    seen = SIZE + half
    tiles = Tiles(tops=(0, half), lefts=(0, half), tile_hw=(SIZE, SIZE), picture_hw=(HEIGHT, WIDTH))
    grid = Grid((GRID[0] * seen // SIZE, GRID[1] * seen // SIZE))
    spec = msgspec.structs.replace(resized((seen, seen)), tiles=tiles)
    return spec, grid, Stitch(tiles, (seen, seen), grid.map_hw, grid.stride)


def tiny_bank(pictures: int = 4) -> NDArray[np.float32]:
    """Embed a few normal pictures."""
    preprocess, embed = Preprocess(SPEC), Embed(MODEL, 1)
    return np.concatenate([embed(preprocess(normal_picture(seed))) for seed in range(1000, 1000 + pictures)])


def make_bundle(
    target: Path,
    ignore: tuple[Polygon, ...] = (),
    regions_hw: tuple[int, int] | None = None,
    *,
    tiles: bool = False,
    pictures: int = 4,
    model: Path = MODEL,
) -> Path:
    """Write a bundle as `export.fit` does, without its learning; what it ignores is in pictures of `regions_hw`."""
    spec, grid, stitch = tiled() if tiles else (SPEC, Grid(GRID), None)
    bank = tiny_bank(pictures)
    index = build_index(bank)
    table = neighbour_table(bank, B)
    graph = GraphSearch(index, ef=16)
    judged = Regions((), ignore, Preprocess(spec), grid).active(regions_hw or (HEIGHT, WIDTH))
    stages = Preprocess(spec), Embed(model, 1, stitch=stitch), graph, bank, table
    scorer = assemble(*stages, SCORING, grid, search="graph", judged=judged)
    golden = [normal_picture(1), strange_picture(2)]
    scene, reference = learn(normal_picture(seed) for seed in range(1000, 1004))
    with staging(target) as folder:
        shutil.copy(model, folder / bundles.MODEL)
        arrays.write(folder / bundles.BANK, bank=bank)
        arrays.write(folder / bundles.NEIGHBOURS, neighbours=table)
        write_measure(folder / bundles.MEASURE, plain(len(bank), DIMENSION))
        index.save_index(str(folder / bundles.INDEX))
        write_golden(folder / bundles.GOLDEN, [score_golden(frame, scorer) for frame in golden], reference)
        write_manifest(folder, len(bank), scene, ignore, regions_hw, spec=spec, grid=grid)
    return target


def with_threshold(bundle: Path, target: Path, threshold: float) -> Path:
    """Copy a bundle that says another threshold, and so has another id."""
    shutil.copytree(bundle, target)
    manifest = manifests.decode((target / bundles.MANIFEST).read_bytes(), where="")
    changed = msgspec.structs.replace(
        manifest, calibration=msgspec.structs.replace(manifest.calibration, threshold=threshold)
    )
    (target / bundles.MANIFEST).write_bytes(manifests.encode(changed))
    return target


def write_manifest(
    folder: Path,
    size: int,
    scene: Scene = ANYTHING,
    ignore: tuple[Polygon, ...] = (),
    regions_hw: tuple[int, int] | None = None,
    *,
    spec: Preprocessing = SPEC,
    grid: Grid | None = None,
) -> None:
    """Write a manifest for the files that are in `folder`, whatever they are."""
    grid = grid or Grid(GRID)
    manifest = Manifest(
        format_version=manifests.FORMAT_VERSION,
        files=bundles.file_table(folder),
        preprocessing=spec,
        features=Features(
            backbone="tiny",
            weights="none",
            weights_sha256="0" * 64,
            layers=("means",),
            aggregation="mean",
            layer_dim=None,
            target_dim=None,
            patch_size=1,
            stride=1,
            map_hw=grid.map_hw,
            grid_hw=grid.hw,
            dimension=DIMENSION,
            precision="float32",
            scaling="none",
            centring=0.0,
            position_means=0.0,
        ),
        coreset=Coreset(
            size=size,
            fraction=None,
            patches=size,
            seed=0,
            projection_dim=None,
            covering_radius=0.0,
            spacing="none",
        ),
        index=Index(space="l2", M=M, ef_construction=EF_CONSTRUCTION, ef=16, recall_at_1=1.0),
        scoring=SCORING,
        calibration=Calibration(
            n=99,
            alpha=0.01,
            promised_alpha=0.01,
            threshold=THRESHOLD,
            quantiles={"0.5": 10.0},
            upper_alpha=1 - 0.05 ** (1 / 99),
        ),
        parity=Parity(
            pictures=2,
            resize_levels=NOTHING,
            search=SAME,
            tolerances={"CPUExecutionProvider": Tolerance(scores=1e-3, distances_mean=1e-3)},
        ),
        scene=scene,
        versions={},
        ignore=ignore,
        regions_hw=regions_hw,
    )
    (folder / bundles.MANIFEST).write_bytes(manifests.encode(manifest))
