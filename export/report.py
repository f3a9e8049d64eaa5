"""What `fit` did, on a few lines that a person can read."""

from __future__ import annotations

from pathlib import Path

from export.calibrate import pictures_needed
from export.seal import Report


def as_text(report: Report, out: Path) -> str:
    """Write the summary of a fit whose bundle is at `out`."""
    manifest = report.manifest
    coreset, index, calibration = manifest.coreset, manifest.index, manifest.calibration
    skipped = f", {len(report.skipped)} skipped as unreadable" if report.skipped else ""
    rows = {
        "bundle": f"{out} ({report.size_bytes / 1e6:.1f} MB, id {report.bundle_id[:12]})",
        "pictures": f"{report.pictures - calibration.n} learnt from, {calibration.n} held out{skipped}",
        "network": f"{manifest.features.backbone}, {manifest.features.layers}, D {manifest.features.dimension}",
        "coreset": f"{coreset.size} of {coreset.patches} patches, covering radius {coreset.covering_radius:.3f}",
        "index": f"HNSW, recall@1 {index.recall_at_1:.4f} at ef {index.ef}",
        "features": f"ONNX Runtime within {manifest.parity.features_relative:.1e} of torch",
        "threshold": f"{calibration.threshold:.4f} on the score `{manifest.scoring.mode}`",
        "false alarms": _promise(report),
        "time": ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items()),
    }
    return "\n".join(f"{name:<13} {text}" for name, text in rows.items())


def _promise(report: Report) -> str:
    calibration = report.manifest.calibration
    promised = f"at most {calibration.promised_alpha:.2%} of frames like the held-out ones"
    if calibration.promised_alpha <= calibration.alpha:
        return promised
    return (
        f"{promised}: the smallest rate that {calibration.n} held-out pictures can promise "
        f"({calibration.alpha:.2%} needs {pictures_needed(calibration.alpha)})"
    )
