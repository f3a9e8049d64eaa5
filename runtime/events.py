"""Events from the threads of the runtime to its main thread, which alone decides and publishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from edge_config.errors import PatchedgeError
from edge_config.settings.sections import Alerts, Camera
from edge_config.wire.messages import Box, Part
from edge_config.wire.requests import AnyRequest

if TYPE_CHECKING:  # it needs numpy, which programs beside the main loop do without
    from runtime.frame import BundleInfo, Result, SharedFrame


@dataclass(frozen=True, slots=True)
class FrameArrived:
    """A camera has delivered a frame. A newer one may have replaced it by the time it is handled."""

    camera: str


@dataclass(frozen=True, slots=True)
class FeedChanged:
    """The connection to a camera has another state, or the same for another reason.

    Attributes:
        remedy: how to fix it; empty if unknown.
    """

    camera: str
    state: Literal["live", "stalled", "disconnected"]
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class FeedEnded:
    """A recording has ended; frames that have arrived can still be taken.

    Attributes:
        failed: it could not be opened or read to its end; `reason` is the cause, one line.
    """

    camera: str
    reason: str
    failed: bool


@dataclass(frozen=True, slots=True)
class PictureReady:
    """The picture of a camera that was requested with this number, or the reason for none.

    Attributes:
        number: number of the request.
        hw: height and width of the picture.
        frame_id, t_capture_ns: as in `Frame`.
        jpeg: the picture; empty if there is none.
        problem: reason for none; empty if there is one.
    """

    camera: str
    number: int
    hw: tuple[int, int]
    frame_id: int
    t_capture_ns: int
    jpeg: bytes
    problem: str


FeedEvent = FrameArrived | FeedChanged | FeedEnded | PictureReady


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The inference worker runs and takes frames, for the first time or again after an `EngineLost`.

    Attributes:
        bundles: camera -> the bundle in service. After a restart some cameras may have none: see `ReloadRefused`.
    """

    bundles: dict[str, BundleInfo]


@dataclass(frozen=True, slots=True)
class Scored:
    """A frame that was submitted has its answer; every one gets exactly one.

    A `Reloaded` comes between the last frame scored with the old bundle and the first one scored with the new.

    Attributes:
        result: its result; None if it was not scored, for `reason`.
        attached: the bytes of each of `result.parts`.
    """

    camera: str
    frame: SharedFrame
    result: Result | None
    reason: str = ""
    attached: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Previewed:
    """The preview of a frame that was scored just before.

    Attributes:
        boxes, parts, attached: as in `FramePreview`; no parts if there is none, for `problem`.
        seconds: time that it took in the worker.
    """

    camera: str
    frame: SharedFrame
    boxes: tuple[Box, ...]
    parts: tuple[Part, ...]
    attached: tuple[bytes, ...]
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ShadowScored:
    """The candidate of a camera has scored a frame that was scored just before, or could not.

    Attributes:
        value: its score; None if there is none, for `problem`.
        seconds: time that it took in the worker.
    """

    camera: str
    frame: SharedFrame
    value: float | None
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CandidateLoaded:
    """A bundle was loaded and checked beside the one in service, or cannot serve.

    Attributes:
        number: of the order to load it.
        info: the candidate; None if it cannot serve, for `problem`.
        golden_difference: largest relative difference of a golden score.
        now_ms, candidate_ms: what a frame takes with both bundles, milliseconds.
        problem: why it cannot serve, one line.
    """

    camera: str
    number: int
    info: BundleInfo | None
    golden_difference: float = 0.0
    now_ms: float = 0.0
    candidate_ms: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class EngineLost:
    """The inference worker is gone, and another one is started. The frames it had are answered next.

    Attributes:
        cause: it exited or was killed; the OOM killer killed it; it exceeded a time-out and was killed; or it does not
            start.
        reason: details, in a few words.
    """

    cause: Literal["crashed", "memory", "hung", "start"]
    reason: str


@dataclass(frozen=True, slots=True)
class EngineRefused:
    """At the first start a bundle cannot be served: the engine has ended, and so should the program."""

    error: PatchedgeError


@dataclass(frozen=True, slots=True)
class Reloaded:
    """These cameras are scored with this bundle from the next frame on; it may be the one that they had."""

    cameras: tuple[str, ...]
    info: BundleInfo


@dataclass(frozen=True, slots=True)
class ReloadRefused:
    """A bundle was not taken into service.

    Attributes:
        path: of the bundle.
        error: the reason, one line.
        kept: the cameras go on with the bundle that they have; False after a restart of the worker, when they have
            none until a reload brings them one.
        lost: nothing is known of the bundle, as the worker died: another try may succeed.
        instead: path of the bundle that is loaded instead, when the worker starts; empty if there is none.
    """

    cameras: tuple[str, ...]
    path: str
    error: str
    kept: bool = True
    lost: bool = False
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Other parts of a camera's frames are judged from the next frame on; or it was checked that they can be.

    Attributes:
        number: of the review.
        info: the camera's bundle, with whose regions it has now.
    """

    number: int
    camera: str
    info: BundleInfo


@dataclass(frozen=True, slots=True)
class ReviewRefused:
    """Other parts of a camera's frames cannot be judged: the camera goes on as before.

    Attributes:
        number: of the review.
        error: the reason, one line.
        lost: nothing is known, as the worker died.
    """

    number: int
    camera: str
    error: str
    lost: bool = False


OfFrames = Scored | Previewed | ShadowScored
OfBundles = CandidateLoaded | Reloaded | ReloadRefused | Reviewed | ReviewRefused
EngineEvent = EngineReady | EngineLost | EngineRefused | OfFrames | OfBundles


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a client sent, to be answered once, by `Control.reply` or `Control.refuse`.

    Attributes:
        number: of the request.
        request: the request.
        key: public key of the client (Z85); empty if the device has no keys.
        part: the bytes that came with it.
    """

    number: int
    request: AnyRequest
    key: str = ""
    part: bytes = field(default=b"", repr=False)

    @property
    def by(self) -> str:
        """The client: its key, and the person that it names: `KEY for anna`, or `for anna` without keys.

        The key is first and holds no space, so no name that is claimed can be taken for a key.
        """
        return f"{self.key} for {self.request.user}".lstrip() if self.request.user else self.key


@dataclass(frozen=True, slots=True)
class Stop:
    """Shut the runtime down."""


@dataclass(frozen=True, slots=True)
class SettingsRead:
    """The settings file was reloaded.

    Attributes:
        alerts: of those cameras that the runtime has; empty where the file cannot be used.
        restart: changed keys that need a restart.
        problem: why the file cannot be used, in one line; empty if it can.
        sections: the whole sections of those cameras.
    """

    alerts: Mapping[str, Alerts]
    restart: tuple[str, ...]
    problem: str = ""
    sections: Mapping[str, Camera] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReloadBundles:
    """Reload all bundles from their paths.

    Attributes:
        why: in a few words.
    """

    why: str
