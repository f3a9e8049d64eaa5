"""Summary of a fit, on a few lines for a person."""

from __future__ import annotations

from pathlib import Path

from edge_config.bundle.manifest import Calibration, Coreset, Features
from edge_config.bundle.may_vary import NOTHING
from edge_config.bundle.parity_result import GraphParity, Parity
from edge_config.bundle.promise import in_words
from export.gate.int8_cost import Cost
from export.network.tiles import in_words as tiles_in_words
from export.report import words
from export.report.facts import FitReport
from runtime.learning.calibrate import pictures_needed
from runtime.learning.pictures.survey import Survey
from runtime.learning.promise.promise import PromisedAlerts
from runtime.learning.promise.words import least_duration, moments


def as_text(report: FitReport, out: Path) -> str:
    """Write the summary of a fit whose bundle is at `out`."""
    return "\n".join(f"{name:<13} {text}" for name, text in rows(report, out))


def rows(report: FitReport, out: Path) -> list[tuple[str, str]]:
    """Return the lines of the summary: name and text."""
    manifest = report.manifest
    coreset, index, calibration = manifest.coreset, manifest.index, manifest.calibration
    skipped = f", {len(report.skipped)} skipped as unreadable" if report.skipped else ""
    learnt = report.pictures - calibration.n
    lines = {
        "bundle": f"{out} ({report.size_bytes / 1e6:.1f} MB, id {report.bundle_id[:12]})",
        "pictures": f"{learnt} learnt from, {calibration.n} held out{skipped}; {_sizes(report.survey)}",
        "may vary": _may_vary(report),
        "network": _network(manifest.features),
        **({"tiles": tiles} if (tiles := tiles_in_words(manifest.preprocessing)) else {}),
        "coreset": _coreset(coreset),
        "index": f"HNSW, recall@1 {index.recall_at_1:.4f} at ef {index.ef}",
        "parity": _parity(manifest.parity, report.graph),
        **({"int8": _cost(report.int8_cost)} if report.int8_cost else {}),
        "threshold": f"{calibration.threshold:.4f} on the score `{manifest.scoring.mode}`",
        "false alarms": promise(calibration),
        **alert_rows(report.alerts),
        **({"small faults": words.smallest(report.choice.faults)} if report.choice else {}),
        "time": ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items()),
        **({"report": report.page} if report.page else {}),
    }
    notes = [("note", note) for note in report.survey.notes]
    return [*lines.items(), *notes, *(("warning", warning) for warning in report.warnings)]


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


def _may_vary(report: FitReport) -> str:
    may_vary = report.manifest.may_vary
    if may_vary == NOTHING or not report.tolerance_costs:
        return str(may_vary) + ("" if may_vary == NOTHING else " (--tolerance-cost measures what it costs)")
    costs = (f"with {one.tolerance} {one.found:.1%}" for one in report.tolerance_costs)
    first = report.tolerance_costs[0]
    return (
        f"{may_vary}; of {first.faults} synthetic faults found: {first.found_without:.1%} without, {', '.join(costs)}"
    )


def _network(features: Features) -> str:
    rows, columns = features.grid_hw
    means = f", {features.position_means:.0%} of each position's mean taken off" if features.position_means else ""
    return (
        f"{features.backbone} in {features.precision}, {' + '.join(features.layers)}, {features.aggregation} over "
        f"{features.patch_size} x {features.patch_size}, {rows} x {columns} patches of {features.dimension}{means}"
    )


def _parity(parity: Parity, made: GraphParity) -> str:
    return (
        f"{parity.pictures} pictures: features within {made.graph.features.largest:.1e} of {made.reference}, "
        f"scores within {made.graph.scores.largest:.1e}; {parity.search.scores.largest:.1e} of the exact search's"
    )


def _cost(cost: Cost) -> str:
    parts = [f"image AUROC {_figure(cost.faults.int8)} on synthetic faults (float32 {_figure(cost.faults.float32)})"]
    if cost.test_set:
        parts.append(f"{_figure(cost.test_set.int8)} on the test set (float32 {_figure(cost.test_set.float32)})")
    return ", ".join(parts)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


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
