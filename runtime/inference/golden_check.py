"""The golden frames of a bundle on a provider of this machine, against the tolerance of its manifest."""

from __future__ import annotations

from dataclasses import dataclass

from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from edge_config.bundle.parity_result import Tolerance, name_of_tolerance
from edge_config.errors import BundleParity
from runtime.frame import Grid
from runtime.inference.golden_frames import Golden, compare, read_golden
from runtime.scoring.scorer import Scorer


@dataclass(frozen=True, slots=True)
class GoldenCheck:
    """Differences of this machine from the exporter on the golden frames.

    Attributes:
        provider: of ONNX Runtime.
        frames: golden frames.
        scores: largest relative difference of a score.
        distances_mean: largest, over the frames, mean difference of patch distances, as a share of the largest one.
        tolerance: what the manifest allows this provider.
        passed_over: preferred providers that are not used, a line each with the reason.
    """

    provider: str
    frames: int
    scores: float
    distances_mean: float
    tolerance: Tolerance
    passed_over: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether all is within the tolerance; NaN is not."""
        return self.scores <= self.tolerance.scores and self.distances_mean <= self.tolerance.distances_mean

    @property
    def differences(self) -> str:
        """The differences and what is allowed, in words."""
        return (
            f"golden frames differ on this machine: scores by {self.scores:.1e} of {self.tolerance.scores:.0e} "
            f"allowed, patch distances by {self.distances_mean:.1e} of {self.tolerance.distances_mean:.0e}"
        )


def check_golden(bundle: Bundle, scorer: Scorer, reduced_precision: str = "") -> GoldenCheck:
    """Score the golden frames as the exporter did, and compare.

    Args:
        bundle: theirs.
        scorer: the stages as this machine runs them.
        reduced_precision: precision below float32 that its provider computes in, such as `fp16`; empty if none.

    Raises:
        BundleParity: the manifest has no tolerance for this provider.
    """
    tolerances, provider = bundle.manifest.parity.tolerances, scorer.provider
    tolerance = tolerances.get(name_of_tolerance(provider, reduced_precision)) or tolerances.get(provider)
    if tolerance is None:
        raise BundleParity(
            f"its manifest has no tolerance for {provider}",
            where=str(bundle.path),
            remedy=f"it has {', '.join(tolerances) or 'none'}",
        )
    golden = golden_frames(bundle, scorer.grid)
    found = compare(golden, scorer, bundle.manifest.scoring)
    return GoldenCheck(provider, len(golden), found.scores, found.distances_mean, tolerance)


def golden_frames(bundle: Bundle, grid: Grid) -> list[Golden]:
    """Return the golden frames of a bundle, with their scores.

    Raises:
        BundleShapeMismatch: its file holds none.
    """
    return read_golden(bundle.file(bundles.GOLDEN), grid.hw[0] * grid.hw[1], bundle.manifest.coreset.size)
