"""Which patches of a camera's frames are judged: those whose centre lies in a region and in nothing to be ignored."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.sections import Polygon
from runtime.frame import Grid
from runtime.preprocess import Preprocess


class Regions:
    """The judged patches of the frames of one camera, found once for each size of frames."""

    def __init__(
        self, regions: Sequence[Polygon], ignore: Sequence[Polygon], preprocess: Preprocess, grid: Grid
    ) -> None:
        """Take what the settings say.

        Args:
            regions: polygons in pixels of the camera frame; where there are none, all of it is judged.
            ignore: polygons that are not.
            preprocess: says where the graph's input lies on the frame.
            grid: where patches lie on that.
        """
        self._regions = [np.asarray(corners, dtype=np.int32) for corners in regions]
        self._ignore = [np.asarray(corners, dtype=np.int32) for corners in ignore]
        self._preprocess = preprocess
        self._grid = grid
        self._frame_hw = (0, 0)
        self._active = np.empty(0, dtype=np.bool_)

    def active(self, frame_hw: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Tell of each patch whether it is judged, bool [patches], row by row; None where all are.

        Args:
            frame_hw: height and width of the frame, pixels.
        """
        if not self._regions and not self._ignore:
            return None
        if frame_hw != self._frame_hw:
            rows, columns = self._preprocess.on_camera(self._grid.centers(), frame_hw)
            self._active = np.array([self._is_judged(float(x), float(y)) for y in rows for x in columns])
            self._frame_hw = frame_hw
        return self._active

    def _is_judged(self, x: float, y: float) -> bool:
        return (not self._regions or _any_holds(self._regions, x, y)) and not _any_holds(self._ignore, x, y)


def _any_holds(polygons: list[NDArray[np.int32]], x: float, y: float) -> bool:
    """Tell whether a point lies in one of these polygons, or on its edge."""
    return any(cv2.pointPolygonTest(corners, (x, y), measureDist=False) >= 0 for corners in polygons)
