"""Messages between the runtime and its inference worker.

The parent begins with `Begin` (with a descriptor) and one `Load` for each bundle; then come `Attach` (with a
descriptor), `Detach`, `Job`, `Load` again for a reload, `Review`, `LoadBeside` and `DropBeside`, in any order. The
worker answers every `Load` and every `Review` with `Loaded`, every `LoadBeside` with `LoadedBeside`, and every `Job`
with `Done`, those of a camera in the order of its jobs. Where there is a result, `PreviewDone` follows before the next
job if a preview is wanted, and then `ShadowDone` if the candidate is to score the frame. Bytes too long for a message
come along as a parcel, see runtime/process/long_payload.py.
"""

from __future__ import annotations

import math

import msgspec

from edge_config.errors import BundleError, PatchedgeError
from edge_config.settings.providers import AUTO, WantedProviders
from edge_config.settings.sections import CPU, Attachable, Trust
from edge_config.wire.messages import MAX_BOXES, Box, Part
from runtime.frame import BundleInfo, Identity, Result, Wanted
from runtime.view import View

NO_PATCH = "the camera's regions hold no patch of a frame"
"""So begins the reason why a frame is not scored: the settings are wrong, not the camera."""


class ScoringOptions(msgspec.Struct, frozen=True):
    """How the worker scores, for all cameras.

    Attributes:
        threads: of all libraries together; 0 means all cores.
        trust: which signatures are trusted; by default bundles are not checked.
        providers: of ONNX Runtime, in the order in which they are tried.
        affinity: cores that the worker keeps to; empty: all.
        device_key: public key that this device signs learnt bundles with; empty if it has none.
        max_batch: of the settings.
    """

    threads: int = 0
    trust: Trust = msgspec.field(default_factory=Trust)
    providers: WantedProviders = (CPU,)
    affinity: tuple[int, ...] = ()
    device_key: str = ""
    max_batch: int | None = None

    @property
    def loads_slowly(self) -> bool:
        """Whether indices are built on the device, or a provider other than the CPU may compile the graph."""
        providers = self.providers
        return self.trust.rebuild_index or providers == AUTO or any(one.name != CPU.name for one in providers)


class Begin(msgspec.Struct, frozen=True, tag=True):
    """How to score.

    A parcel comes along with one item of `size` bytes: the `View` of each camera, a dictionary in JSON.
    """

    options: ScoringOptions
    size: int


class Attach(msgspec.Struct, frozen=True, tag=True):
    """Frames will be in this shared memory of so many bytes; its descriptor comes along."""

    memory: int
    size: int


class Detach(msgspec.Struct, frozen=True, tag=True):
    """No further job names this memory."""

    memory: int


class Job(msgspec.Struct, frozen=True, tag=True):
    """Score the frame of `hw` pixels in a slot of a memory.

    Details are requested as in `Wanted`; no `detail_above` means infinity, which JSON does not have.
    `t_ns` is the frame's `clock_ns`, and `content_id` as of `SharedFrame`. A `picture` is no frame of the camera, see
    `runtime.frame.PICTURE`.
    """

    number: int
    camera: str
    memory: int
    slot: int
    hw: tuple[int, int]
    t_ns: int
    threshold: float
    detail_above: float | None
    attach: frozenset[Attachable]
    jpeg_quality: int
    content_id: int | None = None
    preview: bool = False
    picture: bool = False
    shadow: bool = False

    @property
    def wanted(self) -> Wanted:
        """What is wanted beside the score."""
        above = math.inf if self.detail_above is None else self.detail_above
        return Wanted(self.threshold, above, self.attach, self.jpeg_quality, self.preview, self.shadow)

    @property
    def identity(self) -> Identity | None:
        """Pixels and threshold: a frame with those of the last one has its result; None where that is not known."""
        return None if self.content_id is None else (self.content_id, self.threshold)


class Load(msgspec.Struct, frozen=True, tag=True):
    """Put the bundle at `path` into service for these cameras; if it is bad, leave what they have.

    Where it was learnt on this device, `root` is the path of the bundle that it must be a child of.
    """

    number: int
    cameras: tuple[str, ...]
    path: str
    root: str = ""


class LoadBeside(msgspec.Struct, frozen=True, tag=True):
    """Load and check the bundle at `path` beside the one in service of a camera, as its candidate."""

    number: int
    camera: str
    path: str


class DropBeside(msgspec.Struct, frozen=True, tag=True):
    """Let go of the candidate of a camera."""

    camera: str


