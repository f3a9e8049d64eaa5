"""What an answer of the device changes in the memory of a camera; most of it the next look shows anyway."""

from __future__ import annotations

from msgspec.structs import replace

from runtime.fleet.agent.core.actions import (
    Action,
    ActionDone,
    Activate,
    BringBack,
    Fetch,
    NotDone,
    Outcome,
    RollTo,
    SetSettings,
    Stage,
    UndoSettings,
    Unknown,
    Unstage,
)
from runtime.fleet.agent.core.memory import CameraMemory


def replied(memory: CameraMemory, action: Action, outcome: Outcome) -> CameraMemory:
    """Return the memory after an action was answered."""
    match outcome:
        case ActionDone():
            return _done(memory, action, outcome)
        case NotDone():
            return _not_done(memory, action, outcome)
        case Unknown():
            return memory  # the next look shows it


def _done(memory: CameraMemory, action: Action, done: ActionDone) -> CameraMemory:
    match action:
        case Stage():
            return replace(memory, staged=True)
        case Activate():
            return replace(memory, lost_rounds=done.rounds, lost_pictures=done.pictures)
        case SetSettings():
            change = memory.change if done.change is None else done.change
            return replace(memory, configured=True, change=change)
        case RollTo() if memory.step == "activate" and action.to == memory.before:
            return replace(memory, lost_rounds=0, lost_pictures=0)
        case BringBack() | UndoSettings() | RollTo():
            return replace(memory, blocked=False)
        case _:
            return memory


def _not_done(memory: CameraMemory, action: Action, refusal: NotDone) -> CameraMemory:
    if refusal.again:
        return replace(memory, phase="waiting", reason=refusal.reason) if memory.step != "back" else memory
    match action:
        case Unstage() | Fetch():
            return memory
        case BringBack() | UndoSettings() | RollTo() if memory.step == "back":
            said = f"{memory.reason}; the device cannot go back: {refusal.reason}"
            is_said = "cannot go back" in memory.reason
            return memory if is_said else replace(memory, blocked=True, phase="waiting", reason=said)
        case RollTo() if action.to == memory.left:  # what was learnt is gone: its root goes on
            return replace(memory, left="", left_root="")
        case SetSettings() | RollTo():
            return replace(memory, step="back", reason=refusal.reason)
        case _:
            return memory.refused(refusal.reason)
