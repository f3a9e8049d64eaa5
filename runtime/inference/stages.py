"""Bundles in service: the stages that score each camera's frames, shared by cameras with the same bundle."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.files import Bundle
from edge_config.errors import BundleError, SettingsError
from edge_config.settings.sections import CPU, Provider, SearchKind, Trust
from runtime.frame import BundleInfo, Identity, Image, Result, Score, Wanted
from runtime.inference.load import golden_images, prepare, scene_reference
from runtime.inference.protocol import NO_PATCH, View
from runtime.process.threads import limit_threads
from runtime.scene.inspect import CameraFault, Inspect
from runtime.scoring.alert_detail import Detail, detail
from runtime.scoring.regions import Regions, find_blind
from runtime.scoring.scorer import Scorer
from runtime.security.trust import read

_BUFFERS = 2  # of features: one is filled while the other is searched

_TRIES = 3  # to read a bundle that is replaced meanwhile


Buffers = queue.SimpleQueue[NDArray[np.float32]]


@dataclass(slots=True)
class Last:
    """What is known of the last frame that was scored: one that is identical is not scored again.

    Attributes:
        identity: of the last frame that was embedded; only the first half of the stages touches it, but for failures.
        result: of the last frame that was searched and scored; only the second half touches it.
    """

    identity: Identity | None = None
    result: Result | None = None


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
        seconds: what each stage took.
    """

    stages: Stages
    image: Image
    active: NDArray[np.bool_] | None
    fault: CameraFault | None = None
    identity: Identity | None = None
    repeated: bool = False
    features: NDArray[np.float32] | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stages:
    """What the frames of one camera go through, in two halves that may run side by side on two frames.

    Attributes:
        info: the bundle.
        scorer: its `search` is the camera's own; all else is shared by all cameras with this bundle.
        buffers: for features, shared too.
        regions: that are judged, the camera's own.
        inspect: the camera's own.
        last: the last frame; forgotten whenever stages take over.
    """

    info: BundleInfo
    scorer: Scorer
    buffers: Buffers
    regions: Regions
    inspect: Inspect
    last: Last = field(default_factory=Last)

    def take_over(self, before: Stages | None) -> Stages:
        """Return the stages as they go on where others end; between two frames."""
        return replace(self, inspect=self.inspect.after(before.inspect) if before else self.inspect, last=Last())

    def embed(self, image: Image, t_ns: int, identity: Identity | None = None) -> Half | str:
        """Do the first half, on one frame at a time; text says why that cannot be.

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
        half.repeated = identity is not None and identity == self.last.identity
        if half.fault is not None or half.repeated:
            return half
        with _timed(half, "preprocess"):
            tensor = self.scorer.preprocess(image)
        room = self.buffers.get()
        try:
            with _timed(half, "embed"):
                half.features = self.scorer.embed(tensor, room)
        finally:
            if half.features is None:
                self.buffers.put(room)
        self.last.identity = identity
        return half

    def score(self, half: Half, wanted: Wanted) -> tuple[Result, tuple[bytes, ...]]:
        """Do the second half, on one frame at a time, in the order of the first.

        Returns:
            The result, and the bytes of each of its parts.
        """
        if half.fault is not None:
            scene, reason = half.fault.state, half.fault.reason
            return Result(scene=scene, scene_reason=reason, stage_seconds=half.seconds), ()
        before, self.last.result = self.last.result, None
        if half.repeated:
            if before is None:
                self._forget(half)
                raise ValueError("identical to a frame that could not be scored")
            self.last.result = before
            return replace(before, stage_seconds=half.seconds, parts=(), repeated=True), ()
        try:
            self.last.result, attached = self._judge(half, wanted)
        except Exception:
            self._forget(half)
            raise
        return self.last.result, attached

    def _forget(self, half: Half) -> None:
        """Have the next frame scored, though it should be identical to this one."""
        if self.last.identity == half.identity:
            self.last.identity = None

    def _judge(self, half: Half, wanted: Wanted) -> tuple[Result, tuple[bytes, ...]]:
        """Search and score a frame that was embedded."""
        assert half.features is not None  # noqa: S101 - where nothing was found, and it is new, it was embedded
        try:
            with _timed(half, "search"):
                found = self.scorer.search(half.features, half.active)
            with _timed(half, "score"):
                score = self.scorer.score(half.features, found)
            if not math.isfinite(score.value):
                raise ValueError(f"the score is {score.value}")
            share = found.searched
            more = self._detail(half, score, wanted) if score.value > wanted.threshold else Detail()
        finally:
            self.buffers.put(half.features)
        result = Result(
            value=score.value,
            patch=score.patch,
            entry=score.entry,
            peak_xy=self.scorer.preprocess.to_camera(score.patch, self.scorer.grid, half.image.shape[:2]),
            searched=share,
            stage_seconds=half.seconds,
            boxes=more.boxes,
            parts=more.parts,
        )
        return result, more.attached

    def _detail(self, half: Half, score: Score, wanted: Wanted) -> Detail:
        assert half.features is not None  # noqa: S101 - it was scored
        with _timed(half, "detail"):
            return detail(self.scorer, half.features, score, half.image, wanted, wanted.jpeg_quality)


class Service:
    """Loads bundles for cameras; each bundle once, for as long as any camera has it."""

    def __init__(
        self,
        threads: int,
        search: SearchKind,
        inspection: Callable[[Bundle], Inspect],
        views: Mapping[str, View] | None = None,
        trust: Trust | None = None,
        providers: Sequence[Provider] = (CPU,),
    ) -> None:
        """Serve nothing yet.

        Args:
            threads: of all libraries together; 0 means all cores.
            search: how far patches are searched.
            inspection: makes the inspection of a camera with a bundle, as `learnt_inspection` does.
            views: camera -> how its frames are looked at; by default all of them.
            trust: whose bundles are served; by default everybody's.
            providers: of ONNX Runtime, in the order in which they are tried.
        """
        self._providers = providers
        self._threads = limit_threads(threads, blas=1)
        self._search = search
        self._inspection = inspection
        self._views = views or {}
        self._trust = trust or Trust()
        self._serving: dict[str, Stages] = {}

    def load(self, cameras: Iterable[str], path: str) -> tuple[BundleInfo, dict[str, Stages]]:
        """Load and check a bundle, beside those in service, and give the stages of these cameras on it.

        A camera that has the very bundle already keeps what its stages remember.

        Raises:
            BundleError: a subclass for each thing that can be wrong with it; nothing has changed then.
            SettingsError: with it a region of a camera has no patch in it.
        """
        bundle, scorer, shared = self._read(path)
        calibration = bundle.manifest.calibration
        served_by = scorer.provider, scorer.passed_over
        promised = calibration.threshold, calibration.promised_alpha
        depth = bundle.manifest.preprocessing.depth
        info = BundleInfo(bundle.id, path, *promised, *served_by, upper_alpha=calibration.upper_alpha, depth=depth)
        buffers = shared.buffers if shared else _make_buffers(bundle)
        self._check_views(cameras := list(cameras), bundle, scorer)
        stages = {
            camera: self._serving[camera]
            if camera in self._serving and self._serving[camera].info.id == bundle.id
            else self._stages(camera, info, scorer, buffers, self._inspection(bundle))
            for camera in cameras
        }
        self._serving.update(stages)
        return info, stages

    def _check_views(self, cameras: Iterable[str], bundle: Bundle, scorer: Scorer) -> None:
        """Refuse regions in which nothing is seen, by the size of the pictures that were learnt from."""
        views = {
            camera: view for camera in cameras if (view := self._views.get(camera)) and (view.regions or view.ignore)
        }
        if not views:
            return
        frame_hw = golden_images(bundle, scorer.grid)[0].shape[:2]
        blind = [
            one
            for name, view in views.items()
            for one in find_blind(name, view, scorer.preprocess, scorer.grid, frame_hw)
        ]
        if blind:
            raise SettingsError("; ".join(one.what for one in blind), remedy=blind[0].remedy)

    def _stages(self, camera: str, info: BundleInfo, scorer: Scorer, buffers: Buffers, inspect: Inspect) -> Stages:
        view = self._views.get(camera) or View()
        regions = Regions(view.regions, view.ignore, scorer.preprocess, scorer.grid)
        return Stages(info, scorer.another(), buffers, regions, inspect)

    def _read(self, path: str) -> tuple[Bundle, Scorer, Stages | None]:
        """Read a bundle as a whole, and none half of which was replaced meanwhile.

        Returns:
            The bundle, its scorer, and the stages of a camera that has it already.
        """
        for _ in range(_TRIES):
            directory = _identity(path)
            try:
                bundle = read(path, self._trust)
                shared = next((stages for stages in self._serving.values() if stages.info.id == bundle.id), None)
                scorer = shared.scorer if shared else self._prepare(bundle)
            except Exception:
                if _identity(path) == directory:
                    raise
            else:
                if _identity(path) == directory:
                    return bundle, scorer, shared
        raise BundleError("is replaced faster than it can be read", where=path)

    def _prepare(self, bundle: Bundle) -> Scorer:
        return prepare(
            bundle,
            self._threads,
            self._search,
            rebuild_index=self._trust.rebuild_index,
            providers=self._providers,
        )


def learnt_inspection(bundle: Bundle) -> Inspect:
    """Return a new inspection of a camera's frames, with the limits that a bundle learnt."""
    return Inspect(bundle.manifest.scene, scene_reference(bundle))


def _make_buffers(bundle: Bundle) -> Buffers:
    features = bundle.manifest.features
    buffers: Buffers = queue.SimpleQueue()
    for _ in range(_BUFFERS):
        buffers.put(np.empty((features.grid_hw[0] * features.grid_hw[1], features.dimension), dtype=np.float32))
    return buffers


def _identity(path: str) -> tuple[int, int] | None:
    """Tell which directory lies at a path: while it is the same, no file of it comes from another bundle."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None  # to read it will say why
    return found.st_dev, found.st_ino


@contextmanager
def _timed(half: Half, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    half.seconds[stage] = time.perf_counter() - start
