"""Events of learning for the main loop, which alone decides what serves."""

from __future__ import annotations

from dataclasses import dataclass

from edge_config.wire.candidates import DroppedLessons
from runtime.versions.records import RootPointer, Version


@dataclass(frozen=True, slots=True)
class LearnerMoved:
    """A learner was started, or has done a piece of its work.

    Attributes:
        starts: how often it was started for this order.
        step: step of its work, in a few words.
        done, total: pieces of work of this step; a total of 0 is unknown.
    """

    camera: str
    starts: int
    step: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class LearnerEnded:
    """Learning has ended.

    Attributes:
        version: the new version, which is on disk; None if there is none.
        reason: why there is none; empty if there is one.
        stopped: it was stopped on purpose.
        force: the version serves in spite of its problems.
    """

    camera: str
    version: Version | None
    reason: str = ""
    stopped: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class RootTarget:
    """Another root for a camera, or what served before it.

    Attributes:
        path: path of the bundle that is loaded: the root, or a version of it.
        root: path of the root.
        pointer: what is written down once it serves.
        dropped: what the bundle before has learnt, and this one has not.
    """

    path: str
    root: str
    pointer: RootPointer
    dropped: DroppedLessons


@dataclass(frozen=True, slots=True)
class TargetFound:
    """The target of an activation was looked up on disk.

    Attributes:
        number: of the activation.
        version: the version; None for the root.
        problem: why it cannot be served; empty if it can be tried.
        target: another root, if it is one.
    """

    camera: str
    number: int
    version: Version | None
    problem: str = ""
    target: RootTarget | None = None


@dataclass(frozen=True, slots=True)
class Pointed:
    """That a bundle serves was written to disk, or could not be.

    Attributes:
        number: of the activation.
        problem: why it is not on disk; empty if it is.
    """

    camera: str
    number: int
    problem: str = ""


VersionEvent = LearnerMoved | LearnerEnded | TargetFound | Pointed
