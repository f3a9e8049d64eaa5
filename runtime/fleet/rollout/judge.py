"""What a device's report means for the roll-out that it is part of."""

from __future__ import annotations

from edge_config.wire.fleet import CameraBaseline, CameraReport, DeviceReport, FleetBounds, Rollout
from runtime.fleet.rollout.stages import cameras_of

FAILED = ("refused", "went back")

KNOWN_S = 600.0
"""Time after which the rate of alerts before is known well enough, however long the new bundle has run, seconds."""


def baseline_of(report: DeviceReport, camera: str) -> dict[str, CameraBaseline]:
    """Return how the cameras of a device are before the roll-out, to compare with."""
    return {
        one.camera: CameraBaseline(
            alerts_per_hour=one.alerts_per_hour,
            alerts_s=one.alerts_s,
            frame_ms_p95=one.frame_ms_p95,
            fps=one.fps,
            drifts=bool(one.drift),
            has_problem=bool(one.bundle_problem),
        )
        for one in cameras_of(report, camera)
    }


def roots_of(report: DeviceReport, camera: str) -> dict[str, str]:
    """Return camera -> root of the bundle in service, where there is one."""
    return {one.camera: one.root for one in cameras_of(report, camera) if one.root}


def has_taken(rollout: Rollout, report: DeviceReport | None, counter: int) -> bool:
    """Return whether a report is about the assignment of this roll-out with this counter, or a later one of it."""
    return report is not None and report.rollout == rollout.id and report.counter >= counter


def is_overtaken(rollout: Rollout, report: DeviceReport | None, counter: int) -> bool:
    """Return whether the device has accepted a newer assignment of somebody else."""
    return report is not None and report.counter > counter and report.rollout != rollout.id


def is_in_place(rollout: Rollout, report: DeviceReport | None, counter: int) -> bool:
    """Return whether the device reports that what this roll-out assigned is in place."""
    return report is not None and has_taken(rollout, report, counter) and report.phase == "in place"


def trouble(rollout: Rollout, report: DeviceReport | None, counter: int, now_ms: int) -> str:
    """Return why a device stops the roll-out; empty: it does not."""
    if report is None:
        return ""
    if is_overtaken(rollout, report, counter):
        other = f"roll-out {report.rollout}" if report.rollout else "another command"
        return f"has a newer assignment, {report.counter}, by {other}"
    if has_taken(rollout, report, counter) and report.phase in FAILED:
        return f"{report.phase}: {report.reason or 'without a reason'}"
    if not is_in_place(rollout, report, counter):
        return ""  # while it watches, the device itself judges, by finer figures
    before = rollout.baseline.get(report.device, {})
    soaked_ms = max(0, now_ms - rollout.settled_ms) if rollout.settled_ms else 0
    hours = (rollout.watch_s + soaked_ms / 1000) / 3600
    said = (
        (one.camera, _worse(one, before[one.camera], rollout.bounds, hours))
        for one in cameras_of(report, rollout.camera)
        if one.camera in before
    )
    return next((f"camera {camera}: {what}" for camera, what in said if what), "")


def _worse(now: CameraReport, was: CameraBaseline, bounds: FleetBounds, hours: float) -> str:
    """Return what is worse than before, of a camera that has run the new bundle for `hours`."""
    if now.bundle_problem and not was.has_problem:
        return now.bundle_problem
    if now.drift and not was.drifts:
        return f"drifts since: {now.drift}"
    most = max(bounds.min_alerts, bounds.alert_rate_ratio * max(1.0, was.alerts_per_hour * hours))
    is_known = was.alerts_s >= min(hours * 3600, KNOWN_S)  # a device that was just started has no rate yet
    if is_known and now.alerts_per_hour * hours >= most:
        return f"{now.alerts_per_hour:.3g} alerts an hour, {was.alerts_per_hour:.3g} before"
    slower = 0 < bounds.frame_time_ratio * was.frame_ms_p95 < now.frame_ms_p95
    if slower and bounds.frame_time_ratio * now.fps < was.fps:  # one slow frame of twenty alone proves nothing
        said = f"a frame takes {now.frame_ms_p95:.3g} ms, {was.frame_ms_p95:.3g} ms before"
        return f"{said}; {now.fps:.3g} frames per second, {was.fps:.3g} before"
    return ""
