"""Summary of learning, on a few lines for a person."""

from __future__ import annotations

from pathlib import Path

from edge_config.bundle.manifest import Calibration, Coreset, Features
from edge_config.bundle.parity_result import Parity
from edge_config.bundle.promise import in_words
from runtime.learning.calibrate import pictures_needed
from runtime.learning.pictures.survey import Survey
from runtime.learning.promise.promise import PromisedAlerts
from runtime.learning.promise.words import least_duration, moments
from runtime.learning.report import LearnReport


def as_text(rows: list[tuple[str, str]]) -> str:
    """Write lines of a summary: name and text."""
    return "\n".join(f"{name:<13} {text}" for name, text in rows)


def lines(report: LearnReport, out: Path) -> dict[str, str]:
    """Return the lines of the summary of a bundle that is at `out`, by name."""
    manifest = report.manifest
    index, calibration = manifest.index, manifest.calibration
    skipped = f", {len(report.skipped)} skipped as unreadable" if report.skipped else ""
    learnt = report.pictures - calibration.n
    return {
        "bundle": f"{out} ({report.size_bytes / 1e6:.1f} MB, id {report.bundle_id[:12]})",
        "pictures": f"{learnt} learnt from, {calibration.n} held out{skipped}; {_sizes(report.survey)}",
        "may vary": str(manifest.may_vary),
        "network": _network(manifest.features),
        "coreset": _coreset(manifest.coreset),
        "index": f"HNSW, recall@1 {index.recall_at_1:.4f} at ef {index.ef}",
        "parity": _parity(manifest.parity),
        "threshold": f"{calibration.threshold:.4f} on the score `{manifest.scoring.mode}`",
        "false alarms": promise(calibration),
        **alert_rows(report.alerts),
    }


def notes(report: LearnReport) -> list[tuple[str, str]]:
    """Return what was said of the pictures, and what should be looked at."""
    said = [("note", note) for note in report.survey.notes]
    return [*said, *(("warning", warning) for warning in report.warnings)]


def in_seconds(report: LearnReport) -> str:
    """Return the time of each stage."""
    return ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items())


def _parity(parity: Parity) -> str:
    return f"{parity.pictures} pictures: scores within {parity.search.scores.largest:.1e} of the exact search's"


def _coreset(coreset: Coreset) -> str:
    size = f"{coreset.size} of {coreset.patches} patches, covering radius {coreset.covering_radius:.3f}"
    drawn = f"; selected from {coreset.candidates} of the patches, drawn at random" if coreset.candidates else ""
    if coreset.stopped == "option":
        return size
    change = "" if coreset.change is None else f": the last doubling lowered held-out scores by {coreset.change:.1%}"
    return f"{size}; auto stopped {'at the largest size' if coreset.stopped == 'limit' else 'here'}{change}{drawn}"


def _sizes(survey: Survey) -> str:
    (first, *others) = survey.sizes
    more = f" and {len(others)} sizes more" if others else " pixels"
    return f"{first}{more}" + (f", {survey.depth} of 16 bits" if survey.deep else "")


def _network(features: Features) -> str:
    rows, columns = features.grid_hw
    means = f", {features.position_means:.0%} of each position's mean taken off" if features.position_means else ""
    return (
        f"{features.backbone} in {features.precision}, {' + '.join(features.layers)}, {features.aggregation} over "
        f"{features.patch_size} x {features.patch_size}, {rows} x {columns} patches of {features.dimension}{means}"
    )


def alert_rows(alerts: PromisedAlerts) -> dict[str, str]:
    """Return what there is to say of false alerts a day; nothing of pictures without time."""
    lines = {"alerts": alerts.text} if alerts.text else {}
    if alerts.promise is not None and alerts.promise.min_ms is not None:
        lines["least time"] = least_duration(alerts.promise)
    if alerts.at_s:
        lines["look at"] = f"alerts in the recording, which may be no false ones: {moments(alerts.at_s)}"
    return lines


def promise(calibration: Calibration) -> str:
    """Return the guarantee of the threshold for frames like the held-out ones, and the number of pictures for alpha."""
    promised = in_words(calibration.promised_alpha, calibration.upper_alpha)
    if calibration.promised_alpha <= calibration.alpha:
        return promised
    if calibration.foreign:
        return f"{promised}: {calibration.foreign} of {calibration.n} held-out pictures count as false alarms"
    return (
        f"{promised}: the smallest rates that {calibration.n} held-out pictures can promise "
        f"({calibration.alpha:.2%} needs {pictures_needed(calibration.alpha)} held out)"
    )
