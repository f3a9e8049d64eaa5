"""What must hold of a fleet, judged by the logs of the runtimes and the newest reports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise

from edge_config.wire.fleet import DeviceReport
from tests.programs.fleet.devices import ServedLine

ENDS = ("in place", "refused", "went back", "idle")
"""Phases in which a device waits for its next assignment."""


def not_in_place(reports: Mapping[str, DeviceReport], devices: Iterable[str], root: str) -> list[str]:
    """Return the devices that do not report a bundle as in service and in place."""
    return [name for name in devices if not _is_in_place(reports.get(name), root)]


def not_settled(reports: Mapping[str, DeviceReport], devices: Iterable[str]) -> list[str]:
    """Return the devices that have not reported yet, or are still busy."""
    return [name for name in devices if name not in reports or not _is_settled(reports[name])]


def wrong_runs(logs: Mapping[str, list[ServedLine]], allowed: Collection[str]) -> list[str]:
    """Return each device on which something else served than what was signed and assigned."""
    return [
        f"{name} served {line.serves[:12]}, which nobody assigned to it"
        for name, lines in logs.items()
        for line in lines
        if line.serves not in allowed
    ]


def activated_twice(logs: Mapping[str, list[ServedLine]], root: str) -> list[str]:
    """Return each device that has put a bundle into service more than once."""
    counts = {name: sum(line.serves == root for line in lines) for name, lines in logs.items()}
    return [f"{name} activated {root[:12]} {count} times" for name, count in counts.items() if count > 1]


def went_back_within(lines: list[ServedLine], root: str) -> float | None:
    """Return for how long a bundle served until another one did, seconds; None: it never served, or still does."""
    for line, after in pairwise(lines):
        if line.serves == root:
            return (after.at_ms - line.at_ms) / 1000
    return None


def _is_settled(report: DeviceReport) -> bool:
    return report.phase in ENDS and bool(report.cameras) and all(camera.active for camera in report.cameras)


def _is_in_place(report: DeviceReport | None, root: str) -> bool:
    return (
        report is not None
        and report.phase == "in place"
        and bool(report.cameras)
        and all(camera.active == root for camera in report.cameras)
    )
