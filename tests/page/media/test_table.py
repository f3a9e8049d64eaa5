"""Tables of alerts, read back by Python's own reader of CSV."""

from __future__ import annotations

import csv
import io

import pytest

from runtime.page.media.table import ALERT_COLUMNS, alert_row, csv_lines, iso
from runtime.page.shapes import AlertComment, ByWhom, ShownAlert

ALERT = ShownAlert(
    id="0b5c1e6e-0000-4000-8000-000000000001",
    key="press-3:belt",
    device="press-3",
    camera="belt",
    start_ms=1_764_241_445_007,
    end_ms=1_764_241_447_507,
    peak_score=3.5,
    peak_excess=-0.25,
    threshold=2.0,
    reason='normal "again", so\nit seems',
    clip="belt.avi",
    has_picture=True,
    boxes=((1, 2, 3, 4), (5, 6, 7, 8)),
    frame_hw=(480, 640),
    acknowledged=ByWhom(by="Änne", at_ms=1_764_241_450_000),
    comments=(AlertComment(by="", at_ms=1_764_241_451_000, text="fine, really"),),
)


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


def test_all_fields_come_back() -> None:
    """Every field of an alert is in its column, times in UTC, with quotes, commas and line breaks as they were."""
    (row,) = rows(csv_lines([ALERT_COLUMNS, alert_row(ALERT)]))
    assert row == {
        "id": ALERT.id,
        "device": "press-3",
        "camera": "belt",
        "start": "2025-11-27T11:04:05.007Z",
        "end": "2025-11-27T11:04:07.507Z",
        "seconds": "2.5",
        "peak_score": "3.5",
        "peak_excess": "-0.25",
        "threshold": "2.0",
        "reason": 'normal "again", so\nit seems',
        "clip": "belt.avi",
        "has_picture": "yes",
        "has_heat": "no",
        "boxes": "1 2 3 4; 5 6 7 8",
        "frame_height": "480",
        "frame_width": "640",
        "acknowledged_by": "Änne",
        "acknowledged_at": "2025-11-27T11:04:10.000Z",
        "false_alarm_by": "",
        "false_alarm_at": "",
        "comments": "2025-11-27T11:04:11.000Z -: fine, really",
    }


def test_lines_end_as_the_standard_says() -> None:
    """Records end in CR LF (RFC 4180), and a line break in a field is in quotes."""
    assert csv_lines([("a", 'b"c'), ("d\ne", None)]) == b'a,"b""c"\r\n"d\ne",\r\n'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")'])
def test_formula_is_a_text(text: str) -> None:
    """A text that a spreadsheet would run has an apostrophe before it; a negative number has none."""
    ((read, number),) = csv.reader(io.StringIO(csv_lines([(text, -1.5)]).decode(), newline=""))
    assert (read, number) == (f"'{text}", "-1.5")


def test_text_that_is_no_unicode_is_no_error() -> None:
    """Half of a pair of surrogates, which JSON may hold, is written as its number."""
    assert csv_lines([("a\ud800b",)]) == b"a\\ud800b\r\n"


@pytest.mark.parametrize("at_ms", [-1, 253_402_300_800_000, 10**18])
def test_time_that_is_none_is_left_empty(at_ms: int) -> None:
    """What a device sent as a time does not stop a table of other alerts."""
    assert iso(at_ms) == ""
    assert iso(253_402_300_799_999) == "9999-12-31T23:59:59.999Z"