class Review(msgspec.Struct, frozen=True, tag=True):
    """Judge other parts of a camera's frames, from the next one on; if nothing is left of them, leave it as it is.

    A parcel comes along with one item of `size` bytes: the camera's new `View`, in JSON. `frame_hw` is the height and
    width of its frames, if known. With `check_only`, nothing changes in any case.
    """

    number: int
    camera: str
    size: int
    frame_hw: tuple[int, int] | None = None
    check_only: bool = False


LoadOrder = Load | LoadBeside | DropBeside | tuple[Review, View]
"""What the loading thread of the worker does, one after the other."""


class Refusal(msgspec.Struct, frozen=True):
    """An error that crosses from process to process.

    Attributes:
        kind: name of the class in `edge_config.errors`; empty for what no bundle is to blame for.
        what, where, remedy: its parts.
    """

    kind: str
    what: str
    where: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, error: Exception, path: str = "") -> Refusal:
        """Take an error apart that came up while the bundle at `path` was loaded."""
        if isinstance(error, PatchedgeError):
            return cls(type(error).__name__, error.what, error.where, error.remedy)
        return cls("", f"cannot be loaded ({type(error).__name__}: {error})", path)

    def error(self) -> PatchedgeError:
        """Put the error together again."""
        kinds = {kind.__name__: kind for kind in _all_below(PatchedgeError)}
        return kinds.get(self.kind, BundleError)(self.what, where=self.where, remedy=self.remedy)


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """What became of a `Load` or a `Review`: exactly one of the two is given."""

    number: int
    info: BundleInfo | None = None
    refusal: Refusal | None = None


class Done(msgspec.Struct, frozen=True, tag=True):
    """What became of a `Job`: the result, or why there is none.

    Where there are `sizes`, a parcel comes along with the bytes of each part of the result.
    """

    number: int
    result: Result | None = None
    problem: str = ""
    sizes: tuple[int, ...] = ()


class PreviewDone(msgspec.Struct, frozen=True, tag=True):
    """The preview of the frame of a `Job` that is done; a parcel comes along with the bytes of each part.

    Attributes:
        number: of the job.
        boxes, parts: as in `FramePreview`; no parts if there is none.
        sizes: of each part, bytes.
        seconds: time that it took in the worker.
        problem: why there is none.
    """

    number: int
    boxes: tuple[Box, ...] = ()
    parts: tuple[Part, ...] = ()
    sizes: tuple[int, ...] = ()
    seconds: float = 0.0
    problem: str = ""


class LoadedBeside(msgspec.Struct, frozen=True, tag=True):
    """What became of a `LoadBeside`: exactly one of the first two is given.

    Attributes:
        number: of the order.
        info: the candidate.
        refusal: why it cannot serve.
        golden_difference: largest relative difference of a golden score.
        now_ms, candidate_ms: what a frame takes with both bundles, milliseconds.
    """

    number: int
    info: BundleInfo | None = None
    refusal: Refusal | None = None
    golden_difference: float = 0.0
    now_ms: float = 0.0
    candidate_ms: float = 0.0


class ShadowDone(msgspec.Struct, frozen=True, tag=True):
    """The score of the frame of a `Job` that is done, by the candidate.

    Attributes:
        number: of the job.
        value: the score; None if there is none.
        seconds: time that it took in the worker.
        problem: why there is none.
    """

    number: int
    value: float | None = None
    seconds: float = 0.0
    problem: str = ""


ToWorker = Begin | Attach | Detach | Job | Load | Review | LoadBeside | DropBeside
FromWorker = Loaded | Done | PreviewDone | LoadedBeside | ShadowDone


def sizes_of(message: FromWorker) -> tuple[int, ...]:
    """Return the sizes of the parts that come with an answer.

    Raises:
        ValueError: they are not those of its result.
    """
    if isinstance(message, Loaded | LoadedBeside | ShadowDone):
        return ()
    made = message if isinstance(message, PreviewDone) else message.result
    parts, boxes = (made.parts, made.boxes) if made else ((), ())
    if len(parts) != len(message.sizes) or len(boxes) > MAX_BOXES:
        raise ValueError(f"{len(parts)} parts of {len(message.sizes)} sizes, {len(boxes)} boxes")
    return message.sizes


def _all_below(kind: type[PatchedgeError]) -> list[type[PatchedgeError]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in _all_below(below))]
