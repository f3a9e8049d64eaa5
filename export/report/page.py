"""The page of a fit: one self-contained HTML file beside the bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_config.saving import put
from export import html
from export.report import sections
from export.report.facts import FitReport
from export.report.sections import Thumbnails
from export.report.summary import rows

SECTIONS: tuple[Callable[[FitReport, Thumbnails], str], ...] = (
    sections.faults,
    sections.scores,
    sections.rates,
    sections.strangest,
    sections.pictures,
    sections.making,
)
"""In the order of the page."""


def as_html(report: FitReport, out: Path, thumbnails: Thumbnails = ()) -> str:
    """Write the page of a fit whose bundle is at `out`."""
    shown = (section(report, thumbnails) for section in SECTIONS)
    return html.document(f"Report of {out.name}", [html.table(rows(report, out)), *shown])


def write_page(report: FitReport, out: Path, thumbnails: Thumbnails = ()) -> None:
    """Write the page at `report.page`, whole or not at all; none if there is no path.

    Raises:
        NotWritten: it cannot be written.
    """
    if report.page:
        put(Path(report.page), as_html(report, out, thumbnails).encode())
