"""What the agent may do about a camera, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fetch:
    """Fetch the pack of a bundle, in the background."""

    root: str
    sha256: str
    size: int
    counter: int


@dataclass(frozen=True, slots=True)
class Stage:
    """Load a bundle beside, and check it."""

    path: str


@dataclass(frozen=True, slots=True)
class Shadow:
    """Have the candidate score as well."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Unstage:
    """Let go of the candidate."""


@dataclass(frozen=True, slots=True)
class Activate:
    """Put the candidate into service as the root."""

    id: str


@dataclass(frozen=True, slots=True)
class BringBack:
    """Put into service what served before the activation."""


@dataclass(frozen=True, slots=True)
class RollTo:
    """Put another version of the same root into service."""

    to: str


@dataclass(frozen=True, slots=True)
class SetSettings:
    """Change settings, and keep the change; `user` is written beside it."""

    settings: dict[str, Any]
    user: str


@dataclass(frozen=True, slots=True)
class UndoSettings:
    """Take back the last kept change of settings."""


Action = Fetch | Stage | Shadow | Unstage | Activate | BringBack | RollTo | SetSettings | UndoSettings


@dataclass(frozen=True, slots=True)
class ActionDone:
    """The action was done.

    Attributes:
        rounds: rounds of learning that are not in service any more.
        pictures: pictures of them.
        change: number of the kept change of settings.
    """

    rounds: int = 0
    pictures: int = 0
    change: int | None = None


@dataclass(frozen=True, slots=True)
class NotDone:
    """The device refused the action.

    Attributes:
        reason: why.
        again: a retry may succeed.
    """

    reason: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """There was no answer: it may have been done, or not, or is yet to be done."""

    reason: str


Outcome = ActionDone | NotDone | Unknown
