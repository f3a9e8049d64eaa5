"""Requests about the candidate of a camera: a bundle that is loaded beside the one in service; and their replies.

A fleet's agent sends them: a candidate is checked, watched, put into service in place of the bundle of the settings,
and taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from edge_config.wire.request_base import CameraName, Request, Role

CandidateState = Literal["none", "checking", "ready", "shadow", "refused"]
"""`none`: there is no candidate. `checking`: it is being loaded, and scores its golden frames. `ready`: it may be
activated. `shadow`: it also scores some frames of the camera. `refused`: it cannot serve."""

MAX_SHADOW_S = 7 * 86_400
"""Maximum time that a candidate also scores frames, seconds."""

WholeId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="id of a bundle, 64 hexadecimal digits")]


class StageBundle(Request, frozen=True, tag="stage"):
    """Load a bundle beside the one in service, and check it; it replaces another candidate of the camera.

    It is answered at once, `staged` says what came of it. The bundle in service goes on in any case.

    Attributes:
        camera: name of the camera.
        path: path of the bundle on the device, below the folder of the fleet or the state folder; without symbolic
            links.
    """

    camera: CameraName
    path: Annotated[str, Meta(min_length=1, max_length=4096)]


class ReadStaged(Request, frozen=True, tag="staged"):
    """Return the candidate of a camera, and which bundle was assigned to the camera.

    Attributes:
        camera: name of the camera.
    """

    role: ClassVar[Role] = "view"

    camera: CameraName


class ShadowBundle(Request, frozen=True, tag="shadow"):
    """Have the candidate of a camera also score some of its frames for a time; only the bundle in service decides.

    Attributes:
        camera: name of the camera.
        seconds: for how long; 0 ends it.
    """

    camera: CameraName
    seconds: Annotated[float, Meta(ge=0, le=MAX_SHADOW_S)]


class ActivateBundle(Request, frozen=True, tag="activate"):
    """Put the candidate of a camera into service between two frames, in place of the bundle of the settings.

    It serves after a restart too, until another bundle is at the path that the settings name. Learning goes on from it;
    what was learnt from the bundle before is kept for `go_back`. Learning that runs is stopped.

    Attributes:
        camera: name of the camera.
        bundle: id of the candidate. If it is in service already, that is answered.
    """

    camera: CameraName
    bundle: WholeId


class GoBack(Request, frozen=True, tag="go_back"):
    """Put into service what served before the last `activate`, a learnt bundle too, between two frames.

    Attributes:
        camera: name of the camera.
    """

    camera: CameraName


class UnstageBundle(Request, frozen=True, tag="unstage"):
    """Let go of the candidate of a camera; without one, nothing happens.

    Attributes:
        camera: name of the camera.
    """

    camera: CameraName


class FrameTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Time of a golden frame from preprocessing to its score, measured while the camera was scored, milliseconds.

    Attributes:
        now: with the bundle in service.
        candidate: with the candidate.
    """

    now: float
    candidate: float


class ShadowFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the shadow of a candidate has shown so far.

    Attributes:
        frames: number of frames that both bundles have scored.
        differing: number of those that one bundle calls anomalous and the other does not.
        max_difference: largest difference of `excess`, of those frames of which both have one.
        alerts_now: number of alerts that these frames alone would have made with the bundle in service.
        alerts_candidate: number of alerts that they would have made with the candidate.
        failed: number of frames that the candidate could not score.
        seconds: time that it has lasted.
        wanted_s: time that was asked for.
    """

    frames: int = 0
    differing: int = 0
    max_difference: float = 0.0
    alerts_now: int = 0
    alerts_candidate: int = 0
    failed: int = 0
    seconds: float = 0.0
    wanted_s: float = 0.0


class CandidateNow(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `ReadStaged`, `StageBundle`, `ShadowBundle` and `UnstageBundle`.

    Attributes:
        camera: name of the camera.
        state: of the candidate.
        id: id of the candidate; empty before it is known.
        path: path of the candidate; empty if there is none.
        reason: why it is refused, one line; empty otherwise.
        golden_difference: largest difference of a golden score from that at export, as a share of the score; null
            before it is known.
        frame_ms: what a frame takes with both bundles; null before it is known.
        shadow: what its shadow has shown, also after it has ended; null if there was none.
        root: id of the bundle that was assigned by `activate`; empty if the bundle of the settings serves, or what
            was learnt from it.
        before: id of the bundle that `go_back` puts into service; empty if there is none.
        before_root: id of its root, if that is another one than the bundle of the settings; empty otherwise.
    """

    camera: str
    state: CandidateState = "none"
    id: str = ""
    path: str = ""
    reason: str = ""
    golden_difference: float | None = None
    frame_ms: FrameTimes | None = None
    shadow: ShadowFigures | None = None
    root: str = ""
    before: str = ""
    before_root: str = ""


class DroppedLessons(msgspec.Struct, frozen=True, kw_only=True):
    """What was learnt on the device and is not in the bundle in service any more.

    Attributes:
        rounds: number of rounds of learning since the root of the bundle before.
        pictures: number of pictures that were learnt in them.
    """

    rounds: int = 0
    pictures: int = 0


class RootChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `ActivateBundle` and `GoBack`: the bundle is in service, and will be after a restart.

    Attributes:
        camera: name of the camera.
        bundle: id of the bundle in service.
        before: id of the bundle that was in service before.
        dropped_lessons: what the bundle before had learnt on the device, and the one in service has not.
    """

    camera: str
    bundle: str
    before: str
    dropped_lessons: DroppedLessons = DroppedLessons()


OfCandidates = StageBundle | ReadStaged | ShadowBundle | ActivateBundle | GoBack | UnstageBundle
"""All requests about candidates."""

REPLIES: Mapping[str, type[msgspec.Struct]] = {
    "staged": CandidateNow,
    "activate": RootChanged,
}
"""Name of a request -> the type of its reply; `stage`, `shadow` and `unstage` have that of `staged`, `go_back` has that
of `activate`."""
