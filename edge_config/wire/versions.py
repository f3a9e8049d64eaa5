"""Requests that learn on, list learnt bundles and go back to an earlier one; and their replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from edge_config.wire.request_base import CameraName, Request, Role

LearningStage = Literal["idle", "queued", "running", "activating", "waiting", "done", "failed"]
"""`queued`: another camera is learning. `activating`: the new bundle is being loaded. `waiting`: there is a new bundle,
and a person must consent before it serves. `failed`: learning has ended without a new bundle in service."""

BundleId = Annotated[
    str, Meta(pattern=r"^(root|[0-9a-f]{6,64})\Z", description="`root`, or the first 6 or more digits of an id")
]


class LearnOn(Request, frozen=True, tag="learn_on"):
    """Learn the accepted pictures of a camera in the background, and serve the new bundle from some frame on.

    If the safety report of the new bundle names a problem, the bundle waits for a second request with `force`.

    Attributes:
        camera: name of the camera.
        force: put the bundle that waits into service in spite of its problems. If none waits, learn, and put the
            result into service in any case.
    """

    camera: CameraName
    force: bool = False


class StopLearning(Request, frozen=True, tag="stop_learning"):
    """Stop learning of a camera; its bundle remains in service, and the accepted pictures remain accepted.

    A bundle that waits for consent is deleted.

    Attributes:
        camera: name of the camera.
    """

    camera: CameraName


class Rollback(Request, frozen=True, tag="rollback"):
    """Put an earlier bundle of a camera into service, between two frames. Learning of the camera is stopped.

    Attributes:
        camera: name of the camera.
        to: id of the version, or `root` for the bundle that the settings name; by default the parent of the bundle in
            service.
    """

    camera: CameraName
    to: BundleId | None = None


class Versions(Request, frozen=True, tag="versions"):
    """List the learnt bundles of a camera, the oldest first, and the progress of learning.

    Attributes:
        camera: name of the camera.
    """

    role: ClassVar[Role] = "view"

    camera: CameraName


class LearningProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `LearnOn` and `StopLearning`, and part of the reply to `Versions`: what learning of a camera is doing.

    Attributes:
        camera: name of the camera.
        state: what happens now, or how it ended.
        step: step of the learner, in a few words; empty if it does not run.
        done: finished pieces of work of this step.
        total: number of pieces of work of this step; 0 if unknown.
        starts: number of times that the learner was started; it is restarted if it is killed.
        ahead: number of cameras that learn before this one.
        version: id of the new bundle; empty before there is one.
        problems: why the new bundle waits, a sentence each.
        reason: why learning failed, or was stopped; empty otherwise.
        seconds: time since the request, or until the end.
    """

    camera: str
    state: LearningStage
    step: str = ""
    done: int = 0
    total: int = 0
    starts: int = 0
    ahead: int = 0
    version: str = ""
    problems: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0


class ReportedPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that both bundles have scored.

    Attributes:
        name: name of its file, or which golden frame it is.
        before: its score by the parent.
        after: its score by the new bundle.
        found_before: it is over the threshold of the parent.
        found_after: it is over the threshold of the new bundle.
    """

    name: str
    before: float
    after: float
    found_before: bool
    found_after: bool


class ReportedFaults(msgspec.Struct, frozen=True, kw_only=True):
    """Synthetic faults on the new normal pictures.

    Attributes:
        shown: number of faults.
        found_before: how many the parent finds.
        found_after: how many the new bundle finds.
        lost: how many the parent finds and the new bundle does not.
    """

    shown: int
    found_before: int
    found_after: int
    lost: int


class ReportedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A box in which learnt pictures are new to the parent, pixels of the pictures.

    Attributes:
        x: left edge.
        y: upper edge.
        width: width.
        height: height.
        pictures: number of learnt pictures in which something there is new.
    """

    x: int
    y: int
    width: int
    height: int
    pictures: int


class VersionReport(msgspec.Struct, frozen=True, kw_only=True):
    """The safety report of a version: what learning has changed.

    Attributes:
        threshold_before: threshold of the parent.
        threshold_after: threshold of the new bundle.
        threshold_root: threshold of the bundle of the settings.
        golden: golden frames of the parent.
        faults: synthetic faults.
        peaks: peak pictures of alerts that nobody marked as false; at most 100, those with the highest scores before.
        learnt: the pictures that were learnt; at most 100, those with the highest scores before.
        entries_before: size of the bank of the parent.
        entries_after: size of the bank of the new bundle.
        added: entries that joined.
        dropped: entries that were dropped.
        places: where the learnt pictures are new to the parent, the largest first.
    """

    threshold_before: float
    threshold_after: float
    threshold_root: float
    golden: tuple[ReportedPicture, ...]
    faults: ReportedFaults
    peaks: tuple[ReportedPicture, ...]
    learnt: tuple[ReportedPicture, ...]
    entries_before: int
    entries_after: int
    added: int
    dropped: int
    places: tuple[ReportedPlace, ...] = ()


class KeptVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A learnt bundle, or the bundle of the settings.

    Attributes:
        id: its id.
        parent: id of the bundle that it was made from; empty for the bundle of the settings.
        round: number of rounds of learning since the bundle of the settings.
        number: its number for people, which counts on, also after going back; 0 for the bundle of the settings.
        at: when it was learnt, ISO 8601, UTC; empty for the bundle of the settings.
        by: public key of the client that asked for it, and the person that it names: `KEY for NAME`; empty without.
        pictures: number of pictures that were learnt.
        added: entries that joined the bank.
        dropped: entries that were dropped from the bank.
        entries: size of the bank.
        threshold: its threshold.
        faults: synthetic faults that were shown, that its parent finds, and that it finds.
        problems: problems of its safety report, a sentence each.
        waits: whether a person must consent before it serves.
        active: whether it is in service.
        report: its safety report; null for the bundle of the settings, and for versions of earlier releases.
    """

    id: str
    parent: str = ""
    round: int = 0
    number: int = 0
    at: str = ""
    by: str = ""
    pictures: int = 0
    added: int = 0
    dropped: int = 0
    entries: int = 0
    threshold: float | None = None
    faults: tuple[int, int, int] = (0, 0, 0)
    problems: tuple[str, ...] = ()
    waits: bool = False
    active: bool = False
    report: VersionReport | None = None


class VersionsKept(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Versions`.

    Attributes:
        camera: name of the camera.
        versions: the root first, which is the bundle of the settings or was assigned in its place, then those that
            were learnt from it, the oldest first.
        learning: progress of learning.
        notice: what a person should know, such as a version that could not be served; empty if there is nothing.
        assigned: id of the root that a fleet assigned in place of the bundle of the settings; empty if none was.
    """

    camera: str
    versions: tuple[KeptVersion, ...]
    learning: LearningProgress
    notice: str = ""
    assigned: str = ""


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Rollback`: the bundle is in service, and will be after a restart.

    Attributes:
        camera: name of the camera.
        bundle: id of the bundle in service.
        before: id of the bundle that was in service before.
    """

    camera: str
    bundle: str
    before: str


OfVersions = LearnOn | StopLearning | Rollback | Versions

REPLIES: Mapping[str, type[msgspec.Struct]] = {
    "learn_on": LearningProgress,
    "rollback": RolledBack,
    "versions": VersionsKept,
}
"""Name of a request -> the type of its reply; `stop_learning` has that of `learn_on`."""
