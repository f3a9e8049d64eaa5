"""Tables of alerts as CSV (RFC 4180, UTF-8), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from runtime.page.shapes import ByWhom, ShownAlert

MAX_MS = 253_402_300_800_000
"""End of the year 9999: times have four digits of a year."""

ALERT_COLUMNS = (
    "id",
    "device",
    "camera",
    "start",
    "end",
    "seconds",
    "peak_score",
    "peak_excess",
    "threshold",
    "reason",
    "clip",
    "has_picture",
    "has_heat",
    "boxes",
    "frame_height",
    "frame_width",
    "acknowledged_by",
    "acknowledged_at",
    "false_alarm_by",
    "false_alarm_at",
    "comments",
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Return rows as CSV.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8", "backslashreplace")


def alert_row(alert: ShownAlert) -> tuple[Any, ...]:
    """Return an alert in the order of `ALERT_COLUMNS`: times in ISO 8601, UTC."""
    height, width = alert.frame_hw or (None, None)
    return (
        alert.id,
        alert.device,
        alert.camera,
        iso(alert.start_ms),
        iso(alert.end_ms),
        None if alert.end_ms is None else (alert.end_ms - alert.start_ms) / 1000,
        alert.peak_score,
        alert.peak_excess,
        alert.threshold,
        alert.reason,
        alert.clip,
        alert.has_picture,
        alert.has_heat,
        "; ".join(" ".join(map(str, box)) for box in alert.boxes),
        height,
        width,
        *_whom(alert.acknowledged),
        *_whom(alert.false_alarm),
        "\n".join(f"{iso(one.at_ms)} {one.by or '-'}: {one.text}" for one in alert.comments),
    )


def iso(at_ms: int | None) -> str:
    """Return a time as ISO 8601, UTC; empty where there is none, or a device sent what is no time."""
    if at_ms is None or not 0 <= at_ms < MAX_MS:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def _whom(by: ByWhom | None) -> tuple[str, str]:
    return ("", "") if by is None else (by.by or "-", iso(by.at_ms))


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
