"""The frozen values that pass between the stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_config.settings.sections import Attachable
from edge_config.wire.messages import Box, Part

Image = NDArray[np.uint8]
"""A picture, uint8 [H, W, 3], channels in BGR order."""

Identity = tuple[int, float]
"""What makes two frames of a camera the same to a bundle: `content_id` of the pixels, and the threshold."""

SceneFault = Literal["frozen", "dark", "blurred", "moved"]
"""State of a camera whose pictures cannot be judged, as they themselves show."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where patches lie: every `stride`-th row and column of a map that covers the input of the graph.

    Attributes:
        map_hw: height and width of the map.
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

    def edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where rows and columns meet, as shares from 0 to 1, like the centres: one more than these."""
        rows, columns = (np.r_[0.0, (at[1:] + at[:-1]) / 2, 1.0] for at in self.centers())
        return rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a camera.

    Attributes:
        image: uint8 [H, W, 3] BGR; None where the source gave a frame that cannot be decoded.
        frame_id: counts the frames that the source gave, from 1.
        t_capture_ns: wall clock after the grab, nanoseconds since 1970 UTC.
        t_mono_ns: monotonic clock at the same moment, nanoseconds.
        t_media_ns: time of the frame within its recording, nanoseconds; None of a camera or stream.
    """

    image: Image | None
    frame_id: int
    t_capture_ns: int
    t_mono_ns: int
    t_media_ns: int | None = None

    @property
    def clock_ns(self) -> int:
        """Clock that states and alerts are timed by: of a recording its own, whatever the load of the machine."""
        return self.t_mono_ns if self.t_media_ns is None else self.t_media_ns


@dataclass(frozen=True, slots=True)
class SharedFrame:
    """One frame of a camera that lies in memory shared with the process that captured it.

    Attributes:
        memory: number of the shared memory; the same number is never used twice by a runtime. 0 where `hw` is None.
        slot: place in it.
        hw: height and width, pixels; None where the source gave a frame that cannot be decoded.
        frame_id, t_capture_ns, t_mono_ns, t_media_ns: as of `Frame`.
        content_id: `frame_id` of the first frame in a row whose pixels are all the same; None where that is not known.
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
        """As of `Frame`."""
        return self.t_mono_ns if self.t_media_ns is None else self.t_media_ns


class Tier(IntEnum):
    """How far the search went for a patch; its distance is never below the true one."""

    KNOWN = 0
    """An entry that was near in a frame before."""
    LISTED = 1
    """The nearest of several such entries."""
    BESIDE = 2
    """The nearest that a short walk found, from that one to the entries beside it in the bank."""
    WALKED = 3
    """What a long walk found."""
    GRAPH = 4
    """What the HNSW graph found."""
    EXACT = 5
    """The nearest entry of the whole bank."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """For each patch its nearest entry of the bank, as far as the search knows.

    Attributes:
        distance: float32 [patches], Euclidean (a root, not the square).
        index: int64 [patches], rows of the bank.
        tier: uint8 [patches], the `Tier` of each.
        active: bool [patches], those that are judged; None: all are. The others are at distance 0, and settled.
    """

    distance: NDArray[np.float32]
    index: NDArray[np.int64]
    tier: NDArray[np.uint8]
    active: NDArray[np.bool_] | None = None

    @property
    def searched(self) -> float:
        """Share of the judged patches that were searched, by a long walk, in the graph or in the bank, 0 to 1."""
        judged = self.tier if self.active is None else self.tier[self.active]
        return float(np.mean(judged >= Tier.WALKED))


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """The anomaly score of one frame.

    Attributes:
        value: at least 0; larger is stranger.
        patch: q*, number of the patch with the largest distance, row by row.
        entry: m*, row of the bank that is nearest to it.
        found: what the search knows of all patches; only the distances that decide need to be exact.
    """

    value: float
    patch: int
    entry: int
    found: Neighbours

    @property
    def distances(self) -> NDArray[np.float32]:
        """Patch distances, float32 [patches], as far as they are known: none is below the true one."""
        return self.found.distance


@dataclass(frozen=True, slots=True)
class Result:
    """What the inference worker knows of one frame.

    Attributes:
        value: the score; None where the picture cannot be judged: `scene` says why.
        patch, entry: as of `Score`.
        peak_xy: pixel (x, y) of the frame under the centre of that patch.
        searched: share of the patches that were searched, as of `Neighbours`, 0 to 1.
        scene: state that the picture shows the camera to be in; None if it can be judged.
        scene_reason: what was seen, in a few words.
        stage_seconds: time of each stage that the frame went through.
        boxes: regions of the frame that are over the threshold, strangest first; all of them where that was wanted,
            otherwise those that are known. Empty if the score is not above it.
        parts: what was made of the frame for an alert, if that was wanted: the bytes of each come beside the result.
        repeated: the frame is identical to the last one that was scored; this is the result of that one.
    """

    value: float | None = None
    patch: int | None = None
    entry: int | None = None
    peak_xy: tuple[int, int] | None = None
    searched: float | None = None
    scene: SceneFault | None = None
    scene_reason: str = ""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    parts: tuple[Part, ...] = ()
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the main loop wants to know of a frame beside its score.

    Attributes:
        threshold: above it a score is anomalous.
        detail_above: with a score above this one, all boxes and parts are wanted: an alert may begin or rise.
        attach: names of the parts.
        jpeg_quality: of the picture among them, 1 to 100.
    """

    threshold: float
    detail_above: float
    attach: frozenset[Attachable] = frozenset()
    jpeg_quality: int = 85


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """A bundle in service.

    Attributes:
        id: sha256 of its manifest in hex.
        path: where it was loaded from.
        threshold: a score above it is anomalous.
        promised_alpha: false-alarm rate that the threshold promises on average over calibrations.
        provider: of ONNX Runtime that computes its graph; empty where that is not known.
        passed_over: those that would have been preferred, a line each that says why they do not serve.
        upper_alpha: rate that this very threshold does not exceed with 95 % confidence; None where that is not known.
        depth: bits that it uses in pictures of 16 bits.
    """

    id: str
    path: str
    threshold: float
    promised_alpha: float
    provider: str = ""
    passed_over: tuple[str, ...] = ()
    upper_alpha: float | None = None
    depth: int = 16


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
    """What the score of a frame means: its label and, where one begins, peaks or ends, an alert."""

    label: Literal["normal", "anomalous", "unknown"]
    alert: Alert | None
