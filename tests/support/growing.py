"""A tiny bundle that can learn on, and pictures for it: grey is normal, a square of a colour is not."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.manifest import Scoring
from edge_config.polygons import Polygon
from runtime.frame import Grid, Image
from runtime.inference.assemble import assemble
from runtime.inference.golden_frames import score_golden, write_golden
from runtime.inference.load import scene_reference
from runtime.learning.bank.index import neighbour_table
from runtime.learning.bank.measure import NEAREST, make_measure
from runtime.learning.calibrate import calibrate
from runtime.learning.grow.job import LearningJob
from runtime.scoring.adjust import Adjust
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.regions import Regions
from runtime.scoring.scorer import Scorer
from runtime.search.full import GraphSearch
from runtime.search.measure import write_measure
from tests.support import tiny

K = 3
BLUE, RED, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)
ALPHA = 0.05
HELD_OUT = range(2000, 2030)

Mode = Literal["max", "topk", "paper"]


def with_square(seed: int, colour: tuple[int, int, int], at: tuple[int, int] = (1, 1), cells: int = 2) -> Image:
    """Make a normal picture of which some patches, `cells` in both directions from the one at `at` on, are coloured.

    They are whole: no patch mixes the colour with what is around it.
    """
    picture = tiny.normal_picture(seed)
    height, width = tiny.HEIGHT // tiny.GRID[0], tiny.WIDTH // tiny.GRID[1]
    column, row = at
    picture[row * height : (row + cells) * height, column * width : (column + cells) * width] = colour
    return picture


def with_mosaic(seed: int, random: np.random.Generator) -> Image:
    """Make a normal picture of which twelve patches have random colours."""
    picture = tiny.normal_picture(seed)
    height, width = tiny.HEIGHT // tiny.GRID[0], tiny.WIDTH // tiny.GRID[1]
    colours = random.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    picture[: 3 * height, : 4 * width] = colours.repeat(height, axis=0).repeat(width, axis=1)
    return picture


def write(folder: Path, pictures: list[Image]) -> list[str]:
    """Write pictures, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03d}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        cv2.imwrite(str(path), picture)
    return [str(path) for path in paths]


def make_parent(target: Path, mode: Mode = "topk", ignore: tuple[Polygon, ...] = ()) -> Path:
    """Write a tiny bundle with local spacing, held-out scores and a serving radius, as fit makes them."""
    hw = (tiny.HEIGHT, tiny.WIDTH)
    tiny.make_bundle(target, ignore, hw if ignore else None)
    preprocess, embed, bank = Preprocess(tiny.SPEC), Embed(tiny.MODEL, 1), tiny.tiny_bank()
    table = neighbour_table(bank, 1 + NEAREST)
    measure = make_measure(Adjust(np.ones(tiny.DIMENSION, np.float32)), bank, table, "local")
    scoring = Scoring(mode=mode, b=tiny.B, k=K)
    graph = GraphSearch.load(target / bundles.INDEX, dimension=tiny.DIMENSION, ef=16)
    stages = preprocess, embed, graph, bank, table[:, : tiny.B].copy()
    judged = Regions((), ignore, preprocess, Grid(tiny.GRID)).active(hw)
    scorer = assemble(*stages, scoring, Grid(tiny.GRID), search="lazy", judged=judged, divisors=measure.divisors)
    found = np.array([scorer(tiny.normal_picture(seed)).value for seed in HELD_OUT])
    seen = [scorer(tiny.normal_picture(seed)).distances.max() for seed in range(3000, 3010)]
    reference = scene_reference(bundles.read(target))
    golden = [score_golden(frame, scorer) for frame in (tiny.normal_picture(1), tiny.strange_picture(2))]
    write_measure(target / bundles.MEASURE, measure)
    write_golden(target / bundles.GOLDEN, golden, reference)
    old = manifests.decode((target / bundles.MANIFEST).read_bytes(), where="")
    changed = msgspec.structs.replace(
        old,
        files=bundles.file_table(target),
        scoring=scoring,
        calibration=calibrate(found, ALPHA),
        coreset=msgspec.structs.replace(old.coreset, spacing="local", serving_radius=float(max(seen))),
    )
    (target / bundles.MANIFEST).write_bytes(manifests.encode(changed))
    return target


def job(bundle: Path, learn: list[str], out: Path, **more: object) -> LearningJob:
    """Return a job for a camera `belt`, in one thread."""
    work = str(out.with_suffix(".work"))
    return msgspec.convert(
        {"bundle": str(bundle), "camera": "belt", "learn": learn, "out": str(out), "work": work, "threads": 1, **more},
        LearningJob,
    )


def scores(scorer: Scorer, pictures: list[Image]) -> list[float]:
    """Return the scores of pictures."""
    return [scorer(picture).value for picture in pictures]
