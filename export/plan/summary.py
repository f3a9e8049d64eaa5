"""The cameras of a plan in a table, on the terminal and on a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from edge_config.bundle.promise import in_words
from export import html
from export.plan.outcome import CameraOutcome, Outcomes

HEAD = ("camera", "result", "id", "entries", "threshold", "false alarms", "signed by", "time")


def as_text(outcomes: Outcomes) -> str:
    """Write the table for a terminal, and below it why cameras failed and what should be looked at."""
    rows = [HEAD, *(_row(one) for one in outcomes.cameras)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{camera}: {what}" for camera, what in _remarks(outcomes)]
    return "\n".join([*lines, in_short(outcomes), *([f"page: {outcomes.page}"] if outcomes.page else [])])


def as_html(outcomes: Outcomes, begun: str) -> str:
    """Write the page; `begun` is when the run began."""
    title = f"Plan {Path(outcomes.plan).name}"
    remarks = html.table(_remarks(outcomes)) if _remarks(outcomes) else ""
    return html.document(
        title,
        [
            html.paragraph(f"{in_short(outcomes)} {begun}."),
            html.section("Cameras", _grid(outcomes.cameras, Path(outcomes.page).parent)),
            html.section("What to look at", remarks) if remarks else "",
        ],
    )


def in_short(outcomes: Outcomes) -> str:
    """Return the numbers of cameras in one sentence."""
    failed = f"{outcomes.failed} failed" if outcomes.failed else "none failed"
    return (
        f"{len(outcomes.cameras)} cameras: {outcomes.learnt} learnt, {outcomes.kept} in place already, {failed}; "
        f"{outcomes.seconds:.0f} s."
    )


def _row(one: CameraOutcome) -> Sequence[str]:
    if one.sealed is None:
        return (one.camera, one.result, *[""] * (len(HEAD) - 2))
    sealed = one.sealed
    return (
        one.camera,
        one.result,
        sealed.id[:12],
        f"{sealed.entries} of {sealed.patches}",
        f"{sealed.threshold:.4f}",
        in_words(sealed.promised_alpha, sealed.upper_alpha).partition(" on average")[0],
        sealed.signed_by.removeprefix("ed25519:")[:12] or "not signed",
        f"{one.seconds:.0f} s" if one.seconds else "",
    )


def _remarks(outcomes: Outcomes) -> list[tuple[str, str]]:
    failed = [(one.camera, one.reason) for one in outcomes.cameras if one.reason]
    return [*failed, *((one.camera, warning) for one in outcomes.cameras for warning in one.warnings)]


def _grid(cameras: Sequence[CameraOutcome], folder: Path) -> str:
    """Return the table with links to the reports of the bundles; those that failed stand out."""
    head = "".join(f"<th>{escape(name)}</th>" for name in (*HEAD, "report"))
    rows = []
    for one in cameras:
        cells = [f"<td>{escape(cell)}</td>" for cell in _row(one)]
        if one.sealed is None:
            cells[1] = f'<td class="missed">{escape(one.result)}</td>'
        cells.append(f"<td>{_link(one, folder)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _link(one: CameraOutcome, folder: Path) -> str:
    if one.sealed is None or not one.sealed.report:
        return ""
    at = Path(one.out).absolute().with_name(one.sealed.report)
    try:
        address = at.relative_to(folder.absolute()).as_posix()
    except ValueError:  # elsewhere on the disk
        address = at.as_uri()
    return f'<a href="{escape(address)}">{escape(one.sealed.report)}</a>'
