"""Summary of a fit, on a few lines for a person."""

from __future__ import annotations

from pathlib import Path

from edge_config.bundle.may_vary import NOTHING
from edge_config.bundle.parity_result import GraphParity, Parity
from export.gate.precision_cost import Cost
from export.network.tiles import in_words as tiles_in_words
from export.report import words
from export.report.facts import FitReport
from runtime.learning import summary


def as_text(report: FitReport, out: Path) -> str:
    """Write the summary of a fit whose bundle is at `out`."""
    return summary.as_text(rows(report, out))


def rows(report: FitReport, out: Path) -> list[tuple[str, str]]:
    """Return the lines of the summary: name and text."""
    lines = {
        **summary.lines(report, out),
        "may vary": _may_vary(report),
        "parity": _parity(report.manifest.parity, report.graph),
        **({"tiles": tiles} if (tiles := tiles_in_words(report.manifest.preprocessing)) else {}),
        **({cost.precision: _cost(cost)} if (cost := report.precision_cost) else {}),
        **({"small faults": words.smallest(report.choice.faults)} if report.choice else {}),
        "time": summary.in_seconds(report),
        **({"report": report.page} if report.page else {}),
    }
    return [*lines.items(), *summary.notes(report)]


def _may_vary(report: FitReport) -> str:
    may_vary = report.manifest.may_vary
    if may_vary == NOTHING or not report.tolerance_costs:
        return str(may_vary) + ("" if may_vary == NOTHING else " (--tolerance-cost measures what it costs)")
    costs = (f"with {one.tolerance} {one.found:.1%}" for one in report.tolerance_costs)
    first = report.tolerance_costs[0]
    return (
        f"{may_vary}; of {first.faults} synthetic faults found: {first.found_without:.1%} without, {', '.join(costs)}"
    )


def _parity(parity: Parity, made: GraphParity) -> str:
    return (
        f"{parity.pictures} pictures: features within {made.graph.features.largest:.1e} of {made.reference}, "
        f"scores within {made.graph.scores.largest:.1e}; {parity.search.scores.largest:.1e} of the exact search's"
    )


def _cost(cost: Cost) -> str:
    parts = [f"image AUROC {_figure(cost.faults.reduced)} on synthetic faults (float32 {_figure(cost.faults.float32)})"]
    if cost.test_set:
        parts.append(f"{_figure(cost.test_set.reduced)} on the test set (float32 {_figure(cost.test_set.float32)})")
    return ", ".join(parts)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"
