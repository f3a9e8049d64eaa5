"""The candidates of a fake device: what each request leads to is scripted, and nothing is loaded."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge_config.bundle import files as bundles
from edge_config.errors import BundleError
from edge_config.wire import replies
from edge_config.wire.candidates import (
    ActivateBundle,
    CandidateNow,
    DroppedLessons,
    FrameTimes,
    GoBack,
    OfCandidates,
    RootChanged,
    ShadowBundle,
    ShadowFigures,
    StageBundle,
    UnstageBundle,
)

SETTINGS_BUNDLE = "5e77" * 16
"""Id of the bundle of the settings of each camera."""


@dataclass
class ScriptedCandidates:
    """Answers requests about candidates; change the attributes to have it answer otherwise.

    Attributes:
        refusal: why a candidate is refused, instead of getting ready; empty: it gets ready.
        golden_difference, frame_ms: of the next candidates.
        figures: of the next shadows.
        dropped: what the next `activate` drops.
        checking, shadowing: number of replies to `staged` until a candidate is checked, and until its shadow is over.
        serving: camera -> id of the bundle in service.
        activated: camera and id of all activations and ways back, in their order.
        asked: number of requests, by name.
    """

    refusal: str = ""
    golden_difference: float = 1e-6
    frame_ms: FrameTimes = field(default_factory=lambda: FrameTimes(now=20.0, candidate=21.0))
    figures: ShadowFigures = field(default_factory=lambda: ShadowFigures(frames=40, max_difference=0.02))
    dropped: DroppedLessons = field(default_factory=DroppedLessons)
    checking: int = 1
    shadowing: int = 1
    serving: dict[str, str] = field(default_factory=dict)
    activated: list[tuple[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    _now: dict[str, CandidateNow] = field(default_factory=dict)
    _left: Counter[str] = field(default_factory=Counter)

    def reply(self, request: OfCandidates) -> bytes:
        """Return the reply to a request, encoded."""
        try:
            return replies.encode_reply(request.id, self.answer(request))
        except ValueError as error:
            return replies.encode_refusal(request.id, str(error))

    def answer(self, request: OfCandidates) -> CandidateNow | RootChanged:
        """Return the reply to a request.

        Raises:
            ValueError: it is refused; the text is the reason.
        """
        self.asked[str(type(request).__struct_config__.tag)] += 1
        camera, now = request.camera, self._of(request.camera)
        match request:
            case StageBundle():
                kept = {"root": now.root, "before": now.before}
                found = CandidateNow(camera=camera, state="checking", path=request.path, id=_id(request.path), **kept)
                return self._put(found, self.checking)
            case ShadowBundle():
                if now.state not in {"ready", "shadow"}:
                    raise ValueError(f"camera `{camera}` has no candidate that is ready")
                shadow = msgspec.structs.replace(self.figures, wanted_s=request.seconds, seconds=request.seconds)
                state = "shadow" if request.seconds else "ready"
                return self._put(msgspec.structs.replace(now, state=state, shadow=shadow), self.shadowing)
            case ActivateBundle():
                return self._activate(camera, now, request.bundle)
            case GoBack():
                if not now.before:
                    raise ValueError(f"camera `{camera}` has nothing to go back to")
                return self._serve(camera, now.before, CandidateNow(camera=camera, root=""))
            case UnstageBundle():
                return self._put(CandidateNow(camera=camera, root=now.root, before=now.before), 0)
            case _:
                return self._step(now)

    def lose(self) -> None:
        """Forget all candidates, as a restart of the device does."""
        self._now = {
            name: CandidateNow(camera=name, root=one.root, before=one.before) for name, one in self._now.items()
        }

    def _of(self, camera: str) -> CandidateNow:
        return self._now.get(camera, CandidateNow(camera=camera))

    def _put(self, now: CandidateNow, left: int) -> CandidateNow:
        self._now[now.camera], self._left[now.camera] = now, left
        return now

    def _step(self, now: CandidateNow) -> CandidateNow:
        """Return what is, after it has gone on if it is time."""
        if self._left[now.camera] > 0:
            self._left[now.camera] -= 1
            return now
        if now.state == "checking" and self.refusal:
            return self._put(msgspec.structs.replace(now, state="refused", reason=self.refusal), 0)
        if now.state == "checking":
            found = {"golden_difference": self.golden_difference, "frame_ms": self.frame_ms}
            return self._put(msgspec.structs.replace(now, state="ready", **found), 0)
        if now.state == "shadow":
            return self._put(msgspec.structs.replace(now, state="ready"), 0)
        return now

    def _activate(self, camera: str, now: CandidateNow, bundle_id: str) -> RootChanged:
        serves = self.serving.get(camera, SETTINGS_BUNDLE)
        if bundle_id == now.root == serves:
            return RootChanged(camera=camera, bundle=bundle_id, before=now.before)
        if now.state not in {"ready", "shadow"} or now.id != bundle_id:
            raise ValueError(f"camera `{camera}` has no candidate {bundle_id[:12]} that is ready")
        changed = self._serve(camera, bundle_id, CandidateNow(camera=camera, root=bundle_id, before=serves))
        return msgspec.structs.replace(changed, dropped_lessons=self.dropped)

    def _serve(self, camera: str, bundle_id: str, now: CandidateNow) -> RootChanged:
        before = self.serving.get(camera, SETTINGS_BUNDLE)
        self.serving[camera] = bundle_id
        self.activated.append((camera, bundle_id))
        self._put(now, 0)
        return RootChanged(camera=camera, bundle=bundle_id, before=before)


def _id(path: str) -> str:
    """Return the id of the bundle at a path; where there is none, one that its name makes."""
    try:
        return hashlib.sha256(bundles.read_manifest(Path(path))).hexdigest()
    except (BundleError, OSError, ValueError):
        return hashlib.sha256(Path(path).name.encode()).hexdigest()
