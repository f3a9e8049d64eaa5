"""The state of one camera: a state machine with five causes, the gravest of which counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from edge_config.wire.messages import State


class StateChange(NamedTuple):
    """A state and its reason.

    Attributes:
        state, reason: as in a state message.
        remedy: how to fix it, for the log; empty if unknown.
        wanted: it is no fault, such as the end of the run.
    """

    state: State
    reason: str
    remedy: str = ""
    wanted: bool = False


class StateMachine:
    """The state of a camera. Use it from one thread.

    A state has five causes, and the first that is not at rest counts: a request to pause, a failure that needs manual
    repair, the connection, whether its frames are scored in time, and what the pictures look like.

    Attributes:
        state: what was told last.
        reason: why.
        paused: no frame of it is scored.
    """

    def __init__(self, tell: Callable[[StateChange], object]) -> None:
        """Start before the first frame; `tell` takes every change, from the first bundle on."""
        self.state: State = "starting"
        self.reason = "no frame yet"
        self.paused = False
        self._tell = tell
        self._failed = self._unscored = ""
        self._connection = StateChange(self.state, self.reason)
        self._scene: StateChange | None = None
        self._has_bundle = False

    @property
    def connected(self) -> bool:
        """Whether it delivers pictures that are scored, whatever they show."""
        return self._connection.state == "live" and not self.paused

    def pause(self) -> None:
        """Score nothing more."""
        self.paused = True
        self._update()

    def resume(self, *, reopens: bool) -> None:
        """Go on; where the camera `reopens`, the state stays until something is known of that."""
        if not self.paused:
            return
        self.paused, self._scene, self._unscored = False, None, ""
        if reopens:
            self.state, self.reason = "paused", "resumed, and not open yet"
            self._connection = StateChange(self.state, self.reason)
        self._update()

    def serve(self) -> None:
        """Take note that there is a bundle to judge by."""
        self._has_bundle = True
        self.fail("")

    def fail(self, reason: str) -> None:
        """Set a failure that needs manual repair; empty: there is none."""
        self._failed = reason
        self._update()

    def connect(self, state: State, reason: str, remedy: str = "", *, wanted: bool = False) -> None:
        """Take note of the connection, which is live, stalled or disconnected; as of `StateChange`."""
        self._scene = None  # of pictures that are gone
        self._connection = StateChange(state, reason, remedy, wanted)
        self._update()

    def starve(self, reason: str) -> None:
        """Set why no frame is scored, though the camera delivers; empty: they are."""
        self._unscored = reason
        self._update()

    def see(self, scene: State | None, reason: str) -> None:
        """Update with the fault that a scored picture shows; None: it can be judged."""
        new = StateChange(scene, reason) if scene else None
        if new != self._scene or self._unscored:  # most frames change nothing
            self._scene = new
            self.starve("")

    def _update(self) -> None:
        new = self._gravest()
        changed = new.state != self.state or (new.state == "disconnected" and new.reason != self.reason)
        if changed and (self._has_bundle or self._failed or self._unscored or self.paused):
            self.state, self.reason = new.state, new.reason
            self._tell(new)

    def _gravest(self) -> StateChange:
        if self.paused:
            return StateChange("paused", "by a request")
        if self._failed and self._connection.state != "disconnected":
            return StateChange("failed", self._failed)
        if self._connection.state != "live":
            return self._connection
        return StateChange("stalled", self._unscored) if self._unscored else self._scene or self._connection
