"""Steps before a bundle serves: it is fetched, checked beside, shadowed, and waits for the other cameras."""

from __future__ import annotations

from msgspec.structs import replace

from edge_config.wire.candidates import CandidateNow
from edge_config.wire.fleet import Assignment, ShadowReport
from runtime.fleet.agent.core import assigned_settings, judge
from runtime.fleet.agent.core.actions import Fetch, Shadow, Stage
from runtime.fleet.agent.core.looks import Decided, may_activate, serves, wait
from runtime.fleet.agent.core.memory import CameraMemory
from runtime.fleet.agent.core.seen import Turn

MIN_USUAL_S = 60.0
"""Time for which the bundle in service is watched before another one is activated, seconds; at most the watch."""

MAX_CHECK_S = 600.0
"""Time-out of the check of a candidate, seconds."""

MAX_LOSSES = 2
"""Number of times that a candidate may be lost with the inference worker: a third time it is to blame."""

LOST = "stage it again"
"""In the reason of a candidate that was lost with the inference worker."""

_TENTH_S = 0.1


def prepare(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:
    """Refuse what can never serve; fetch the pack, and have it checked."""
    seen = turn.seen
    if problem := turn.siblings.failed or assigned_settings.problem_of(its.settings):
        return memory.refused(problem), None
    if seen is not None and its.settings is None and serves(seen, its):
        return replace(memory, step="in place", placed=its.root or memory.placed), None
    if not its.root or (seen is not None and seen.is_served(its.root)):
        return replace(memory, step="ready"), None
    return _fetch(memory, its, turn)


def _fetch(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:
    fetch = Fetch(its.root, its.pack_sha256, its.pack_bytes, its.counter)
    match turn.pack.state:
        case "refused":
            return memory.refused(turn.pack.reason), None
        case "waiting":
            return wait(memory, turn.pack.reason), fetch
        case "absent" | "fetching":
            return replace(memory, phase="fetching", reason=turn.pack.reason), fetch
        case "here" if turn.seen is None:
            return wait(memory, turn.away), None
        case "here":
            return _check(memory, its, turn.seen.candidate, turn)


def _check(memory: CameraMemory, its: Assignment, candidate: CandidateNow, turn: Turn) -> Decided:
    """Have the bundle loaded beside, and look what comes of it."""
    memory = replace(memory, phase="checking", reason="")
    if not memory.staged or candidate.state == "none" or candidate.path != turn.pack.path:
        return replace(memory, checking_s=0.0), Stage(turn.pack.path)
    if candidate.state == "checking":
        memory = replace(memory, checking_s=memory.checking_s + turn.passed_s)
        is_late = memory.checking_s > MAX_CHECK_S
        return memory.refused(f"its check did not end within {MAX_CHECK_S:.0f} s") if is_late else memory, None
    if candidate.state == "refused" and LOST in candidate.reason and memory.losses < MAX_LOSSES:
        return replace(memory, staged=False, losses=memory.losses + 1), None
    if problem := _problem_of(its, candidate):
        return memory.refused(problem), None
    return _shadow(memory, its, candidate)


def _problem_of(its: Assignment, candidate: CandidateNow) -> str:
    if candidate.state == "refused":
        return candidate.reason
    if candidate.id != its.root:
        return f"the pack holds the bundle {candidate.id[:12]}, not {its.root[:12]}"
    return judge.of_candidate(its.bounds, candidate)


def _shadow(memory: CameraMemory, its: Assignment, candidate: CandidateNow) -> Decided:
    if its.shadow_s <= 0:
        return replace(memory, step="ready"), None
    shadow = candidate.shadow
    memory = replace(memory, phase="shadow")
    if shadow is not None:
        figures = ShadowReport(frames=shadow.frames, differing=shadow.differing, max_difference=shadow.max_difference)
        memory = replace(memory, shadow=figures)
        if problem := judge.of_shadow(its.bounds, shadow):
            return memory.refused(problem), None
        if shadow.seconds + _TENTH_S >= its.shadow_s and shadow.frames > 0:
            return replace(memory, step="ready"), None
    if candidate.state != "shadow":
        if shadow is not None and shadow.seconds + _TENTH_S >= its.shadow_s:
            memory = wait(memory, "no frame came in its shadow time, which begins again")
        return memory, Shadow(its.shadow_s)
    return memory, None


def ready(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:
    """Wait for the other cameras, and until it is known what the bundle in service usually does.

    A camera that is not live is not waited for: it may be the bundle in service that is to blame.
    """
    seen = turn.camera
    if turn.siblings.failed:
        return memory.refused(turn.siblings.failed), None
    if its.root and not seen.is_served(its.root) and not may_activate(seen, its):
        return replace(memory, step="prepare"), None
    if seen.state == "live" and memory.usual.seconds < min(its.watch_s, MIN_USUAL_S):
        return wait(memory, "the bundle in service is watched first, to compare with"), None
    if not turn.siblings.ready:
        return wait(memory, "the other cameras of the assignment are not ready yet"), None
    memory = replace(
        memory,
        step="activate",
        reason="",
        before=seen.active,
        before_root=seen.root,
        baseline=memory.usual,
        was_live=seen.state == "live",
    )
    return memory, None
