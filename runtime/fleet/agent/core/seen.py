"""What the agent sees in a turn: the camera as its runtime tells it, the pack on the disk, the other cameras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge_config.wire.candidates import CandidateNow
from edge_config.wire.configure import InForce, SettingsChange
from edge_config.wire.fleet import Assignment
from runtime.fleet.agent.core.memory import CameraCounts

PackState = Literal["absent", "fetching", "here", "waiting", "refused"]
"""`waiting`: it could not be fetched, and is tried again. `refused`: another try would give the same."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a camera did since its runtime was started: alerts, scored frames, and their time in milliseconds."""

    alerts: float = 0.0
    frames: float = 0.0
    frame_ms: float = 0.0

    def since(self, before: Totals, passed_s: float) -> CameraCounts:
        """Return what was done since an earlier look."""
        old = Totals() if self.frames < before.frames else before  # it was restarted
        return CameraCounts(
            alerts=max(0.0, self.alerts - old.alerts),
            frames=self.frames - old.frames,
            frame_ms=max(0.0, self.frame_ms - old.frame_ms),
            seconds=passed_s,
        )


@dataclass(frozen=True, slots=True)
class CameraSeen:
    """A camera, as its runtime tells it.

    Attributes:
        state: its state.
        reason: why.
        threshold: in force.
        score: of the last frame; None without.
        drift: what drifts; empty: nothing.
        notice: what a person should know of its bundles; empty: nothing.
        root: id of the bundle that was assigned, or that the settings name.
        active: id of the bundle in service.
        round: rounds of learning between the two.
        learnt: pictures that were learnt in them.
        candidate: the bundle beside, and which root was assigned.
        in_force: settings in force.
        changes: kept changes of the settings, the newest first.
        totals: what it did since the runtime was started.
        frame_ms_p95: time of a frame, 95th percentile, milliseconds.
    """

    state: str
    root: str
    active: str
    candidate: CandidateNow
    reason: str = ""
    threshold: float = 0.0
    score: float | None = None
    drift: str = ""
    notice: str = ""
    round: int = 0
    learnt: int = 0
    in_force: InForce | None = None
    changes: tuple[SettingsChange, ...] = ()
    totals: Totals = Totals()
    frame_ms_p95: float = 0.0

    def is_served(self, root: str) -> bool:
        """Return whether a root serves, or what was learnt from it.

        A root that cannot be loaded stays assigned, and the bundle of the settings serves meanwhile.
        """
        return self.root == root and (self.active == root or self.round > 0)

    def since(self, before: CameraSeen | None, passed_s: float) -> CameraCounts:
        """Return what it did since an earlier look, if it was live all the time, as far as that is known."""
        if before is None or not self.state == before.state == "live":
            return CameraCounts()
        is_anomalous = self.score is not None and self.score > self.threshold
        looked = CameraCounts(looks=1, anomalous=is_anomalous)
        return self.totals.since(before.totals, passed_s) + looked


def in_service(seen: Mapping[str, CameraSeen]) -> dict[str, tuple[str, str]]:
    """Return camera -> ids of its root and of the bundle in service."""
    return {name: (one.root, one.active) for name, one in seen.items()}


@dataclass(frozen=True, slots=True)
class PackSeen:
    """The bundle of an assignment on the disk of the device.

    Attributes:
        state: whether it is there.
        path: folder of the verified bundle; empty unless it is there.
        reason: why it is not.
    """

    state: PackState = "absent"
    path: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Desired:
    """What a camera is assigned, verified: the newest of a bundle, and the newest of settings (may be the same)."""

    root: Assignment | None = None
    settings: Assignment | None = None


@dataclass(frozen=True, slots=True)
class Siblings:
    """The other cameras of the device with the same assignment.

    Attributes:
        failed: why it has failed on one of them; empty: it has not.
        ready: whether all of them may activate it.
    """

    failed: str = ""
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Turn:
    """All that a decision about a camera depends on, beside its memory.

    Attributes:
        seen: the camera; None: the runtime does not answer, or does not have it.
        away: why not.
        pack: the bundle of the assignment that is followed.
        siblings: the other cameras.
        passed_s: time since the last turn, seconds.
    """

    seen: CameraSeen | None
    away: str = ""
    pack: PackSeen = field(default_factory=PackSeen)
    siblings: Siblings = field(default_factory=Siblings)
    passed_s: float = 0.0

    @property
    def camera(self) -> CameraSeen:
        """The camera, in the steps that are not reached without it."""
        assert self.seen is not None  # noqa: S101 - looked at before any of these steps
        return self.seen
