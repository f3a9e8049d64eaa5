"""What is done about one camera in one turn: a function of its memory and of what is seen, without I/O.

Every step looks first at what serves, and asks for one thing at a time. So it does not matter whether an earlier answer
was lost, or whether the agent, the runtime or the machine was restarted in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from edge_config.wire.fleet import Assignment
from runtime.fleet.agent.core import judge, preparing, serving
from runtime.fleet.agent.core.actions import Action
from runtime.fleet.agent.core.looks import Decided, wait
from runtime.fleet.agent.core.memory import ENDS, CameraCounts, CameraMemory, Step
from runtime.fleet.agent.core.seen import Desired, Turn

_DAY_S = 86_400.0

_ASSUMED: frozenset[Step] = frozenset({"activate", "configure", "back"})
_READY: frozenset[Step] = frozenset({"ready", "activate", "configure", "watch", "in place"})


def decide(memory: CameraMemory, turn: Turn) -> Decided:
    """Return the memory after this turn, to be written to the disk first, and what is to be done then."""
    if memory.assignment is None:
        return memory, None
    action: Action | None = None
    for _ in range(len(_STEPS)):
        step = memory.step
        if turn.seen is None and step != "prepare":  # packs are fetched without it
            return wait(memory, turn.away or "the runtime does not answer"), None
        memory, action = _STEPS[step](memory, memory.assignment, turn)
        if action is not None or memory.step == step:
            break
    return memory, action


def is_ready(memory: CameraMemory) -> bool:
    """Return whether the assignment may be activated as far as this camera is concerned."""
    return memory.step in _READY


def count(memory: CameraMemory, state: str, done: CameraCounts, passed_s: float) -> CameraMemory:
    """Add what the camera did since the last turn.

    Args:
        memory: of the camera.
        state: of the camera.
        done: what it did.
        passed_s: time since the last turn, seconds.
    """
    if memory.step == "watch":
        bad_s = memory.bad_s + passed_s if state in judge.BAD_STATES else 0.0
        return replace(memory, watched=memory.watched + done, bad_s=bad_s)
    if memory.step in _ASSUMED:  # an alert that begins with the activation counts, time only from then on
        return replace(memory, watched=memory.watched + replace(done, seconds=0.0))
    usual = memory.usual + done
    return replace(memory, usual=usual * 0.5 if usual.seconds > _DAY_S else usual)  # older hours count ever less


def take_newer(memory: CameraMemory, desired: Desired) -> CameraMemory:
    """Begin a newer assignment; one of a bundle before one of settings only."""
    if memory.step in _ASSUMED and not memory.blocked:
        return memory  # in a moment, when it is known what serves
    root, settings = desired.root, desired.settings
    if settings is not None and settings.counter <= memory.settings_taken:
        settings = None
    if root is not None and root.counter > memory.root_taken:
        if settings is not None and settings.counter > root.counter:
            root = replace(root, settings=None)  # they were assigned other settings since
        return _take_root(memory, root)
    if settings is None or settings.counter == memory.counter:
        return memory
    if settings.root:  # its bundle was taken already, or a newer one
        settings = replace(settings, root="", pack_sha256="", pack_bytes=0)
    is_busy = memory.step not in ENDS and memory.assignment is not None and bool(memory.assignment.root)
    return memory if is_busy else _begin(memory, settings)


def _take_root(memory: CameraMemory, root: Assignment) -> CameraMemory:
    """Begin an assignment of a bundle; one that serves, and is still watched, goes on or is taken back first.

    So the bundle before it is always one that was watched to the end.
    """
    taken = replace(memory, root_taken=root.counter)
    if memory.step != "watch" or not memory.activated or memory.assignment is None:
        return _begin(taken, root)
    if root.root == memory.assignment.root:
        step: Step = "watch" if root.settings is None else "configure"
        return replace(taken, assignment=root, step=step, configured=False)
    reason = f"assignment {root.counter} came while it was watched"
    return replace(memory, step="back", reason=reason, overtaken=True)


def _begin(memory: CameraMemory, assignment: Assignment) -> CameraMemory:
    left = (memory.before, memory.before_root) if memory.activated else (memory.left, memory.left_root)
    return CameraMemory(
        left=left[0],
        left_root=left[1],
        root_taken=memory.root_taken,
        settings_taken=memory.settings_taken,
        placed=memory.placed,
        usual=memory.usual,
        assignment=assignment,
        step="prepare",
        phase="fetching" if assignment.root else "checking",
    )


_STEPS: Mapping[Step, Callable[[CameraMemory, Assignment, Turn], Decided]] = {
    "idle": serving.idle,
    "prepare": preparing.prepare,
    "ready": preparing.ready,
    "activate": serving.activate,
    "configure": serving.configure,
    "watch": serving.watch,
    "in place": serving.in_place,
    "back": serving.back,
    "went back": serving.ended,
    "refused": serving.ended,
}
