"""The frozen values that pass between the stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Attachable
from edge_config.wire.messages import Box, Part
from runtime.measures import Measures, Normal

Image = NDArray[np.uint8]
"""A picture, uint8 [H, W, 3], channels in BGR order."""

Identity = tuple[int, float]
"""Two frames of a camera with the same identity have the same result: `content_id` of the pixels, and threshold."""

RegionsOf = Literal["", "bundle", "settings"]
"""Whose regions limit what is judged of a camera's frames; empty: nobody's, all is judged."""

SceneFault = Literal["frozen", "dark", "blurred", "moved"]
"""State of a camera whose pictures cannot be judged, found in the pictures."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of patches: every `stride`-th row and column of a map that covers the input of the graph.

    Attributes:
        map_hw: height and width of the map, positions.
        stride: s.
    """

    map_hw: tuple[int, int]
    stride: int = 1

    @property
    def hw(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return -(-self.map_hw[0] // self.stride), -(-self.map_hw[1] // self.stride)

    def centers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the centres of rows and of columns, as shares of the height and the width of the input."""
        rows, columns = ((np.arange(0, cells, self.stride) + 0.5) / cells for cells in self.map_hw)
        return rows, columns

    def center(self, patch: int) -> tuple[float, float]:
        """Return the centre of one patch, numbered row by row, as `centers` does those of all."""
        row, column = divmod(patch, self.hw[1])
        return (row * self.stride + 0.5) / self.map_hw[0], (column * self.stride + 0.5) / self.map_hw[1]

    def edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the edges of rows and of columns, from 0 to 1 like the centres: one more than these."""
        rows, columns = (np.r_[0.0, (at[1:] + at[:-1]) / 2, 1.0] for at in self.centers())
        return rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a camera.

    Attributes:
        image: uint8 [H, W, 3] BGR; None if the frame cannot be decoded.
        frame_id: number of the frame at its source, from 1.
        t_capture_ns: wall clock at capture, nanoseconds since 1970 UTC.
        t_mono_ns: monotonic clock at capture, nanoseconds.
        t_media_ns: time of the frame within its recording, nanoseconds; None for a camera or stream.
    """

    image: Image | None
    frame_id: int
    t_capture_ns: int
    t_mono_ns: int
    t_media_ns: int | None = None

    @property
    def clock_ns(self) -> int:
        """Clock for states and alerts, nanoseconds: a recording has its own, independent of the machine's load."""
        return self.t_mono_ns if self.t_media_ns is None else self.t_media_ns


PICTURE = 0
"""`frame_id` of what is no frame of its camera, but a picture that somebody wants judged by its bundle: nothing is
remembered of it."""


@dataclass(frozen=True, slots=True)
class SharedFrame:
    """One frame of a camera, in memory shared with its capture process.

    Attributes:
        memory: number of the shared memory, never used twice by a runtime; 0 if `hw` is None.
        slot: slot in it.
        hw: height and width, pixels; None if the frame cannot be decoded.
        frame_id, t_capture_ns, t_mono_ns, t_media_ns: as in `Frame`.
        content_id: `frame_id` of the first frame of a run of identical frames; None if unknown.
    """

    memory: int
    slot: int
    hw: tuple[int, int] | None
    frame_id: int
    t_capture_ns: int
    t_mono_ns: int
    t_media_ns: int | None = None
    content_id: int | None = None

    @property
    def clock_ns(self) -> int:
        """As in `Frame`."""
        return self.t_mono_ns if self.t_media_ns is None else self.t_media_ns


