"""Regions of interest: a patch is judged if its centre is in a region and in no ignored area."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import Manifest
from edge_config.polygons import Polygon
from edge_config.settings.problems import KeyPath, Problem, dotted
from runtime.frame import Grid
from runtime.scoring.preprocess import Preprocess
from runtime.view import View


class Regions:
    """The judged patches of one camera's frames, computed once for each frame size.

    Attributes:
        unlearnt: number of those that are judged in the last frame, though they were left out by fit.
    """

    def __init__(
        self,
        regions: Sequence[Polygon],
        ignore: Sequence[Polygon],
        preprocess: Preprocess,
        grid: Grid,
        *,
        learnt: NDArray[np.bool_] | None = None,
    ) -> None:
        """Use the regions of the settings, or of a bundle.

        Args:
            regions: polygons in pixels of the camera frame; without any, the whole frame is judged.
            ignore: polygons that are not judged.
            preprocess: maps the graph's input to the frame.
            grid: the grid of patches on the input.
            learnt: patches in the regions of the bundle, bool [patches], which these regions take the place of.
        """
        self.unlearnt = 0
        self._learnt = learnt
        self._regions = [np.asarray(corners, dtype=np.int32) for corners in regions]
        self._ignore = [np.asarray(corners, dtype=np.int32) for corners in ignore]
        self._preprocess = preprocess
        self._grid = grid
        self._frame_hw = (0, 0)
        self._active = np.empty(0, dtype=np.bool_)

    def active(self, frame_hw: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Return whether each patch is judged, bool [patches], row by row; None if all are, or the bundle's decide.

        Args:
            frame_hw: height and width of the frame, pixels.
        """
        if not self._regions and not self._ignore and self._learnt is None:
            return None
        if frame_hw != self._frame_hw:
            rows, columns = self._preprocess.on_camera(self._grid.centers(), frame_hw)
            self._active = np.array([self._is_judged(float(x), float(y)) for y in rows for x in columns])
            self._frame_hw = frame_hw
            self.unlearnt = 0 if self._learnt is None else int(np.count_nonzero(self._active & ~self._learnt))
        return self._active

    def _is_judged(self, x: float, y: float) -> bool:
        return (not self._regions or _any_holds(self._regions, x, y)) and not _any_holds(self._ignore, x, y)


def judged_patches(manifest: Manifest, preprocess: Preprocess, grid: Grid) -> NDArray[np.bool_] | None:
    """Return the patches in the regions of a bundle, bool [patches]; None if they are all.

    Frames of other sizes are squashed into the same input, so that the regions are scaled with them.
    """
    if manifest.regions_hw is None:
        return None
    return Regions(manifest.regions, manifest.ignore, preprocess, grid).active(manifest.regions_hw)


def find_unlearnt(camera: str, view: View, manifest: Manifest, preprocess: Preprocess, grid: Grid) -> str | None:
    """Return in one line that a camera judges patches that its bundle never learnt; None if it does not.

    Args:
        camera: name of the camera.
        view: its regions.
        manifest: of its bundle.
        preprocess: preprocessing of its bundle.
        grid: grid of its bundle.
    """
    learnt = judged_patches(manifest, preprocess, grid)
    if not view.own or learnt is None or manifest.regions_hw is None:
        return None
    size = f"{manifest.regions_hw[1]} x {manifest.regions_hw[0]}"
    if reach_beyond(view, manifest.regions_hw):
        said = f"are not compared with those of the bundle, as they reach beyond {size} pixels, what it was fitted to"
        return f"cameras.{camera}: its `regions` and `ignore` {said}"
    here = Regions(view.regions, view.ignore, preprocess, grid, learnt=learnt)
    here.active(manifest.regions_hw)
    if not here.unlearnt:
        return None
    said = f"its `regions` and `ignore`, in pictures of {size} pixels, judge {here.unlearnt} patches that fit left out"
    return f"cameras.{camera}: {said}: nothing was learnt there, so that normal pictures may raise alerts"


def find_blind(
    path: KeyPath, view: View, preprocess: Preprocess, grid: Grid, frame_hw: tuple[int, int]
) -> Iterator[Problem]:
    """Find regions that contain the centre of no patch.

    Args:
        path: of the section whose regions they are, such as ("cameras", "top").
        view: the regions. If one of them extends beyond the frame, they are for another frame size: none is found
            then, and the first frame decides.
        preprocess: preprocessing of its bundle.
        grid: grid of its bundle.
        frame_hw: height and width of its frames, pixels, as far as known.
    """
    height, width = frame_hw
    if reach_beyond(view, frame_hw):
        return
    rows, columns = preprocess.on_camera(grid.centers(), frame_hw)
    centres = [(float(x), float(y)) for y in rows for x in columns]
    seen = (
        f"centres of patches lie from {columns[0]:.0f} to {columns[-1]:.0f} across and from {rows[0]:.0f} to "
        f"{rows[-1]:.0f} down, {_step(columns):.0f} and {_step(rows):.0f} apart: move it or make it larger"
    )
    found, pictures = False, f"pictures of {width} x {height} pixels"
    for at, outline in enumerate(view.regions):
        if not any(_any_holds([np.asarray(outline, dtype=np.int32)], x, y) for x, y in centres):
            found = True
            said = f"key `{dotted((*path, 'regions', at))}`: nothing is seen there of {pictures}"
            yield Problem((*path, "regions", at), said, seen)
    judged = Regions(view.regions, view.ignore, preprocess, grid).active(frame_hw)
    if not found and judged is not None and not judged.any():
        said = f"key `{dotted((*path, 'ignore'))}`: nothing is left to be judged"
        yield Problem((*path, "ignore"), said, "ignore less")


def reach_beyond(view: View, frame_hw: tuple[int, int]) -> bool:
    """Return whether regions were drawn for larger frames than those of `frame_hw` (height and width, pixels)."""
    corners = [corner for outline in (*view.regions, *view.ignore) for corner in outline]
    return any(x > frame_hw[1] or y > frame_hw[0] for x, y in corners)


def _step(places: NDArray[np.float64]) -> float:
    return float(places[1] - places[0]) if len(places) > 1 else 0.0


def _any_holds(polygons: list[NDArray[np.int32]], x: float, y: float) -> bool:
    """Return whether a point is inside of one of these polygons, or on its edge."""
    return any(cv2.pointPolygonTest(corners, (x, y), measureDist=False) >= 0 for corners in polygons)
