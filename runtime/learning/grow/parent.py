"""The bundle that learns on, loaded as a device does, with what growing needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from edge_config.bundle.lineage import HeldOutScore
from edge_config.bundle.manifest import Calibration, Manifest
from edge_config.errors import UsageError
from runtime.inference.golden_frames import Golden, read_golden
from runtime.inference.load import load
from runtime.learning.grow.growth import Growing
from runtime.scoring.scorer import Scorer
from runtime.search.measure import read_measure


@dataclass(frozen=True, slots=True, eq=False)
class Parent:
    """The bundle that learns on.

    Attributes:
        bundle, scorer: as a device has them.
        bank: its bank and measure.
        neighbours: its table of neighbours, int32 [k, b].
        root: calibration of its root.
        root_entries: number of entries of its root.
        radius: distance up to which its training patches were from its bank.
    """

    bundle: Bundle
    scorer: Scorer
    bank: Growing
    neighbours: NDArray[np.int32]
    root: Calibration
    root_entries: int
    radius: float

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return self.bundle.manifest

    @property
    def k(self) -> int:
        """Number of largest distances whose mean is the score."""
        return self.manifest.scoring.k if self.manifest.scoring.mode == "topk" else 1

    @property
    def limit(self) -> float:
        """Distance up to which a patch is nothing new: it needs no entry, and takes no picture over the threshold."""
        return min(self.radius, self.root.threshold)

    @property
    def usual(self) -> float:
        """Median score of the root's held-out pictures."""
        return self.root.median or self.root.threshold

    @property
    def earlier(self) -> tuple[HeldOutScore, ...]:
        """Held-out pictures of earlier rounds."""
        return self.manifest.lineage.held_out if self.manifest.lineage else ()

    def golden(self) -> list[Golden]:
        """Return its golden frames."""
        patches = math.prod(self.scorer.grid.hw)
        return read_golden(self.bundle.file(bundles.GOLDEN), patches, len(self.bank.bank))


def load_parent(path: Path, threads: int) -> Parent:
    """Load a bundle as a device does, with what growing needs.

    Raises:
        BundleError: it must not be served.
        UsageError: it cannot grow.
    """
    bundle, scorer = load(path, threads)
    manifest = bundle.manifest
    radius, calibration, lineage = manifest.coreset.serving_radius, manifest.calibration, manifest.lineage
    if manifest.scoring.mode == "paper":
        raise UsageError(
            "a bundle with the score `paper` cannot learn on: its re-weighted scores may rise where the bank grows",
            where=str(path),
            remedy="learn a bundle with --score topk or max",
        )
    if radius is None or not calibration.scores:
        raise UsageError(
            "was made by a version that did not record what growing needs", where=str(path), remedy="learn it again"
        )
    size, dimension = manifest.coreset.size, manifest.features.dimension
    patches = math.prod(manifest.features.grid_hw) if manifest.features.position_means else None
    return Parent(
        bundle,
        scorer,
        Growing(
            arrays.read(bundle.file(bundles.BANK), "bank")["bank"],
            read_measure(bundle.file(bundles.MEASURE), size, dimension, patches=patches),
        ),
        arrays.read(bundle.file(bundles.NEIGHBOURS), "neighbours")["neighbours"],
        lineage.root_calibration if lineage else calibration,
        lineage.root_entries if lineage else size,
        radius,
    )
