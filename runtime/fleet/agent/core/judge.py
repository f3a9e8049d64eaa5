"""Bounds of an assignment: may a candidate serve, and may what was activated go on? Each refusal is a sentence."""

from __future__ import annotations

from edge_config.wire.candidates import CandidateNow, ShadowFigures
from edge_config.wire.fleet import Assignment, FleetBounds
from runtime.fleet.agent.core.memory import CameraCounts, CameraMemory

MIN_FRAMES = 30
"""Number of frames below which their time is not judged."""

MAX_BAD_S = 10.0
"""Maximum time in which pictures cannot be judged after an activation, seconds."""

MAX_FAILED = 0.01
"""Maximum share of frames that a candidate may fail to score in its shadow time."""

BAD_STATES = frozenset({"stalled", "frozen", "dark", "blurred", "moved", "failed"})
"""States of a camera that a bundle may cause; absent and paused cameras say nothing about it."""

MIN_SLOWER_MS = 1.0
"""Difference of the time of a frame that does not count: below it is noise."""

MIN_LOOKS = 10
"""Number of looks below which the share of anomalous ones is not judged."""

MIN_ANOMALOUS = 0.5
"""Share of anomalous looks from which it is judged: one alert that does not end is as bad as many."""

HOUR_S = 3600.0


def of_candidate(bounds: FleetBounds, candidate: CandidateNow) -> str:
    """Return why a candidate that was checked must not serve; empty: it may."""
    difference, most = candidate.golden_difference, bounds.max_golden_difference
    if most is not None and difference is not None and difference > most:
        return f"a golden frame scores {difference:.3g} apart from its export, {most:g} is allowed"
    took = candidate.frame_ms
    if took is not None and took.now > 0 and _is_slower(took.candidate, took.now, bounds):
        ratio = took.candidate / took.now
        return (
            f"a frame takes {took.candidate:.1f} ms instead of {took.now:.1f} ms, "
            f"{ratio:.2f} times as long; {bounds.frame_time_ratio:g} times is allowed"
        )
    return ""


def of_shadow(bounds: FleetBounds, shadow: ShadowFigures) -> str:
    """Return why a candidate must not serve after its shadow time; empty: it may."""
    if shadow.failed > MAX_FAILED * (shadow.frames + shadow.failed):
        return f"in its shadow time it could not score {shadow.failed} of {shadow.frames + shadow.failed} frames"
    alerts, before = shadow.alerts_candidate, max(1, shadow.alerts_now)
    if alerts >= bounds.min_alerts and alerts >= bounds.alert_rate_ratio * before:
        return (
            f"in its shadow time it would have raised {alerts} alerts, and the bundle in service "
            f"{shadow.alerts_now}; less than {bounds.alert_rate_ratio:g} times as many is allowed"
        )
    return ""


def of_watch(memory: CameraMemory, assignment: Assignment, state: str, reason: str) -> str:
    """Return which bound was left since the activation; empty: none."""
    if memory.was_live and memory.bad_s > min(MAX_BAD_S, max(assignment.watch_s / 2, 1.0)):
        said = f" ({reason})" if reason else ""
        return f"its pictures cannot be judged since: the camera is {state}{said}, and was live before"
    for judged in (_of_alerts, _of_anomalous, _of_frame_time):
        if problem := judged(memory, assignment):
            return problem
    return ""


def alert_bound(bounds: FleetBounds, baseline: CameraCounts, watch_s: float) -> float:
    """Return the number of alerts in the time of the watch that is not allowed any more.

    Fewer than `min_alerts` before prove little: then one more is added to them.
    """
    if baseline.seconds <= 0:
        return float("inf")
    before = baseline.alerts if baseline.alerts >= bounds.min_alerts else baseline.alerts + 1
    return max(bounds.min_alerts, bounds.alert_rate_ratio * before / baseline.seconds * watch_s)


def per_hour(counts: CameraCounts) -> float:
    """Return alerts per hour; 0 before there is a time."""
    return counts.alerts / counts.seconds * HOUR_S if counts.seconds > 0 else 0.0


def frame_ms(counts: CameraCounts) -> float:
    """Return the mean time of a frame, milliseconds; 0 before there is one."""
    return counts.frame_ms / counts.frames if counts.frames > 0 else 0.0


def _of_alerts(memory: CameraMemory, assignment: Assignment) -> str:
    """The number for the whole watch is compared, so that a few alerts at its beginning are no rate yet."""
    watched, before = memory.watched, memory.baseline
    if watched.alerts < alert_bound(assignment.bounds, before, assignment.watch_s):
        return ""
    return (
        f"{watched.alerts:.0f} alerts in {watched.seconds:.0f} s, which is {per_hour(watched):.1f} an hour; "
        f"{per_hour(before):.1f} an hour before, and less than {assignment.bounds.alert_rate_ratio:g} times is allowed"
    )


def _of_anomalous(memory: CameraMemory, assignment: Assignment) -> str:
    """An alert that goes on and on is one alert only, so the share of anomalous frames is judged as well."""
    watched, before = memory.watched, memory.baseline
    if watched.looks < MIN_LOOKS:
        return ""
    now, usual = watched.anomalous / watched.looks, before.anomalous / before.looks if before.looks else 0.0
    if now < max(MIN_ANOMALOUS, assignment.bounds.alert_rate_ratio * usual):
        return ""
    return f"{now:.0%} of its frames are anomalous, and {usual:.0%} were before"


def _of_frame_time(memory: CameraMemory, assignment: Assignment) -> str:
    now, before = frame_ms(memory.watched), frame_ms(memory.baseline)
    is_known = min(memory.watched.frames, memory.baseline.frames) >= MIN_FRAMES
    if not is_known or not before or not _is_slower(now, before, assignment.bounds):
        return ""
    ratio = assignment.bounds.frame_time_ratio
    return f"a frame takes {now:.1f} ms, and took {before:.1f} ms before; {ratio:g} times as long is allowed"


def _is_slower(now_ms: float, before_ms: float, bounds: FleetBounds) -> bool:
    return now_ms > max(bounds.frame_time_ratio * before_ms, before_ms + MIN_SLOWER_MS)
