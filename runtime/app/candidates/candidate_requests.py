"""Requests about candidates: a bundle is loaded beside the one in service, watched, activated, and taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from edge_config.wire.candidates import (
    ActivateBundle,
    CandidateNow,
    CandidateState,
    FrameTimes,
    GoBack,
    OfCandidates,
    RootChanged,
    ShadowBundle,
    ShadowFigures,
    StageBundle,
    UnstageBundle,
)
from runtime.app.candidate_shadow import CandidateShadow
from runtime.app.candidates.staging_folders import StagingFolders
from runtime.app.channel import Channel
from runtime.events import Asked, CandidateLoaded, EngineLost, ShadowScored
from runtime.frame import BundleInfo
from runtime.messaging.control_socket import Control
from runtime.versions.activations import Activation
from runtime.versions.records import SHORT
from runtime.versions.root_changes import AssignedRoots

_MEMORY_FACTOR = 2
"""A loaded bundle takes at most so many times the size of its files, while its golden frames are scored."""

_log = structlog.get_logger()


class LoadsBeside(Protocol):
    """What loads candidates, as `runtime.inference.beside.candidates.Candidates`."""

    def load(self, camera: str, path: str) -> int | None:
        """As of `Candidates`."""

    def drop(self, camera: str) -> None:
        """As of `Candidates`."""


@dataclass(slots=True)
class _Candidate:
    """The candidate of a camera.

    Attributes:
        path: of the bundle.
        number: of the order to load it.
        state: of it.
        info: the bundle; None before it is loaded.
        reason: why it is refused.
        loaded: what was measured.
        shadow: the last one; None: there was none.
    """

    path: str
    number: int
    state: CandidateState = "checking"
    info: BundleInfo | None = None
    reason: str = ""
    loaded: CandidateLoaded | None = None
    shadow: CandidateShadow | None = None

    def figures(self) -> ShadowFigures | None:
        """Return what the shadow has shown."""
        return None if self.shadow is None else self.shadow.figures()


class CandidateRequests:
    """Answers requests about candidates, one of each camera. Use it from the main loop's thread."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        control: Control,
        beside: LoadsBeside,
        roots: AssignedRoots,
        folders: StagingFolders,
        available_bytes: Callable[[], int | None],
    ) -> None:
        """Begin with no candidate.

        Args:
            channels: the cameras, by name.
            control: answers requests.
            beside: loads candidates.
            roots: puts them into service.
            folders: where they may be.
            available_bytes: memory that can be used now; None: unknown.
        """
        self._channels = channels
        self._control = control
        self._beside = beside
        self._roots = roots
        self._folders = folders
        self._available_bytes = available_bytes
        self._candidates: dict[str, _Candidate] = {}

    def answer(self, asked: Asked) -> bool:
        """Answer a request of its own; return whether it is one."""
        request = asked.request
        if not isinstance(request, OfCandidates):
            return False
        camera = request.camera
        match request:
            case ActivateBundle():
                self._activate(asked, request)
            case GoBack():
                self._roots.go_back(camera, asked.by, lambda one, problem: self._changed(asked, one, problem))
            case _:
                if problem := self._do(request, asked.by):
                    self._control.refuse(asked, problem)
                else:
                    self._control.reply(asked, self._now(camera))
        return True

    def handle(self, event: Any) -> bool:
        """Handle what the engine says of candidates; return whether it is that."""
        match event:
            case ShadowScored():
                if (shadow := self._channels[event.camera].shadow) is not None:
                    shadow.compare(event)
            case CandidateLoaded():
                self._loaded(event)
            case EngineLost():
                self._lose(event)
            case _:
                return False
        return True

    def turn(self) -> None:
        """End shadows whose time is over, once a second."""
        for camera, one in self._candidates.items():
            if one.state == "shadow" and one.shadow is not None and one.shadow.is_over:
                self._end_shadow(camera, one)
                figures = msgspec.to_builtins(one.figures())
                _log.info("shadow of a candidate is over", camera=camera, bundle=_short(one), **figures)

    def status(self, camera: str) -> dict[str, Any]:
        """Return what the status of a camera says of its candidate."""
        now = self._now(camera)
        return {"assigned": now.root, "candidate": msgspec.to_builtins(now)}

    def _do(self, request: OfCandidates, by: str) -> str:
        """Do what can be answered at once; return why it is refused, or nothing."""
        match request:
            case StageBundle():
                return self._stage(request, by)
            case ShadowBundle():
                return self._begin_shadow(request, by)
            case UnstageBundle():
                self._let_go(request.camera, "unstaged", by)
        return ""

    def _stage(self, request: StageBundle, by: str) -> str:
        camera, path = request.camera, request.path
        before = self._candidates.get(camera)
        if before is not None and before.path == path and before.state != "refused":
            return ""
        if before is not None and before.state == "checking":
            return f"busy: another candidate of camera `{camera}` is being checked; retry in a second"
        if problem := self._folders.why_not(path):
            return problem
        self._let_go(camera, "another one is staged", by, keep=path)
        needed, free = _MEMORY_FACTOR * self._folders.size(path), self._available_bytes()
        if free is not None and needed > free:
            said = f"{path}: not enough memory: it may need {needed >> 20} MB, {free >> 20} MB are free"
            self._candidates[camera] = _Candidate(path, 0, "refused", reason=said)
            return ""
        if (number := self._beside.load(camera, path)) is None:
            return "busy: there is no inference worker now; retry in a second"
        self._candidates[camera] = _Candidate(path, number)
        self._roots.stage(camera, path)
        _log.info("candidate is loaded beside the bundle in service", camera=camera, path=path, by=by)
        return ""

    def _loaded(self, event: CandidateLoaded) -> None:
        one = self._candidates.get(event.camera)
        if one is None or one.number != event.number or one.state != "checking":
            return
        one.loaded, one.info, one.reason = event, event.info, event.problem
        one.state = "refused" if event.info is None else "ready"
        if event.info is None:
            _log.error("candidate refused", camera=event.camera, problem=event.problem)
            return
        told = {"now_ms": round(event.now_ms, 2), "candidate_ms": round(event.candidate_ms, 2)}
        told["golden_difference"] = event.golden_difference
        _log.info("candidate is ready", camera=event.camera, bundle=_short(one), **told)

    def _lose(self, event: EngineLost) -> None:
        """Refuse what the worker has taken with it; what was being loaded is answered for by itself."""
        for camera, one in self._candidates.items():
            if one.state in {"ready", "shadow"}:
                self._end_shadow(camera, one)
                one.state, one.reason = "refused", f"the inference worker was lost ({event.reason}): stage it again"
                _log.warning("candidate lost", camera=camera, bundle=_short(one), why=event.reason)

    def _begin_shadow(self, request: ShadowBundle, by: str) -> str:
        camera, one = request.camera, self._candidates.get(request.camera)
        if one is None or one.info is None or one.state not in {"ready", "shadow"}:
            return f"camera `{camera}` has no candidate that is ready"
        self._end_shadow(camera, one)
        if request.seconds > 0:
            frame_s = one.loaded.candidate_ms / 1000 if one.loaded else 0.0
            one.shadow = CandidateShadow(self._channels[camera].camera, one.info, request.seconds, frame_s)
            one.state, self._channels[camera].shadow = "shadow", one.shadow
            self._share()
            _log.info("candidate scores too", camera=camera, bundle=_short(one), seconds=request.seconds, by=by)
        return ""

    def _end_shadow(self, camera: str, one: _Candidate) -> None:
        self._channels[camera].shadow = None
        if one.shadow is not None:
            one.shadow.end()
        if one.state == "shadow":
            one.state = "ready"
        self._share()

    def _share(self) -> None:
        shadows = [channel.shadow for channel in self._channels.values() if channel.shadow is not None]
        for shadow in shadows:
            shadow.sharing = len(shadows)

    def _let_go(self, camera: str, why: str, by: str, *, keep: str = "") -> None:
        """Let go of the candidate of a camera, and delete it unless it is needed or at the path `keep`."""
        one = self._candidates.pop(camera, None)
        if one is not None:
            self._end_shadow(camera, one)
            self._beside.drop(camera)
            _log.info("candidate let go", camera=camera, bundle=_short(one), why=why, by=by)
        self._collect(camera, keep)

    def _collect(self, camera: str, *keep: str) -> None:
        """Delete the bundles of a camera that nobody needs any more."""
        needed = {*keep, *(one.path for one in self._candidates.values())}
        self._roots.collect(camera, needed, self._folders.delete)

    def _activate(self, asked: Asked, request: ActivateBundle) -> None:
        camera, one = request.camera, self._candidates.get(request.camera)
        if one is not None and one.info is not None and one.info.id == request.bundle and one.state != "refused":
            done = lambda change, problem: self._changed(asked, change, problem)  # noqa: E731
            self._roots.activate(camera, one.path, request.bundle, asked.by, done)
            return
        pointer = self._roots.of(camera)
        if pointer is not None and pointer.id == request.bundle:
            before = pointer.before.id if pointer.before else ""
            serving = self._channels[camera].camera.bundle.id
            self._control.reply(asked, RootChanged(camera=camera, bundle=serving, before=before))
            return
        self._control.refuse(asked, f"camera `{camera}` has no candidate {request.bundle[:SHORT]} that is ready")

    def _changed(self, asked: Asked, one: Activation, problem: str) -> None:
        """Answer a request that changes the root of a camera."""
        if problem or one.target is None:
            self._control.refuse(asked, problem)
            return
        candidate = self._candidates.get(one.camera)
        if candidate is not None and candidate.path == one.target.pointer.path:
            self._let_go(one.camera, "activated", asked.by)
        self._collect(one.camera)
        changed = RootChanged(
            camera=one.camera, bundle=one.bundle_id, before=one.before, dropped_lessons=one.target.dropped
        )
        self._control.reply(asked, changed)

    def _now(self, camera: str) -> CandidateNow:
        pointer = self._roots.of(camera)
        before = pointer.before if pointer is not None else None
        now = CandidateNow(
            camera=camera,
            root=pointer.id if pointer is not None and pointer.path else "",
            before=before.id if before is not None else "",
            before_root=before.root if before is not None and before.path else "",
        )
        if (one := self._candidates.get(camera)) is None:
            return now
        loaded = one.loaded if one.loaded is not None and one.info is not None else None
        return msgspec.structs.replace(
            now,
            state=one.state,
            id=one.info.id if one.info else "",
            path=one.path,
            reason=one.reason,
            golden_difference=loaded.golden_difference if loaded else None,
            frame_ms=FrameTimes(now=loaded.now_ms, candidate=loaded.candidate_ms) if loaded else None,
            shadow=one.figures(),
        )


def _short(one: _Candidate) -> str:
    return one.info.id[:SHORT] if one.info else one.path
