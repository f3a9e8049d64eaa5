"""The page of a fit: one self-contained HTML file beside the bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_config.saving import put
from export import html
from export.report import sections
from export.report.facts import FitReport
from export.report.gallery import Gallery
from export.report.summary import rows

SECTIONS: tuple[Callable[[FitReport, Gallery], str], ...] = (
    sections.faults,
    sections.scores,
    sections.rates,
    sections.strangest,
    sections.tolerances,
    sections.regions,
    sections.pictures,
    sections.making,
)
"""In the order of the page."""

NO_PICTURES = Gallery()


def as_html(report: FitReport, out: Path, gallery: Gallery = NO_PICTURES) -> str:
    """Write the page of a fit whose bundle is at `out`."""
    shown = (section(report, gallery) for section in SECTIONS)
    return html.document(f"Report of {out.name}", [html.table(rows(report, out)), *shown])


def write_page(report: FitReport, out: Path, show: Callable[[], Gallery]) -> None:
    """Write the page at `report.page`, whole or not at all; none if there is no path. `show` reads its pictures.

    Raises:
        NotWritten: it cannot be written.
    """
    if report.page:
        put(Path(report.page), as_html(report, out, show()).encode())
