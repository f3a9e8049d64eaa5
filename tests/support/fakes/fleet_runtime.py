"""A simulated runtime for agents of a fleet, and bundles on a simulated disk: hundreds of them fit into a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge_config.errors import SettingsError
from edge_config.settings.parse import with_changes
from edge_config.settings.sections import Alerts
from edge_config.wire.candidates import CandidateNow, FrameTimes, ShadowFigures
from edge_config.wire.configure import ChangedValue, InForce, SettingsChange
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
    Shadow,
    Stage,
    UndoSettings,
    Unknown,
    Unstage,
)
from runtime.fleet.agent.core.memory import CameraMemory
from runtime.fleet.agent.core.seen import CameraSeen, PackSeen, Totals
from runtime.fleet.agent.runtime import RuntimeAway

FPS = 25.0


@dataclass(frozen=True)
class Bundle:
    """How a bundle behaves on a simulated runtime.

    Attributes:
        refusal: why it is refused when it is checked; empty: it is not.
        golden_difference: of its golden frames.
        frame_ms: what a frame takes.
        alerts_per_s: rate of its alerts.
        state: of a camera that it serves.
        score: of each frame.
    """

    refusal: str = ""
    golden_difference: float = 1e-6
    frame_ms: float = 20.0
    alerts_per_s: float = 0.01
    state: str = "live"
    score: float = 0.5


@dataclass
class _Camera:
    settings_root: str
    assigned: str = ""
    active: str = ""
    before: tuple[str, str] | None = None
    lessons: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    state: str = ""
    candidate: CandidateNow = field(default_factory=lambda: CandidateNow(camera=""))
    checked_s: float = 0.0
    shadow_s: float = 0.0
    totals: Totals = field(default_factory=Totals)
    counted_s: float = 0.0
    alerts: Alerts = field(default_factory=Alerts)
    changes: list[tuple[SettingsChange, Alerts]] = field(default_factory=list)

    @property
    def root(self) -> str:
        return self.assigned or self.settings_root


class FakeRuntime:
    """A runtime whose cameras deliver frames and alerts by the clock.

    Attributes:
        behaves: id of a bundle -> how it behaves; others as `Bundle()` does.
        up: whether it answers.
        check_s: how long a candidate is checked.
        fault: is asked before and after each request, with its name: "lose" makes the request, or its answer, vanish.
        activated: camera and id of all activations, in their order.
        served: all ids that ever served, by camera.
    """

    def __init__(
        self,
        cameras: Sequence[str] = ("cam1",),
        root: str = "0" * 64,
        *,
        clock: Callable[[], float] = time.monotonic,
        check_s: float = 0.0,
    ) -> None:
        self.behaves: dict[str, Bundle] = {}
        self.up = True
        self.check_s = check_s
        self.fault: Callable[[str], bool] = lambda _: False
        self.activated: list[tuple[str, str]] = []
        self.served: dict[str, list[str]] = {name: [root] for name in cameras}
        self._clock = clock
        self._cameras = {name: _Camera(root, active=root, counted_s=clock()) for name in cameras}

    def serving(self, camera: str = "cam1") -> str:
        """Return the id of the bundle in service."""
        return self._cameras[camera].active

    def is_in(self, camera: str, state: str) -> None:
        """Have a camera be in a state; empty: in that of its bundle."""
        self._cameras[camera].state = state

    def learn(self, camera: str, child: str, pictures: int = 3) -> None:
        """Put a child of the bundle in service into service."""
        its = self._cameras[camera]
        _, rounds, learnt = its.lessons.get(its.active, ("", 0, 0))
        its.lessons[child] = (its.root, rounds + 1, learnt + pictures)
        self._serve(camera, child)

    def forget(self, camera: str, child: str) -> None:
        """Have a child be gone from the disk."""
        self._cameras[camera].forgotten.add(child)

    def change_by_person(self, camera: str, **alerts: object) -> None:
        """Change and keep alert settings, as a person does at the device."""
        self._configure(self._cameras[camera], {"alerts": alerts}, "anna")

    def replace_bundle(self, camera: str, root: str) -> None:
        """Put another bundle at the path of the settings, as a person does: it wins."""
        its = self._cameras[camera]
        its.settings_root, its.assigned, its.before = root, "", None
        self._serve(camera, root)

    def fall_back(self, camera: str) -> None:
        """Serve the bundle of the settings, as the assigned one cannot be loaded; it stays assigned."""
        self._serve(camera, self._cameras[camera].settings_root)

    def begin(self, camera: str, active: str) -> None:
        """Have a bundle serve after a start; empty: it is still being loaded."""
        self._cameras[camera].active = active

    def activate_late(self, camera: str, bundle: str) -> None:
        """Do what an activation asked for whose answer nobody waits for any more."""
        its = self._cameras[camera]
        its.candidate = CandidateNow(camera=camera, state="ready", id=bundle)
        self._activate(camera, its, bundle)

    def restart(self) -> None:
        """Lose what a restart loses: candidates and counters."""
        for its in self._cameras.values():
            its.candidate, its.totals, its.counted_s = CandidateNow(camera=""), Totals(), self._clock()

    async def look(self) -> Mapping[str, CameraSeen]:
        """Return how all cameras are."""
        if not self.up or self.fault("look"):
            raise RuntimeAway("no answer within 5 s")
        return {name: self._seen(name, its) for name, its in self._cameras.items()}

    async def do(self, camera: str, action: Action) -> Outcome:
        """Do what is asked for, unless the request or its answer is lost."""
        name = type(action).__name__
        if not self.up or self.fault(name):
            return Unknown("no answer within 30 s")
        outcome = self._do(camera, self._cameras[camera], action)
        return Unknown("no answer within 30 s") if self.fault(f"{name} answered") else outcome

    def _seen(self, name: str, its: _Camera) -> CameraSeen:
        self._count(its)
        self._go_on(its)
        _, rounds, pictures = its.lessons.get(its.active, ("", 0, 0))
        kept = {"root": its.assigned, "before": its.before[1] if its.before else ""}
        return CameraSeen(
            state=self._state(its),
            root=its.root,
            active=its.active,
            candidate=msgspec.structs.replace(its.candidate, camera=name, **kept),
            threshold=its.alerts.threshold or 1.0,
            score=self._behaviour(its.active).score,
            round=rounds,
            learnt=pictures,
            in_force=InForce(camera=name, threshold=1.0, alerts=msgspec.to_builtins(its.alerts)),
            changes=tuple(change for change, _ in reversed(its.changes)),
            totals=its.totals,
            frame_ms_p95=self._behaviour(its.active).frame_ms,
        )

    def _state(self, its: _Camera) -> str:
        return its.state or self._behaviour(its.active).state

    def _behaviour(self, bundle: str) -> Bundle:
        return self.behaves.get(bundle, Bundle())

    def _count(self, its: _Camera) -> None:
        passed_s, its.counted_s = self._clock() - its.counted_s, self._clock()
        behaves = self._behaviour(its.active)
        if self._state(its) == "live":
            its.totals = Totals(
                its.totals.alerts + passed_s * behaves.alerts_per_s,
                its.totals.frames + passed_s * FPS,
                its.totals.frame_ms + passed_s * FPS * behaves.frame_ms,
            )

    def _go_on(self, its: _Camera) -> None:
        """Have the check and the shadow of a candidate go on by the clock."""
        now, candidate = self._clock(), its.candidate
        behaves, serves = self._behaviour(candidate.id), self._behaviour(its.active)
        if candidate.state == "checking" and now - its.checked_s >= self.check_s:
            its.candidate = msgspec.structs.replace(
                candidate,
                state="refused" if behaves.refusal else "ready",
                reason=behaves.refusal,
                golden_difference=behaves.golden_difference,
                frame_ms=FrameTimes(now=serves.frame_ms, candidate=behaves.frame_ms),
            )
        if candidate.state == "shadow" and candidate.shadow is not None:
            seconds = min(now - its.shadow_s, candidate.shadow.wanted_s)
            shadow = ShadowFigures(
                frames=int(seconds * 5) if self._state(its) == "live" else 0,
                alerts_now=int(seconds * serves.alerts_per_s),
                alerts_candidate=int(seconds * behaves.alerts_per_s),
                seconds=seconds,
                wanted_s=candidate.shadow.wanted_s,
            )
            state = "ready" if seconds >= shadow.wanted_s else "shadow"
            its.candidate = msgspec.structs.replace(candidate, state=state, shadow=shadow)

    def _do(self, camera: str, its: _Camera, action: Action) -> Outcome:  # noqa: C901, PLR0911 - a case for each action
        self._count(its)
        self._go_on(its)
        match action:
            case Stage():
                its.checked_s = self._clock()
                found = Path(action.path).name
                its.candidate = CandidateNow(camera=camera, state="checking", path=action.path, id=found)
            case Shadow():
                if its.candidate.state not in {"ready", "shadow"}:
                    return NotDone("there is no candidate that is ready")
                its.shadow_s = self._clock()
                shadow = ShadowFigures(wanted_s=action.seconds)
                its.candidate = msgspec.structs.replace(its.candidate, state="shadow", shadow=shadow)
            case Activate():
                return self._activate(camera, its, action.id)
            case BringBack():
                if its.before is None:
                    return NotDone("there is nothing to go back to")
                (its.assigned, before), its.before = its.before, None
                self._serve(camera, before)
            case RollTo():
                if action.to in its.forgotten:
                    return NotDone("there is no version of this id")
                self._serve(camera, action.to)
            case Unstage():
                its.candidate = CandidateNow(camera=camera)
            case SetSettings():
                return self._configure(its, action.settings, action.user)
            case UndoSettings():
                return self._undo(its)
            case Fetch():
                raise AssertionError("a runtime fetches nothing")
        return ActionDone()

    def _activate(self, camera: str, its: _Camera, bundle: str) -> Outcome:
        if its.assigned == its.active == bundle:
            return ActionDone()
        if its.candidate.state not in {"ready", "shadow"} or its.candidate.id != bundle:
            return NotDone("there is no candidate that is ready")
        _, rounds, pictures = its.lessons.get(its.active, ("", 0, 0))
        its.before = (its.assigned, its.active)
        its.assigned, its.candidate = bundle, CandidateNow(camera=camera)
        self.activated.append((camera, bundle))
        self._serve(camera, bundle)
        return ActionDone(rounds=rounds, pictures=pictures)

    def _serve(self, camera: str, bundle: str) -> None:
        self._cameras[camera].active = bundle
        self.served[camera].append(bundle)

    def _configure(self, its: _Camera, settings: Mapping[str, object], user: str) -> Outcome:
        alerts = settings.get("alerts", {})
        assert isinstance(alerts, dict)
        if alerts.get("threshold") == REFUSED_THRESHOLD:
            return NotDone("the threshold is refused here")
        try:
            after = with_changes(its.alerts, alerts)
        except SettingsError as error:
            return NotDone(str(error))
        if after == its.alerts:
            return ActionDone()
        what = tuple(ChangedValue(key=f"alerts.{key}") for key in alerts)
        change = SettingsChange(number=len(its.changes) + 1, camera="", at_ms=0, user=user, what=what)
        its.changes.append((change, its.alerts))
        its.alerts = after
        return ActionDone(change=change.number)

    def _undo(self, its: _Camera) -> Outcome:
        for place, (change, before) in reversed([*enumerate(its.changes)]):
            if not change.undone:
                its.changes[place] = (msgspec.structs.replace(change, undone=True), before)
                its.alerts = before
                return ActionDone()
        return NotDone("there is no change to take back")


REFUSED_THRESHOLD = 666.0
"""A threshold that a simulated device does not take."""


@dataclass
class FakePacks:
    """Bundles on a simulated disk: their paths end in their ids.

    Attributes:
        away: nothing can be fetched now, with this reason; empty: all can.
        refusals: root -> why its pack is refused.
        kept: roots that are there.
        fetched_bytes: of all packs.
    """

    away: str = ""
    refusals: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    fetched_bytes: int = 0

    def seen(self, wanted: Fetch) -> PackSeen:
        """Return how it is with the bundle of an assignment."""
        if wanted.root in self.refusals:
            return PackSeen("refused", reason=self.refusals[wanted.root])
        if wanted.root in self.kept:
            return PackSeen("here", f"/fleet/bundles/{wanted.root}")
        return PackSeen("waiting", reason=self.away) if self.away else PackSeen()

    def start(self, wanted: Fetch) -> None:
        """Fetch it at once."""
        if not self.away and wanted.root not in self.refusals:
            self.kept.add(wanted.root)
            self.fetched_bytes += wanted.size

    def prune(self, keep: Collection[str]) -> None:
        """Delete all bundles but these."""
        self.kept &= set(keep)

    async def close(self) -> None:
        """Nothing runs in the background."""


@dataclass
class FakeKept:
    """A memory that survives its agent, and no disk.

    Attributes:
        cameras: what was saved last.
        saves: number of times that something was saved.
    """

    cameras: dict[str, CameraMemory] = field(default_factory=dict)
    saves: int = 0

    def load(self) -> dict[str, CameraMemory]:
        """Return what was kept."""
        return dict(self.cameras)

    def save(self, cameras: dict[str, CameraMemory]) -> None:
        """Keep it."""
        self.cameras, self.saves = dict(cameras), self.saves + 1
