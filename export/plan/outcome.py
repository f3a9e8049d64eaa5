"""What became of each camera of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from edge_config.bundle import manifest as manifests
from edge_config.bundle.files import MANIFEST, read_manifest
from edge_config.bundle.manifest import Manifest

Result = Literal["learnt", "in place", "signed", "failed"]
"""Learnt in this run; there already, of the same inputs; the same, and signed in this run; neither learnt nor there."""


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be known of a bundle, by its manifest.

    Attributes:
        id: of the bundle.
        signed_by: public key of its signature; empty if it is not signed.
        held_out: number of pictures that set the threshold.
        entries, patches: number of entries of the bank, and of the patches that they were chosen from.
        threshold: of the score.
        promised_alpha, upper_alpha: rate of false alarms, on average over calibrations and with 95 % confidence.
        report: name of the page beside the bundle; empty if there is none.
    """

    id: str
    signed_by: str
    held_out: int
    entries: int
    patches: int
    threshold: float
    promised_alpha: float
    upper_alpha: float
    report: str


class CameraOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one camera.

    Attributes:
        camera: its name.
        out: path of the bundle.
        result: in one word or two.
        seconds: that the bundle took to learn, in this run or when it was learnt; 0 if it is unknown.
        sealed: the bundle that is there; null if it failed.
        reason: why it failed.
        exit_code: that a fit of this camera alone would end with.
        warnings: what should be looked at, of a bundle that was learnt in this run.
    """

    camera: str
    out: str
    result: Result
    seconds: float = 0.0
    sealed: Sealed | None = None
    reason: str = ""
    exit_code: int = 0
    warnings: list[str] = []


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a plan; `fit --plan --json` prints it.

    Attributes:
        plan: path of its file.
        page: path of the page about it; empty if it could not be written.
        learnt, kept, failed: numbers of cameras.
        seconds: that the run took.
        cameras: all of them, in the order of the plan.
    """

    plan: str
    page: str
    learnt: int
    kept: int
    failed: int
    seconds: float
    cameras: list[CameraOutcome]

    @property
    def exit_code(self) -> int:
        """That of the first camera that failed; 0 if none did."""
        return next((one.exit_code for one in self.cameras if one.result == "failed"), 0)


def sealed_at(out: Path, bundle_id: str, signed_by: str, report: Path) -> Sealed:
    """Return what is to be known of the bundle at a path."""
    manifest: Manifest = manifests.decode(read_manifest(out), where=str(out / MANIFEST))
    calibration, coreset = manifest.calibration, manifest.coreset
    return Sealed(
        id=bundle_id,
        signed_by=signed_by,
        held_out=calibration.n,
        entries=coreset.size,
        patches=coreset.patches,
        threshold=calibration.threshold,
        promised_alpha=calibration.promised_alpha,
        upper_alpha=calibration.upper_alpha,
        report=report.name if report.is_file() else "",
    )
