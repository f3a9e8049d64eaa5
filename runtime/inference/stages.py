"""The stages that a frame goes through in the inference worker: inspect, preprocess, embed, search, score."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Calibration
from runtime.frame import BundleInfo, Identity, Image, Result, Score, Wanted
from runtime.inference.protocol import NO_PATCH
from runtime.measures import Measures
from runtime.scene.inspect import CameraFault, Inspect
from runtime.scoring.alert_detail import Detail, boxes, detail
from runtime.scoring.embed import GraphRun
from runtime.scoring.preview import FramePreview, find_over, make_preview, percent_map, reduce
from runtime.scoring.regions import Regions
from runtime.scoring.scorer import Scorer

Buffers = queue.SimpleQueue[NDArray[np.float32]]
"""Arrays for features, float32 [patches, D], that no frame needs now."""


@dataclass(slots=True)
class Last:
    """What is known of the last frame that was scored: one that is identical is not scored again.

    Attributes:
        identity: of the last frame that was embedded; only the first half of the stages touches it, but for failures.
        result: of the last frame that was searched and scored; only the second half touches it, as of the next one.
        seen: its score.
    """

    identity: Identity | None = None
    result: Result | None = None
    seen: Score | None = None


@dataclass(slots=True)
class Half:
    """A frame between its two halves: it is inspected and embedded, and not yet searched and scored.

    Attributes:
        stages: that it goes through.
        image: the frame itself.
        active: patches that are judged, bool [patches]; None: all are.
        finding: why it cannot be judged.
        identity: of the frame, where it is known.
        repeated: it is identical to the last frame that was embedded, and has its result.
        features: of all patches, where it can be judged and is not repeated.
        measures: as of `Result`.
        seconds: what each stage took; of a run of the graph for several frames its share.
        small: the frame as its preview shows it; None where none is wanted, or possible any more.
        whole: a copy of the frame for the candidate; None where none is wanted, or the frame was not judged.
        seen, preview_s: its score, for the preview, and what that took.
    """

    stages: Stages
    image: Image
    active: NDArray[np.bool_] | None
    fault: CameraFault | None = None
    identity: Identity | None = None
    repeated: bool = False
    features: NDArray[np.float32] | None = None
    measures: Measures | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    small: Image | None = None
    whole: Image | None = None
    seen: Score | None = None
    preview_s: float = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is to be embedded: it can be judged, and is new."""
        return self.fault is None and not self.repeated


