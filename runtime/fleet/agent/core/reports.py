"""What the agent says of the device: one record, made of what it remembers and of what it saw last."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_config.wire.fleet import Assignment, CameraReport, DeviceReport
from runtime.fleet.agent.core import assigned_settings, judge
from runtime.fleet.agent.core.memory import CameraMemory, Step
from runtime.fleet.agent.core.seen import CameraSeen, Totals

SCORES = 120
"""Number of scores that the median is of: one a look."""

MIN_WINDOW_S = 30.0
"""Time over which frames per second are counted at least, seconds."""

MAX_REASON = 1000
"""Maximum length of a reason, characters."""

_ORDER: Sequence[Step] = (
    "refused",
    "went back",
    "back",
    "prepare",
    "ready",
    "activate",
    "configure",
    "watch",
    "in place",
    "idle",
)
"""The step of the device is the first of these that one of its cameras is in."""


@dataclass(frozen=True, slots=True)
class ThisDevice:
    """Which device this is.

    Attributes:
        device: its name.
        groups: its groups.
        version: of patchedge.
        boot: random text of this start of the agent.
    """

    device: str
    groups: tuple[str, ...]
    version: str
    boot: str


@dataclass(slots=True)
class Figures:
    """Figures of one camera for reports.

    Attributes:
        scores: the last scores.
        fps: scored frames per second.
    """

    scores: deque[float] = field(default_factory=lambda: deque(maxlen=SCORES))
    fps: float = 0.0
    _since_s: float | None = None
    _since: Totals = field(default_factory=Totals)

    def take(self, seen: CameraSeen, now_s: float) -> None:
        """Take a look of the camera into account."""
        if seen.score is not None:
            self.scores.append(seen.score)
        if self._since_s is None or seen.totals.frames < self._since.frames:
            self._since_s, self._since = now_s, seen.totals
            return
        passed_s = now_s - self._since_s
        if passed_s > 0:
            self.fps = (seen.totals.frames - self._since.frames) / passed_s
        if passed_s >= MIN_WINDOW_S:
            self._since_s, self._since = now_s, seen.totals


def of_device(
    this: ThisDevice,
    memories: Mapping[str, CameraMemory],
    seen: Mapping[str, CameraSeen],
    figures: Mapping[str, Figures],
    lost: Assignment | None,
    problem: str,
    **more: int,
) -> DeviceReport:
    """Return the report.

    Args:
        this: the device.
        memories: what is remembered, by camera.
        seen: the last look; empty if the runtime does not answer.
        figures: figures of the cameras.
        lost: the newest assignment for a camera that the device does not have.
        problem: an assignment that was not accepted, a sentence; empty: none.
        more: `at_ms` and `fetched_bytes`.
    """
    newest = max((one.counter for one in memories.values()), default=0)
    its = {name: one for name, one in memories.items() if one.counter == newest}
    camera, leading = min(
        its.items(), key=lambda item: (_ORDER.index(item[1].step), _is_echo(item[1])), default=("", CameraMemory())
    )
    reason = leading.reason if len(memories) == 1 or not leading.reason else f"{camera}: {leading.reason}"
    counter, phase, rollout = newest, leading.phase, leading.assignment.rollout if leading.assignment else ""
    if lost is not None and lost.counter > newest:
        counter, phase, rollout = lost.counter, "refused", lost.rollout
        reason = f"there is no camera `{lost.camera}` on this device"
    if problem:
        reason = f"{reason}; not accepted: {problem}" if reason else f"not accepted: {problem}"
    return DeviceReport(
        device=this.device,
        groups=this.groups,
        version=this.version,
        boot=this.boot,
        counter=counter,
        rollout=rollout,
        phase=phase,
        reason=reason[:MAX_REASON],
        shadow=leading.shadow,
        cameras=tuple(
            _of_camera(name, memories[name], seen.get(name), figures.get(name, Figures())) for name in memories
        ),
        **more,
    )


ECHO = "on camera "
"""How the reason of a camera begins that follows another one."""


def _is_echo(memory: CameraMemory) -> bool:
    return memory.reason.startswith(ECHO)


def _of_camera(name: str, memory: CameraMemory, seen: CameraSeen | None, figures: Figures) -> CameraReport:
    if seen is None:
        return CameraReport(camera=name, root=memory.placed)
    counts = memory.watched if memory.step == "watch" else memory.usual
    settings = memory.assignment.settings if memory.assignment is not None and memory.step == "in place" else None
    problem = memory.reason if memory.step in {"refused", "went back"} and not memory.by_person else ""
    return CameraReport(
        camera=name,
        state=seen.state,
        root=seen.root,
        active=seen.active,
        round=seen.round,
        learnt=seen.learnt,
        settings_changed=assigned_settings.changed_on_the_spot(settings, seen.in_force, seen.changes),
        threshold=seen.threshold,
        score_p50=statistics.median(figures.scores) if figures.scores else None,
        fps=round(figures.fps, 3),
        frame_ms_p95=round(seen.frame_ms_p95, 3),
        alerts_per_hour=round(judge.per_hour(counts), 3),
        alerts_s=round(counts.seconds, 1),
        drift=seen.drift,
        bundle_problem=(problem or seen.notice)[:MAX_REASON],
    )
