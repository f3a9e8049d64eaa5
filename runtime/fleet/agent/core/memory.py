"""What the agent knows of each camera and must not forget."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from edge_config.wire.fleet import Assignment, FleetPhase, ShadowReport

Step = Literal["idle", "prepare", "ready", "activate", "configure", "watch", "in place", "back", "went back", "refused"]
"""What is being done about an assignment, in this order.

`prepare`: its pack is fetched, loaded beside and shadowed. `ready`: it may be activated, once it may on every camera of
the assignment. `activate`, `configure`: the request was sent, or will be. `back`: the device is going back.
"""

ENDS: frozenset[Step] = frozenset({"idle", "in place", "went back", "refused"})
"""Steps after which nothing is done until there is a newer assignment."""

FAILED: frozenset[Step] = frozenset({"back", "went back", "refused"})


class CameraCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a camera did in some time in which it was live.

    Attributes:
        alerts: alerts that began.
        frames: frames that were scored.
        frame_ms: time that they took, milliseconds.
        seconds: how long.
        looks: number of looks at it.
        anomalous: number of looks at which the last frame was anomalous.
    """

    alerts: float = 0.0
    frames: float = 0.0
    frame_ms: float = 0.0
    seconds: float = 0.0
    looks: float = 0.0
    anomalous: float = 0.0

    def __add__(self, other: CameraCounts) -> CameraCounts:
        """Return both together."""
        return CameraCounts(
            alerts=self.alerts + other.alerts,
            frames=self.frames + other.frames,
            frame_ms=self.frame_ms + other.frame_ms,
            seconds=self.seconds + other.seconds,
            looks=self.looks + other.looks,
            anomalous=self.anomalous + other.anomalous,
        )

    def __mul__(self, factor: float) -> CameraCounts:
        """Return a part of it."""
        return CameraCounts(**{name: factor * getattr(self, name) for name in self.__struct_fields__})


class CameraMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one camera.

    Attributes:
        root_taken: highest counter of an assignment of a bundle that was begun.
        settings_taken: highest counter of an assignment of settings that was applied, or refused.
        placed: id of the root that the fleet has put in place; empty: none.
        assignment: the one that is followed; null: none yet.
        step: what is being done about it.
        phase: the same, as reports say it.
        reason: why, a sentence.
        staged: its bundle was staged.
        checking_s: for how long the device checks it, seconds.
        losses: number of times that the candidate was lost with the inference worker.
        by_person: the end came from a person at the device, and says nothing about the bundle.
        overtaken: it is taken back because a newer assignment came while it was watched.
        activated: the activation of its bundle was begun.
        blocked: the device cannot go back, as it says.
        before: id of the bundle that served before it.
        before_root: id of the root of that.
        left: id of the bundle that served before the last assignment of a bundle took its place.
        left_root: id of the root of that: with it, what was learnt from it serves again.
        configured: the device has taken its settings.
        change: number of the kept change of the settings; null: nothing was changed.
        lost_rounds: rounds of learning that its bundle has not.
        lost_pictures: pictures of these.
        shadow: what the shadow time has shown.
        usual: what the camera does, in the last hours, with what served until now.
        baseline: `usual` when the bundle was activated: what the watch compares with.
        watched: what it did since.
        bad_s: for how long its pictures cannot be judged since, seconds.
        was_live: it was live before.
    """

    root_taken: int = 0
    settings_taken: int = 0
    placed: str = ""
    assignment: Assignment | None = None
    step: Step = "idle"
    phase: FleetPhase = "idle"
    reason: str = ""
    staged: bool = False
    checking_s: float = 0.0
    losses: int = 0
    by_person: bool = False
    overtaken: bool = False
    activated: bool = False
    blocked: bool = False
    before: str = ""
    before_root: str = ""
    left: str = ""
    left_root: str = ""
    configured: bool = False
    change: int | None = None
    lost_rounds: int = 0
    lost_pictures: int = 0
    shadow: ShadowReport | None = None
    usual: CameraCounts = CameraCounts()
    baseline: CameraCounts = CameraCounts()
    watched: CameraCounts = CameraCounts()
    bad_s: float = 0.0
    was_live: bool = False

    @property
    def counter(self) -> int:
        """Counter of the assignment that is followed; 0: none."""
        return 0 if self.assignment is None else self.assignment.counter

    @property
    def has_failed(self) -> bool:
        """Whether the assignment has failed for a reason that concerns the other cameras of it as well."""
        return self.step in FAILED and not self.by_person and not self.overtaken

    def settled(self) -> CameraMemory:
        """Return this memory, once the settings of the assignment were tried."""
        if self.assignment is None or self.assignment.settings is None:
            return self
        if self.overtaken:  # they are tried again
            return replace(self, settings_taken=min(self.settings_taken, self.assignment.counter - 1))
        return replace(self, settings_taken=max(self.settings_taken, self.assignment.counter))

    def refused(self, reason: str) -> CameraMemory:
        """Return this memory, once the assignment was refused."""
        return replace(self.settled(), step="refused", phase="refused", reason=reason)