@dataclass(frozen=True, slots=True)
class Stages:
    """What the frames of one camera go through, in two halves that may run side by side on two frames.

    Attributes:
        info: the bundle.
        scorer: its `search` is the camera's own; all else is shared by all cameras with this bundle.
        buffers: for features, shared too.
        regions: that are judged, the camera's own.
        inspect: the camera's own.
        calibration: of the bundle, for p-values.
        last: the last frame; forgotten whenever stages take over.
    """

    info: BundleInfo
    scorer: Scorer
    buffers: Buffers
    regions: Regions
    inspect: Inspect
    calibration: Calibration
    last: Last = field(default_factory=Last)

    def take_over(self, before: Stages | None) -> Stages:
        """Return the stages as they go on where others end; between two frames."""
        return replace(self, inspect=self.inspect.after(before.inspect) if before else self.inspect, last=Last())

    def embed(self, image: Image, t_ns: int, identity: Identity | None = None) -> Half | str:
        """Do the first half, on one frame at a time, with the arguments of `look`; text says why that cannot be."""
        half = self.look(image, t_ns, identity)
        if not isinstance(half, str) and half.is_due:
            self.embedded(half, partial(self.scorer.embed, self.preprocessed(half)))
        return half

    def look(self, image: Image, t_ns: int, identity: Identity | None = None) -> Half | str:
        """Inspect a frame, on one at a time; text says why that cannot be.

        Args:
            image: uint8 [H, W, 3] BGR.
            t_ns: the frame's clock, see `Frame.clock_ns`.
            identity: of the frame; None: it is scored whatever it shows.
        """
        active = self.regions.active((image.shape[0], image.shape[1]))
        if active is not None and not active.any():
            return f"{NO_PATCH} of {image.shape[1]} x {image.shape[0]} pixels"
        half = Half(self, image, active, identity=identity)
        with _timed(half, "inspect"):
            half.fault = self.inspect(image, t_ns)
        half.measures = self.inspect.seen
        half.repeated = identity is not None and identity == self.last.identity
        return half

    def preprocessed(self, half: Half) -> NDArray[np.uint8]:
        """Return the graph's input for a frame that was looked at."""
        with _timed(half, "preprocess"):
            return self.scorer.preprocess(half.image)

    def embedded(self, half: Half, run: GraphRun) -> Half:
        """Embed a frame that was looked at."""
        self._embed(half, run)
        self.last.identity = half.identity
        return half

    def embed_picture(self, image: Image) -> Half | str:
        """Do the first half on a picture that is no frame of the camera: nothing is remembered of it."""
        active = copy(self.regions).active((image.shape[0], image.shape[1]))
        if active is not None and not active.any():
            return f"{NO_PATCH} of {image.shape[1]} x {image.shape[0]} pixels"
        half = Half(self, image, active)
        return self._embed(half, partial(self.scorer.embed, self.preprocessed(half)))

    def score(self, half: Half, wanted: Wanted) -> tuple[Result, tuple[bytes, ...]]:
        """Do the second half, on one frame at a time, in the order of the first.

        Where a preview is wanted, call `preview` next.

        Returns:
            The result, and the bytes of each of its parts.
        """
        if wanted.preview:
            start = time.perf_counter()
            half.small = reduce(half.image)  # now, as the memory of the frame is another's once its result is told
            half.preview_s = time.perf_counter() - start
        if wanted.shadow and half.features is not None:
            half.whole = half.image.copy()  # as above
        try:
            return self._score(half, wanted)
        except Exception:
            half.small = None
            raise
        finally:
            if half.small is None:
                self._free(half)

    def preview(self, half: Half, threshold: float) -> FramePreview:
        """Make the preview of a frame that was just scored, and has a `small`."""
        assert half.small is not None  # noqa: S101 - it was wanted
        start = time.perf_counter()
        try:
            return make_preview(self.scorer, half.features, half.seen, half.small, half.image.shape[:2], threshold)
        finally:
            self._free(half)
            half.preview_s += time.perf_counter() - start

    def score_picture(self, half: Half, wanted: Wanted) -> tuple[Result, tuple[bytes, ...]]:
        """Do the second half on such a picture: score, boxes, and a heat map as in previews."""
        assert half.features is not None  # noqa: S101 - it was embedded
        scorer, frame_hw = replace(self.scorer, search=self.scorer.whole), half.image.shape[:2]
        try:
            score = scorer.score(half.features, scorer.search(half.features, half.active))
            if not math.isfinite(score.value):
                raise ValueError(f"the score is {score.value}")
            over = find_over(scorer, half.features, score, wanted.threshold)
        finally:
            self._free(half)
        part, data = percent_map(scorer, score, over, frame_hw, wanted.threshold)
        result = Result(
            value=score.value,
            patch=score.patch,
            entry=score.entry,
            peak_xy=scorer.preprocess.to_camera(score.patch, scorer.grid, frame_hw),
            p_value=self.calibration.p_value(score.value),
            boxes=boxes(scorer, score.distances, over, frame_hw),
            parts=(part,),
        )
        return result, (data,)

    def score_beside(self, image: Image) -> float | str:
        """Return the score of a frame by a candidate, which remembers nothing of it; text says why that cannot be."""
        half = self.embed_picture(image)
        if isinstance(half, str):
            return half
        assert half.features is not None  # noqa: S101 - it was embedded
        try:
            return self.scorer.score(half.features, self.scorer.search(half.features, half.active)).value
        finally:
            self._free(half)

    def _embed(self, half: Half, run: GraphRun) -> Half:
        """Compute the features of a frame, in memory that nobody needs now."""
        room = self.buffers.get()
        try:
            with _timed(half, "embed"):
                half.features = run(room)
        finally:
            if half.features is None:
                self.buffers.put(room)
        return half

    def _score(self, half: Half, wanted: Wanted) -> tuple[Result, tuple[bytes, ...]]:
        if half.fault is not None:
            scene, reason = half.fault.state, half.fault.reason
            return Result(scene=scene, scene_reason=reason, stage_seconds=half.seconds), ()
        before, self.last.result = self.last.result, None
        if half.repeated:
            if before is None:
                self._forget(half)
                raise ValueError("identical to a frame that could not be scored")
            self.last.result, half.seen = before, self.last.seen
            return replace(before, stage_seconds=half.seconds, parts=(), repeated=True), ()
        try:
            self.last.result, attached = self._judge(half, wanted)
        except Exception:
            self._forget(half)
            raise
        return self.last.result, attached

    def _free(self, half: Half) -> None:
        """Let another frame have the memory of the features."""
        if half.features is not None:
            self.buffers.put(half.features)
            half.features = None

    def _forget(self, half: Half) -> None:
        """Score the next frame, though it should be identical to this one."""
        if self.last.identity == half.identity:
            self.last.identity = None

    def _judge(self, half: Half, wanted: Wanted) -> tuple[Result, tuple[bytes, ...]]:
        """Search and score a frame that was embedded."""
        assert half.features is not None  # noqa: S101 - where nothing was found, and it is new, it was embedded
        with _timed(half, "search"):
            found = self.scorer.search(half.features, half.active)
        with _timed(half, "score"):
            score = self.scorer.score(half.features, found)
        if not math.isfinite(score.value):
            raise ValueError(f"the score is {score.value}")
        share = found.searched
        more = self._detail(half, score, wanted) if score.value > wanted.threshold else Detail()
        self.last.seen = half.seen = score
        result = Result(
            value=score.value,
            patch=score.patch,
            entry=score.entry,
            peak_xy=self.scorer.preprocess.to_camera(score.patch, self.scorer.grid, half.image.shape[:2]),
            p_value=self.calibration.p_value(score.value),
            searched=share,
            stage_seconds=half.seconds,
            boxes=more.boxes,
            parts=more.parts,
            unlearnt=self.regions.unlearnt,
            measures=half.measures,
        )
        return result, more.attached

    def _detail(self, half: Half, score: Score, wanted: Wanted) -> Detail:
        assert half.features is not None  # noqa: S101 - it was scored
        with _timed(half, "detail"):
            return detail(self.scorer, half.features, score, half.image, wanted, wanted.jpeg_quality)


@contextmanager
def _timed(half: Half, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    half.seconds[stage] = half.seconds.get(stage, 0.0) + time.perf_counter() - start
