"""Load bundles in the inference worker: each once, for all cameras that have it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from edge_config.bundle.files import Bundle
from edge_config.errors import BundleError, SettingsError
from edge_config.saving import directory_identity
from edge_config.settings.problems import Problem
from runtime.frame import BundleInfo, RegionsOf
from runtime.inference.frame_time import frame_ms_of_both
from runtime.inference.load import golden_images, prepare, scene_reference
from runtime.inference.protocol import NO_PATCH, ScoringOptions
from runtime.inference.providers.shared import SharedSessions
from runtime.inference.stages import Buffers, Stages
from runtime.measures import Normal
from runtime.process.threads import limit_threads
from runtime.scene.inspect import Inspect
from runtime.scoring.regions import Regions, find_blind
from runtime.scoring.scorer import Scorer
from runtime.security.children import read_child
from runtime.security.trust import read
from runtime.view import View

_BUFFERS = 2  # of features, for each frame of a batch: one is filled while the other is searched

_TRIES = 3  # to read a bundle that is replaced meanwhile


def learnt_inspection(bundle: Bundle) -> Inspect:
    """Return a new inspection of a camera's frames, with the limits that a bundle learnt."""
    return Inspect(bundle.manifest.scene, scene_reference(bundle))


class BundleLoader:
    """Loads bundles for cameras; each bundle once, for as long as any camera has it."""

    def __init__(
        self,
        options: ScoringOptions,
        views: Mapping[str, View] | None = None,
        inspection: Callable[[Bundle], Inspect] = learnt_inspection,
    ) -> None:
        """Load nothing yet.

        Args:
            options: how to score.
            views: camera -> which regions of its frames are scored; by default those of the bundle.
            inspection: makes the inspection of a camera with a bundle.
        """
        self._options = options
        self._threads = limit_threads(options.threads, blas=1)
        self._views = dict(views or {})
        self._inspection = inspection
        self._in_service: dict[str, Stages] = {}
        self._beside: dict[str, Stages] = {}  # candidates
        self._differences: dict[str, float] = {}  # id of a bundle -> largest one of a golden score
        self._sessions = SharedSessions()
        self._learnt_hw: dict[str, tuple[int, int]] = {}  # id of a bundle -> size of the pictures that were learnt from

    def load(self, cameras: Iterable[str], path: str, root: str = "") -> tuple[BundleInfo, dict[str, Stages]]:
        """Load and check a bundle, beside those in service, and return the stages of these cameras with it.

        A camera that has the very bundle already keeps what its stages remember.

        Args:
            cameras: that it is for.
            path: of the bundle.
            root: path of the bundle that it must be a child of, if it was learnt on this device; else empty.

        Raises:
            BundleError: a subclass for each thing that can be wrong with it; nothing has changed then.
            SettingsError: with it a region of a camera has no patch in it.
        """
        bundle, scorer = self._read(path, root)
        cameras = list(cameras)
        info, hw, stages = self._make_stages(cameras, path, bundle, scorer)
        self._in_service.update(stages)
        used = {one.info.id for one in self._in_service.values()}
        self._learnt_hw = {bundle.id: hw} | {
            one: size for one, size in self._learnt_hw.items() if one in used - {bundle.id}
        }
        self._forget()
        return info, stages

    def load_beside(self, camera: str, path: str) -> tuple[Stages, float, float, float]:
        """Load and check a bundle as the candidate of a camera; it replaces another candidate.

        Returns:
            Its stages, the largest relative difference of a golden score, and what a frame takes with the bundle in
            service and with the candidate, milliseconds.

        Raises:
            BundleError: as `load` does.
            SettingsError: as `load` does.
        """
        self.drop_beside(camera)
        bundle, scorer = self._read(path, "")
        _, _, stages = self._make_stages([camera], path, bundle, scorer, new=True)
        self._beside[camera] = stages[camera]
        now = self._in_service.get(camera)
        times = frame_ms_of_both(bundle, now.scorer if now else None, scorer)
        return stages[camera], self._differences.get(bundle.id, 0.0), *times

    def drop_beside(self, camera: str) -> None:
        """Let go of the candidate of a camera, if there is one."""
        self._beside.pop(camera, None)
        self._forget()

    def _forget(self) -> None:
        """Forget what is known of bundles that no camera has."""
        used = {one.info.id for one in (*self._in_service.values(), *self._beside.values())}
        self._differences = {one: by for one, by in self._differences.items() if one in used}

    def _make_stages(
        self, cameras: list[str], path: str, bundle: Bundle, scorer: Scorer, *, new: bool = False
    ) -> tuple[BundleInfo, tuple[int, int], dict[str, Stages]]:
        """Return the bundle, the size of the pictures that were learnt from, and the stages of some cameras.

        A camera that has the very bundle already keeps its stages, unless new ones are wanted.
        """
        calibration = bundle.manifest.calibration
        served_by = scorer.provider, scorer.passed_over
        promised = calibration.threshold, calibration.promised_alpha
        info = BundleInfo(
            bundle.id,
            path,
            *promised,
            *served_by,
            upper_alpha=calibration.upper_alpha,
            median=calibration.median,
            depth=bundle.manifest.preprocessing.depth,
            min_ms=least.min_ms if (least := bundle.manifest.alerts_promise) else None,
            regions_of={
                camera: self._regions_of(camera, has_own=bundle.manifest.regions_hw is not None) for camera in cameras
            },
            normal=Normal(calibration.n, bundle.manifest.scene.usual) if calibration.scores else None,
            batch=scorer.goes_with[1],
        )
        buffers = self._buffers(bundle, scorer, new=new)
        height, width = golden_images(bundle, scorer.grid)[0].shape[:2]
        self._check_views(cameras, (height, width), scorer)
        stages = {
            camera: self._in_service[camera]
            if not new and camera in self._in_service and self._in_service[camera].info.id == bundle.id
            else self._stages(camera, bundle, info, scorer, buffers)
            for camera in cameras
        }
        return info, (height, width), stages

    def review(
        self, camera: str, view: View, frame_hw: tuple[int, int] | None, *, check_only: bool
    ) -> tuple[BundleInfo, dict[str, Stages]]:
        """Return the stages of a camera with another view, beside those in service; its bundle stays.

        Args:
            camera: name of the camera.
            view: the new one.
            frame_hw: height and width of its frames, pixels; None: those of the pictures that were learnt from.
            check_only: leave the view as it is.

        Raises:
            BundleError: the camera has no bundle in service.
            SettingsError: a region has no patch in it, or nothing is left to be judged; nothing has changed then.
        """
        if (stages := self._in_service.get(camera)) is None:
            raise BundleError("has no bundle in service", where=f"cameras.{camera}")
        scorer, hw = stages.scorer, frame_hw or self._learnt_hw[stages.info.id]
        _refuse_blind(find_blind(("cameras", camera), view, scorer.preprocess, scorer.grid, hw))
        where = scorer.preprocess, scorer.grid
        regions = Regions(view.regions, view.ignore, *where, learnt=scorer.judged if view.own else None)
        judged = regions.active(hw)
        if frame_hw is not None and judged is not None and not judged.any():
            remedy = "correct its `regions` and `ignore`"
            size = f"{frame_hw[1]} x {frame_hw[0]}"
            raise SettingsError(f"{NO_PATCH} of {size} pixels", where=f"cameras.{camera}", remedy=remedy)
        if check_only:
            return stages.info, {}
        self._views[camera] = view
        now = self._regions_of(camera, has_own=scorer.judged is not None)
        info = replace(stages.info, regions_of={**stages.info.regions_of, camera: now})
        reviewed = replace(stages, info=info, regions=regions)  # what its search remembers is true for any patch
        self._in_service[camera] = reviewed
        if (beside := self._beside.get(camera)) is not None:
            learnt = beside.scorer.judged if view.own else None
            where = beside.scorer.preprocess, beside.scorer.grid
            self._beside[camera] = replace(beside, regions=Regions(view.regions, view.ignore, *where, learnt=learnt))
        return info, {camera: reviewed}

    def beside(self, camera: str) -> Stages | None:
        """Return the candidate of a camera; None if there is none."""
        return self._beside.get(camera)

    def _check_views(self, cameras: Iterable[str], frame_hw: tuple[int, int], scorer: Scorer) -> None:
        """Refuse regions in which nothing is seen, by the size of the pictures that were learnt from."""
        views = {
            camera: view for camera in cameras if (view := self._views.get(camera)) and (view.regions or view.ignore)
        }
        _refuse_blind(
            one
            for name, view in views.items()
            for one in find_blind(("cameras", name), view, scorer.preprocess, scorer.grid, frame_hw)
        )

    def _stages(self, camera: str, bundle: Bundle, info: BundleInfo, scorer: Scorer, buffers: Buffers) -> Stages:
        view = self._view(camera)
        where = scorer.preprocess, scorer.grid
        regions = Regions(view.regions, view.ignore, *where, learnt=scorer.judged if view.own else None)
        inspect, calibration = self._inspection(bundle), bundle.manifest.calibration
        return Stages(info, scorer.another(), buffers, regions, inspect, calibration)

    def _buffers(self, bundle: Bundle, scorer: Scorer, *, new: bool) -> Buffers:
        """Return memory for features: that of the cameras in service whose bundles have the same network.

        A candidate has its own: it comes second, and would wait for memory that frames behind it hold.
        """
        features, (session, batch) = bundle.manifest.features, scorer.goes_with
        shape = features.grid_hw[0] * features.grid_hw[1], features.dimension
        for one in () if new or session is None else self._in_service.values():
            if one.scorer.goes_with[0] is session and one.scorer.grid.hw == features.grid_hw:
                return one.buffers
        buffers: Buffers = queue.SimpleQueue()
        for _ in range(_BUFFERS * batch):
            buffers.put(np.empty(shape, dtype=np.float32))
        return buffers

    def _view(self, camera: str) -> View:
        return self._views.get(camera) or View(own=False)

    def _regions_of(self, camera: str, *, has_own: bool) -> RegionsOf:
        """Return whose regions the camera has; `has_own`: its bundle has some."""
        view = self._view(camera)
        if view.own:
            return "settings" if view.regions or view.ignore or has_own else ""
        return "bundle" if has_own else ""

    def _read(self, path: str, root: str) -> tuple[Bundle, Scorer]:
        """Read a bundle as a whole, again where it was replaced meanwhile; if a camera has it already, its scorer."""
        for _ in range(_TRIES):
            directory = directory_identity(path)
            try:
                bundle = self._read_trusted(path, root)
                loaded = (*self._in_service.values(), *self._beside.values())
                there = next((stages.scorer for stages in loaded if stages.info.id == bundle.id), None)
                scorer = there or self._prepare(bundle)
            except Exception:
                if directory_identity(path) == directory:
                    raise
            else:
                if directory_identity(path) == directory:
                    return bundle, scorer
        raise BundleError("is replaced faster than it can be read", where=path)

    def _read_trusted(self, path: str, root: str) -> Bundle:
        trust = self._options.trust
        return read_child(path, root, trust, self._options.device_key) if root else read(path, trust)

    def _prepare(self, bundle: Bundle) -> Scorer:
        options = self._options
        build = options.trust.rebuild_index
        shared, limit = self._sessions, options.max_batch
        scorer, checked = prepare(
            bundle, self._threads, rebuild_index=build, providers=options.providers, sessions=shared, max_batch=limit
        )
        self._differences[bundle.id] = checked.scores
        return scorer


def _refuse_blind(problems: Iterable[Problem]) -> None:
    if blind := list(problems):
        raise SettingsError("; ".join(one.what for one in blind), remedy=blind[0].remedy)
