"""Steps from the activation on: the bundle serves, is watched, is in place; or the device goes back."""

from __future__ import annotations

from msgspec.structs import replace

from edge_config.wire.fleet import Assignment
from runtime.fleet.agent.core import assigned_settings, judge
from runtime.fleet.agent.core.actions import Activate, BringBack, RollTo, SetSettings, UndoSettings
from runtime.fleet.agent.core.looks import Decided, let_go, may_activate, must_go_back, serves
from runtime.fleet.agent.core.memory import CameraCounts, CameraMemory, Step
from runtime.fleet.agent.core.seen import CameraSeen, Turn


def activate(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:
    """Put the bundle into service, once; then its settings."""
    seen = turn.camera
    memory = replace(memory, phase="shadow" if memory.phase == "shadow" else "checking", reason="")
    if turn.siblings.failed:
        return replace(memory, step="back", reason=turn.siblings.failed), None
    if serves(seen, its):
        if _has_left_lessons(memory, seen, its):
            return memory, RollTo(memory.left)
        return replace(memory, step="configure", placed=its.root or memory.placed), None
    if seen.is_served(its.root):  # by a child of it, which is not wanted
        memory = replace(memory, activated=True, lost_rounds=seen.round, lost_pictures=seen.learnt)
        return memory, RollTo(its.root)
    if may_activate(seen, its):
        return replace(memory, activated=True, watched=CameraCounts()), Activate(its.root)
    return replace(memory, step="prepare", staged=False), None  # the runtime was restarted


def _has_left_lessons(memory: CameraMemory, seen: CameraSeen, its: Assignment) -> bool:
    """Return whether the device had learnt from this root when another one took its place: that serves again."""
    is_back = memory.activated and its.root == seen.active == memory.left_root
    return is_back and its.children == "keep" and memory.left not in {"", its.root}


def configure(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:
    """Send the settings, once; then watch."""
    seen = turn.camera
    if turn.siblings.failed:
        return replace(memory, step="back", reason=turn.siblings.failed), None
    if its.settings is None:
        return replace(memory, step="watch"), None
    memory = replace(memory, phase="shadow" if memory.phase == "shadow" else "checking", reason="")
    made = assigned_settings.change_of(its.counter, seen.changes)
    if made is not None or memory.configured:
        taken = max(memory.settings_taken, its.counter)
        change = memory.change if made is None else made.number
        return replace(memory, step="watch", change=change, settings_taken=taken), None
    settings = assigned_settings.in_place_of(its.settings, seen.changes)
    return memory, SetSettings(settings, assigned_settings.user_of(its.counter))


def watch(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:
    """Compare with what was usual before; a bound that is left means going back."""
    seen = turn.camera
    if turn.siblings.failed:
        return replace(memory, step="back", reason=turn.siblings.failed), None
    if its.root and not seen.is_served(its.root):
        return replace(_is_overruled(memory, seen), by_person=False), None
    if problem := judge.of_watch(memory, its, seen.state, seen.reason):
        return replace(memory, step="back", reason=problem), None
    memory = replace(memory, phase="watching")
    if memory.watched.seconds < its.watch_s:
        said = f"watched for {memory.watched.seconds:.0f} of {its.watch_s:.0f} s"
        paused = "" if seen.state == "live" else f"; the camera is {seen.state}, and its time does not count"
        return replace(memory, reason=f"{said}{paused}"), None
    usual = memory.watched if its.root and memory.watched.seconds else memory.usual + memory.watched
    return replace(memory.settled(), step="in place", phase="in place", reason="", usual=usual), None


def in_place(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:
    """See whether it still serves, and say what was lost with it."""
    if turn.siblings.failed:
        return replace(memory, step="back", reason=turn.siblings.failed), None
    if memory.placed and not turn.camera.is_served(memory.placed):
        return _is_overruled(memory, turn.camera), None
    lost = ""
    if memory.lost_rounds:
        lost = (
            f"{memory.lost_rounds} round{'s' if memory.lost_rounds > 1 else ''} of learning with "
            f"{memory.lost_pictures} pictures are not in it"
        )
    return replace(memory, phase="in place", reason=lost), let_go(its, turn)


def back(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:
    """Take back the settings, then the bundle; what a person did meanwhile stays."""
    seen = turn.camera
    made = assigned_settings.change_of(its.counter, seen.changes)
    if made is not None and assigned_settings.is_last(made, seen.changes):
        return memory, UndoSettings()
    if must_go_back(memory, seen, its):
        return memory, BringBack()
    is_rolled_back = its.root == memory.before_root == seen.root and seen.active == its.root
    if is_rolled_back and memory.before not in {"", its.root}:
        return memory, RollTo(memory.before)
    step: Step = "went back" if memory.activated or memory.change is not None else "refused"
    placed = memory.before_root if memory.placed else ""
    ended = replace(memory.settled(), step=step, phase=step, placed=placed, blocked=False)
    if made is not None:
        ended = replace(ended, reason=f"{memory.reason}; its settings stay, as a person changed some since")
    return ended, None


def ended(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:
    """See to it that an activation which was asked for, and came late, is taken back."""
    if not memory.by_person and must_go_back(memory, turn.camera, its):
        return replace(memory, step="back"), None
    return memory, let_go(its, turn)


def idle(memory: CameraMemory, its: Assignment, turn: Turn) -> Decided:  # noqa: ARG001 - as the others
    """Do nothing."""
    return memory, None


def _is_overruled(memory: CameraMemory, seen: CameraSeen) -> CameraMemory:
    reason = f"the bundle was changed at the device: {seen.active[:12]} serves" + (
        f" ({seen.notice})" if seen.notice else ""
    )
    return replace(memory.settled(), step="went back", phase="went back", reason=reason, by_person=True, placed="")
