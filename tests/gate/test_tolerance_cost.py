"""What a tolerance costs: synthetic faults found with and without it, on features that a test can compute."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_config.bundle.manifest import Scoring
from edge_config.bundle.may_vary import MayVary
from export.gate.tolerance_cost import FAULTS, ToleranceCost, measure_tolerances
from export.options import Options
from runtime.frame import Image
from runtime.learning.gate.synthetic_faults import all_judged, with_faults
from runtime.learning.pictures.images import Pictures

COUNT, SIDE = 12, 64
K = 2
NOISE = 25.0
"""Grey levels: so much that some faults are missed."""
SEED = 3


def scene(number: int) -> Image:
    """Return a gradient with noise."""
    steps = np.arange(SIDE) * 2 + 60
    noise = np.random.default_rng(number).normal(0, NOISE, (SIDE, SIDE, 3))
    return np.clip(steps[:, None, None] + noise, 0, 255).astype(np.uint8)


def means(image: Image) -> np.ndarray:
    """Return the mean colour of each of 8 x 8 squares, as features."""
    return image.reshape(8, 8, 8, 8, 3).mean(axis=(1, 3)).reshape(64, 3).astype(np.float32)


def largest(scores: np.ndarray) -> float:
    return float(scores.max())


def measured(folder: Path, may_vary: MayVary) -> tuple[list[ToleranceCost], np.ndarray]:
    """Measure on pictures in a folder, every fourth held out; the banks have an entry for each plain patch."""
    for number in range(COUNT):
        cv2.imwrite(str(folder / f"{number:02d}.png"), scene(number))
    pictures = Pictures(folder)
    held = np.array([len(name) > 0 for name, _ in pictures]) & (np.arange(COUNT) % 4 == 3)
    options = Options(images="-", out="-", coreset=10_000, spacing="none", seed=SEED, may_vary=may_vary)
    scoring = Scoring(mode="topk", b=9, k=K)
    return measure_tolerances(pictures, held, means, all_judged, scoring, largest, options), held


def test_share_without_a_tolerance_is_that_of_a_plain_bank(tmp_path: Path) -> None:
    """Without the tolerance, faults are counted against all training patches and the largest held-out score."""
    costs, held = measured(tmp_path, MayVary(light=0.1))
    bank = np.concatenate([means(scene(number)) for number in np.flatnonzero(~held)]).astype(np.float64)

    def score(image: Image) -> float:
        apart = np.linalg.norm(means(image).astype(np.float64)[:, None] - bank, axis=2).min(axis=1)
        return float(np.sort(apart)[-K:].mean())

    judged = [scene(number) for number in np.flatnonzero(held)]
    threshold = max(map(score, judged))
    faults = [broken for turn in range(FAULTS) for _, broken in with_faults(judged, SEED + turn)]
    assert [(cost.tolerance, cost.faults) for cost in costs] == [("light=10%", len(faults))]
    assert costs[0].found_without == np.mean([score(fault) > threshold for fault in faults])
    assert 0 < costs[0].found_without < 1


def test_each_tolerance_has_its_own_cost(tmp_path: Path) -> None:
    """Each tolerance is measured alone: much light costs faults of features that are brightness, a mirror none."""
    costs, _ = measured(tmp_path, MayVary(light=0.5, flip=True))
    light, flip = costs
    assert (light.tolerance, flip.tolerance) == ("light=50%", "flip")
    assert light.found_without == flip.found_without
    assert light.found < light.found_without
    assert flip.found >= light.found
