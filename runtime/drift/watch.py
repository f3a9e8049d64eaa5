"""Watches one camera for drift: whether normal frames score higher than learnt, or look otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import structlog

from runtime.drift.evidence import Evidence
from runtime.drift.saved import DriftFile, SavedDrift
from runtime.drift.scene_change import LookChange, SceneChange
from runtime.frame import BundleInfo, Frame, Result, SharedFrame

DriftCause = Literal["scores"] | LookChange
CAUSES: tuple[DriftCause, ...] = ("scores", "brighter", "darker", "sharper", "softer")

REMEDY = "if that is normal now, `patchedge teach` it"
"""What to do about it."""

SAVE_EVERY_S = 60.0
"""Minimum time between two writes; the beginning and the end of drift are written at once."""

_SAID: dict[DriftCause, str] = {
    "scores": "normal frames score higher than learnt",
    "brighter": "the picture is brighter than learnt",
    "darker": "the picture is darker than learnt",
    "sharper": "the picture is sharper than learnt",
    "softer": "the picture is less sharp than learnt",
}

_log = structlog.get_logger()


class DriftWatch:
    """Notices the drift of one camera. Use it from one thread.

    Attributes:
        causes: of the drift that goes on, each with the wall clock since when; empty without.
    """

    def __init__(self, camera: str, file: DriftFile | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Watch nothing before there is a bundle.

        Args:
            camera: its name.
            file: where the state is kept; None: a restart forgets it.
            clock: monotonic seconds.
        """
        self.causes: dict[DriftCause, int] = {}
        self._camera = camera
        self._file = file
        self._clock = clock
        self._bundle = ""
        self._evidence: Evidence | None = None
        self._scene: SceneChange | None = None
        self._saved: SavedDrift | None = None
        self._saved_s = clock()

    @property
    def said(self) -> str:
        """What differs from what was learnt, in a few words; empty without drift."""
        return "; ".join(_SAID[cause] for cause in self.causes)

    @property
    def since_ns(self) -> int | None:
        """Wall clock since when there is drift; None without."""
        return min(self.causes.values(), default=None)

    @property
    def line(self) -> str:
        """One line for people: since when, what, and what to do; empty without drift."""
        if (since_ns := self.since_ns) is None:
            return ""
        since = time.strftime("%Y-%m-%d %H:%M", time.gmtime(since_ns // 1_000_000_000))
        return f"since {since} UTC {self.said}; {REMEDY}"

    def levels(self) -> dict[str, float]:
        """Return for each cause how near it is, 0 to 1; 1: there is drift."""
        levels: dict[str, float] = {cause: float(cause in self.causes) for cause in CAUSES}
        if self._evidence is not None and "scores" not in self.causes:
            levels["scores"] = self._evidence.value / self._evidence.limit
        return levels

    def serve(self, bundle: BundleInfo) -> None:
        """Begin again with another bundle; go on with the same one, also after a restart."""
        if bundle.id == self._bundle:
            return
        is_first, self._bundle = not self._bundle, bundle.id
        normal = bundle.normal
        self._evidence = None if normal is None else Evidence(normal.held_out, bundle.promised_alpha)
        self._scene = None if normal is None or normal.usual is None else SceneChange(normal.usual)
        if is_first and self._file is not None:
            self._restore(self._file.read())
        self._update()

    def __call__(self, frame: Frame | SharedFrame, result: Result, *, in_alert: bool) -> None:
        """Take a frame.

        Args:
            frame: the frame.
            result: its result.
            in_alert: an alert is open, or its frames may become one: they say nothing about what is normal.
        """
        if in_alert or result.value is None or result.repeated:
            return
        at = frame.clock_ns, frame.t_capture_ns
        if self._evidence is not None and result.p_value is not None:
            self._evidence(*at, result.p_value)
        if self._scene is not None and result.measures is not None:
            self._scene(*at, result.measures)

    def turn(self) -> None:
        """Do the periodic work, about once a second."""
        changed = self._update()
        if self._file is not None and (changed or self._clock() - self._saved_s >= SAVE_EVERY_S):
            self._save(self._file)

    def close(self) -> None:
        """Save the state, and wait for it."""
        if self._file is not None and self._bundle:
            self._file.close()
            self._save(self._file)
            self._file.close()

    def _update(self) -> bool:
        """Log drift that begins or ends; return whether any does."""
        now: dict[DriftCause, int] = {}
        if self._evidence is not None and self._evidence.is_drift:
            now["scores"] = self._evidence.since_ns
        if self._scene is not None:
            now |= {kind: latch.since_ns for kind, latch in self._scene.latches.items() if latch.is_on}
        before, self.causes = self.causes, now
        for cause in now.keys() - before.keys():
            _log.warning("drift begins", camera=self._camera, reason=_SAID[cause], remedy=REMEDY)
        for cause in before.keys() - now.keys():
            _log.info("drift ends", camera=self._camera, reason=_SAID[cause])
        return now.keys() != before.keys()

    def _state(self) -> SavedDrift:
        evidence = self._evidence
        look: dict[str, int] = {cause: since_ns for cause, since_ns in self.causes.items() if cause != "scores"}
        if evidence is None or not evidence.value:
            return SavedDrift(bundle=self._bundle, look=look)
        value = round(evidence.value, 3)
        return SavedDrift(
            bundle=self._bundle, evidence=value, is_drift=evidence.is_drift, since_ns=evidence.since_ns, look=look
        )

    def _save(self, file: DriftFile) -> None:
        state = self._state()
        if state != (self._saved or SavedDrift(bundle=self._bundle)) and file.write(state):
            self._saved = state
        self._saved_s = self._clock()

    def _restore(self, saved: SavedDrift | None) -> None:
        self._saved = saved
        if saved is None or saved.bundle != self._bundle:
            return
        if self._evidence is not None:
            self._evidence.restore(saved.evidence, saved.since_ns, is_drift=saved.is_drift)
        for kind, latch in (self._scene.latches if self._scene is not None else {}).items():
            if kind in saved.look:
                latch.is_on, latch.since_ns = True, saved.look[kind]
