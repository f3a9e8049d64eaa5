"""The shadow of a candidate: it also scores some frames of a camera, and what both bundles say is compared."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_config.bundle.held_out import excess
from edge_config.wire.candidates import ShadowFigures
from runtime.alerts.decide import Decide
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.events import Scored, ShadowScored
from runtime.frame import BundleInfo, Result

MAX_SHARE = 0.1
"""Maximum share of the time of the inference worker that the shadows of all cameras take."""

STRAINED_EVERY_S = 2.0
"""Minimum time between two frames where the device cannot keep up with its cameras."""


class CandidateShadow:
    """Compares a candidate with the bundle in service. Use it from the main loop's thread.

    Attributes:
        sharing: number of cameras whose candidates score now.
    """

    def __init__(
        self,
        camera: MonitoredCamera,
        candidate: BundleInfo,
        seconds: float,
        frame_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            camera: the camera.
            candidate: the candidate.
            seconds: for how long.
            frame_s: time of a frame with the candidate, seconds.
            clock: monotonic, seconds.
        """
        self.sharing = 1
        self._camera = camera
        self._candidate = candidate
        self._wanted_s = seconds
        self._took_s = frame_s
        self._clock = clock
        self._began_s = self._due_s = clock()
        self._ended_s: float | None = None
        self._alerts = camera.settings
        self._now = Decide(self._alerts, camera.default_threshold)
        self._beside = Decide(self._alerts, candidate.threshold)
        self._seen: dict[int, tuple[Result, float]] = {}  # of frames that the candidate has yet to score
        self._frames = self._differing = self._failed = 0
        self._alerts_now = self._alerts_beside = 0
        self._max_difference = 0.0

    @property
    def is_over(self) -> bool:
        """Whether its time is over."""
        return self._ended_s is not None or self._clock() - self._began_s >= self._wanted_s

    def end(self) -> None:
        """Score no more frames."""
        if self._ended_s is None:
            self._ended_s = min(self._clock(), self._began_s + self._wanted_s)

    def take(self, *, strained: bool) -> bool:
        """Return whether the candidate should score the next frame; it will then.

        Args:
            strained: the device cannot keep up.
        """
        now_s = self._clock()
        if self.is_over or now_s < self._due_s:
            return False
        every_s = max(STRAINED_EVERY_S if strained else 0.0, self._took_s * self.sharing / MAX_SHARE)
        self._due_s = max(self._due_s, now_s - every_s) + every_s
        return True

    def see(self, scored: Scored) -> None:
        """Take note of what the bundle in service says of a frame, which was published."""
        result = scored.result
        if result is not None and result.value is not None and not result.repeated:
            self._seen = {scored.frame.frame_id: (result, self._camera.threshold)}

    def compare(self, scored: ShadowScored) -> None:
        """Take what the candidate says of a frame."""
        self._took_s = scored.seconds or self._took_s
        seen = self._seen.pop(scored.frame.frame_id, None)
        if scored.value is None:
            self._failed += bool(scored.problem)
            return
        if seen is None or self._ended_s is not None:
            return
        self._configure()
        result, threshold = seen
        beside = Result(value=scored.value)
        now_over, beside_over = _value(result) > threshold, scored.value > self._beside.threshold
        self._frames += 1
        self._differing += now_over != beside_over
        self._alerts_now += _begins(self._now, scored, result)
        self._alerts_beside += _begins(self._beside, scored, beside)
        both = (
            excess(_value(result), threshold, self._camera.bundle.median),
            excess(scored.value, self._beside.threshold, self._candidate.median),
        )
        if both[0] is not None and both[1] is not None:
            self._max_difference = max(self._max_difference, abs(both[0] - both[1]))

    def figures(self) -> ShadowFigures:
        """Return what was found so far."""
        until_s = self._clock() if self._ended_s is None else self._ended_s
        return ShadowFigures(
            frames=self._frames,
            differing=self._differing,
            max_difference=self._max_difference,
            alerts_now=self._alerts_now,
            alerts_candidate=self._alerts_beside,
            failed=self._failed,
            seconds=min(until_s - self._began_s, self._wanted_s),
            wanted_s=self._wanted_s,
        )

    def _configure(self) -> None:
        """Decide as the camera does now."""
        self._alerts = self._camera.settings
        self._now.configure(self._alerts, self._camera.default_threshold)
        self._beside.configure(self._alerts, self._candidate.threshold)
        self._now.bundle_min_ms, self._beside.bundle_min_ms = self._camera.bundle.min_ms, self._candidate.min_ms


def _value(result: Result) -> float:
    assert result.value is not None  # noqa: S101 - others are not seen
    return result.value


def _begins(decide: Decide, scored: ShadowScored, result: Result) -> bool:
    """Return whether an alert begins with a frame."""
    alert = decide(scored.frame, result).alert
    return alert is not None and alert.phase == "start"
