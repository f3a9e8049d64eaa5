"""Where fit must not look: `regions` and `ignore`, as patches of the grid and as pixels of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.errors import UsageError
from edge_config.polygons import Polygon
from runtime.frame import Grid, Image
from runtime.learning.options import LearnOptions
from runtime.learning.pictures.survey import Survey
from runtime.learning.progress import say
from runtime.scoring.draw_regions import draw_regions, scaled
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.regions import Regions, find_blind
from runtime.view import View

_MOVES = (
    "rotation and flip of `--may-vary` also move what is in `ignore`, or outside of `regions`, to where pictures are "
    "judged: there it is learnt, and may raise the threshold"
)


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """The regions of a fit.

    Attributes:
        regions, ignore: polygons in pixels of pictures of `hw`.
        hw: height and width of these pictures; None without polygons.
        judged: patches that are learnt and judged, bool [patches]; None: all.
    """

    regions: tuple[Polygon, ...] = ()
    ignore: tuple[Polygon, ...] = ()
    hw: tuple[int, int] | None = None
    judged: NDArray[np.bool_] | None = None

    def pixels(self, picture_hw: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Return the pixels of a picture that are judged, bool [H, W]; None if all are."""
        if self.hw is None:
            return None
        regions, ignore = (scaled(one, self.hw, picture_hw) for one in (self.regions, self.ignore))
        mask = np.zeros(picture_hw, np.uint8) if regions else np.ones(picture_hw, np.uint8)
        cv2.fillPoly(mask, regions, 1)
        cv2.fillPoly(mask, ignore, 0)
        return mask.astype(np.bool_)

    def draw(self, picture: Image) -> Image:
        """Return a copy of a picture, uint8 [H, W, 3] BGR, with the regions drawn into it."""
        return picture if self.hw is None else draw_regions(picture, self.regions, self.ignore, self.hw)


def look_where(options: LearnOptions, survey: Survey, preprocess: Preprocess, grid: Grid) -> Looked:
    """Find the patches that are in the regions.

    Raises:
        UsageError: a region contains the centre of no patch, or none is left.
    """
    if survey.regions_hw is None:
        return Looked()
    view = View(options.regions, options.ignore)
    for problem in find_blind((), view, preprocess, grid, survey.regions_hw):
        raise UsageError(problem.what, where=options.images, remedy=problem.remedy)
    judged = Regions(options.regions, options.ignore, preprocess, grid).active(survey.regions_hw)
    assert judged is not None  # noqa: S101 - there are polygons
    out = np.count_nonzero(~judged)
    note = f"`regions` and `ignore` leave out {out} of {len(judged)} patches: neither learnt nor judged"
    notes = [note, *([_MOVES] if options.may_vary.rotation or options.may_vary.flip else [])]
    survey.notes += notes
    for one in notes:
        say(one)
    return Looked(options.regions, options.ignore, survey.regions_hw, judged)
