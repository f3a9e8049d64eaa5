"""The newest reports of devices as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_config.wire.fleet import CameraReport, DeviceReport

_HEAD = ("DEVICE", "GROUPS", "PHASE", "BUNDLE", "HEALTH", "DRIFT", "SAID")
_ID = 12  # digits of an id
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))
_NOTHING = "-"


def lines(reports: Iterable[DeviceReport], now_ms: int) -> list[str]:
    """Return a line for each device, under a head; reasons stand below the line that they belong to."""
    reports = list(reports)
    rows = [_row(one, now_ms) for one in reports]
    widths = [max(len(row[at]) for row in [_HEAD, *rows]) for at in range(len(_HEAD))]
    table = [_join(_HEAD, widths)]
    for report, row in zip(reports, rows, strict=True):
        table.append(_join(row, widths))
        if report.reason:
            table.append(f"  {report.reason}")
    return table


def _row(report: DeviceReport, now_ms: int) -> tuple[str, ...]:
    cameras = report.cameras
    return (
        report.device,
        ",".join(report.groups) or _NOTHING,
        report.phase,
        _several(f"{one.active[:_ID]}{f'+{one.round}' if one.round else ''}" for one in cameras),
        health(cameras),
        _several(f"{one.camera}: {one.drift}" for one in cameras if one.drift),
        age(now_ms - report.at_ms),
    )


def health(cameras: Sequence[CameraReport]) -> str:
    """Return how many cameras are live, and what the others are."""
    bad = [f"{one.camera} {one.state or 'unknown'}" for one in cameras if one.state != "live"]
    bad += [f"{one.camera}: bundle refused" for one in cameras if one.bundle_problem]
    if not cameras:
        return _NOTHING
    return f"{sum(one.state == 'live' for one in cameras)}/{len(cameras)} live{''.join(f', {one}' for one in bad)}"


def age(ms: int) -> str:
    """Return a time since something in its largest unit."""
    seconds = max(0, ms // 1000)
    return next((f"{seconds // size} {unit}" for size, unit in _UNITS if seconds >= size), f"{seconds} s") + " ago"


def _several(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, texts))) or _NOTHING


def _join(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
