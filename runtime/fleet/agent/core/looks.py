"""What the steps share: what serves, what may be activated, and waiting."""

from __future__ import annotations

from msgspec.structs import replace

from edge_config.wire.fleet import Assignment
from runtime.fleet.agent.core.actions import Action, Unstage
from runtime.fleet.agent.core.memory import ENDS, CameraMemory
from runtime.fleet.agent.core.seen import CameraSeen, Turn

Decided = tuple[CameraMemory, Action | None]
"""The memory after a step, and what is to be done."""


def serves(seen: CameraSeen, its: Assignment) -> bool:
    """Return whether the assigned bundle serves, or a child of it that may."""
    if not its.root:
        return True
    return seen.is_served(its.root) and (its.children == "keep" or seen.active == its.root)


def may_activate(seen: CameraSeen, its: Assignment) -> bool:
    """Return whether the candidate is the assigned bundle, and was checked."""
    return seen.candidate.state in {"ready", "shadow"} and seen.candidate.id == its.root


def must_go_back(memory: CameraMemory, seen: CameraSeen, its: Assignment) -> bool:
    """Return whether the assigned bundle serves because this assignment put it there."""
    return memory.activated and seen.candidate.root == its.root != memory.before_root


def let_go(its: Assignment, turn: Turn) -> Action | None:
    """Let go of a candidate of this assignment."""
    seen = turn.seen
    is_ours = seen is not None and seen.candidate.path != "" and seen.candidate.path == turn.pack.path
    return Unstage() if is_ours and its.root else None


def wait(memory: CameraMemory, reason: str) -> CameraMemory:
    """Say what is waited for; what has ended stays so."""
    if memory.step in ENDS:
        return memory
    return replace(memory, phase="waiting", reason=f"{memory.reason}; {reason}" if memory.step == "back" else reason)