class Tier(IntEnum):
    """How far the search went for a patch; its distance is never below the true one."""

    KNOWN = 0
    """An entry that was near in an earlier frame."""
    LISTED = 1
    """The nearest of several such entries."""
    NEAR = 2
    """The nearest of the entries that the tables of the bank show to be near."""
    GRAPH = 3
    """The nearest entry that the HNSW graph found."""
    EXACT = 4
    """The nearest entry of the whole bank."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """For each patch its nearest entry of the bank, as far as the search knows.

    Attributes:
        distance: float32 [patches], Euclidean (a root, not the square), divided by what the measure of the bank says.
        index: int64 [patches], rows of the bank.
        tier: uint8 [patches], the `Tier` of each.
        active: bool [patches], whether a patch is judged; None: all are. The others have distance 0 and are final.
    """

    distance: NDArray[np.float32]
    index: NDArray[np.int64]
    tier: NDArray[np.uint8]
    active: NDArray[np.bool_] | None = None

    @property
    def searched(self) -> float:
        """Share of the judged patches that were searched by the tables, the graph or the whole bank, 0 to 1."""
        judged = self.tier if self.active is None else self.tier[self.active]
        searched = int(np.count_nonzero(judged >= int(Tier.NEAR)))  # as a float of numpy cannot be sent
        return searched / len(judged) if len(judged) else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """The anomaly score of one frame.

    Attributes:
        value: at least 0; larger is stranger.
        patch: q*, number of the patch with the largest distance, row by row.
        entry: m*, row of the bank that is nearest to it.
        found: nearest entries of all patches; only the distances that decide need to be exact.
    """

    value: float
    patch: int
    entry: int
    found: Neighbours

    @property
    def distances(self) -> NDArray[np.float32]:
        """Patch distances, float32 [patches], upper bounds of the true ones."""
        return self.found.distance


@dataclass(frozen=True, slots=True)
class Result:
    """The result of the inference worker for one frame.

    Attributes:
        value: the score; None if the picture cannot be judged: `scene` says why.
        patch, entry: as in `Score`.
        peak_xy: pixel (x, y) of the frame under the centre of that patch.
        p_value: of the score among those of the held-out normal pictures; None if unknown.
        searched: share of the patches that were searched, as in `Neighbours`, 0 to 1.
        scene: state of the camera that the picture shows; None if it can be judged.
        scene_reason: evidence for it, in a few words.
        stage_seconds: time of each stage of the frame.
        boxes: regions of the frame over the threshold, largest distance first; all if details were requested, otherwise
            the known ones. Empty if the score is not above it.
        parts: attachments for an alert, if requested; their bytes are sent beside the result.
        repeated: the frame is identical to the last scored one, and this is the result of that one.
        unlearnt: number of judged patches that are outside of the regions of the bundle: nothing was learnt there.
        measures: of the picture as a whole, or of one shortly before; None if unknown.
    """

    value: float | None = None
    patch: int | None = None
    entry: int | None = None
    peak_xy: tuple[int, int] | None = None
    p_value: float | None = None
    searched: float | None = None
    scene: SceneFault | None = None
    scene_reason: str = ""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    parts: tuple[Part, ...] = ()
    repeated: bool = False
    unlearnt: int = 0
    measures: Measures | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the main loop requests of a frame beside its score.

    Attributes:
        threshold: scores above it are anomalous.
        detail_above: score above which all boxes and parts are requested, as an alert may begin or peak.
        attach: names of the parts.
        jpeg_quality: JPEG quality of the picture among them, 1 to 100.
        preview: a preview of it is requested too, after its result.
        shadow: a score by the candidate of the camera is requested too, after its result.
    """

    threshold: float
    detail_above: float
    attach: frozenset[Attachable] = frozenset()
    jpeg_quality: int = 85
    preview: bool = False
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """A bundle in service.

    Attributes:
        id: sha256 of its manifest in hex.
        path: path that it was loaded from.
        threshold: scores above it are anomalous.
        promised_alpha: guaranteed false-alarm rate of the threshold, on average over calibrations.
        provider: execution provider of ONNX Runtime that computes its graph; empty if unknown.
        passed_over: preferred providers that are not used, a line each with the reason.
        median: median score of the held-out normal pictures; None if unknown.
        upper_alpha: false-alarm rate that this threshold does not exceed with 95 % confidence; None if unknown.
        depth: bits in use in 16-bit pictures.
        min_ms: time that an alert must last, milliseconds; None if the bundle does not say.
        regions_of: for each of its cameras where its regions are from; empty without any.
        normal: what it knows of normal pictures, to notice drift; None if it cannot be noticed.
        batch: number of cameras whose frames one run of its graph may take.
    """

    id: str
    path: str
    threshold: float
    promised_alpha: float
    provider: str = ""
    passed_over: tuple[str, ...] = ()
    upper_alpha: float | None = None
    median: float | None = None
    depth: int = 16
    min_ms: int | None = None
    regions_of: dict[str, RegionsOf] = field(default_factory=dict)
    normal: Normal | None = None
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert in one of its phases.

    Attributes:
        alert_id: uuid.
        phase: start, update (of the peak) or end.
        t_start_ns: wall clock of its first frame, nanoseconds since 1970 UTC.
        peak_score, peak_frame_id, peak_frame_xy, boxes: of the frame with the highest score so far.
        reason: why it ended; empty before.
    """

    alert_id: str
    phase: Literal["start", "update", "end"]
    t_start_ns: int
    peak_score: float
    peak_frame_id: int
    peak_frame_xy: tuple[int, int] | None = None
    boxes: tuple[Box, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a frame: its label and, if one begins, peaks or ends, an alert."""

    label: Literal["normal", "anomalous", "unknown"]
    alert: Alert | None
