"""Check the training pictures before the work begins: skipped, distorted, cropped and duplicate ones.

Nothing here changes a picture. Copies are left out by `Pictures.keep`, and how many bits of 16 are used is fixed for
all pictures, by the depth that the bundle records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import TooFewImages, UsageError
from edge_config.polygons import Polygon
from runtime.camera import image_files
from runtime.learning.pictures.depth import histogram, note_depth
from runtime.learning.pictures.folder_layout import refuse_layout
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.look import Looking, look_here
from runtime.learning.pictures.sizes import Crop, note_crop, note_shape, note_sizes, place_regions
from runtime.learning.pictures.survey import Survey
from runtime.learning.progress import say

MAX_PASSED_OVER = 1.0
"""Pictures in formats that are not read, to one that is: beyond it most of what was meant is not learnt."""

OTHER_PICTURES = frozenset(
    {".avif", ".heic", ".heif", ".jxl", ".gif", ".jp2", ".dng", ".raw", ".cr2", ".nef", ".arw", ".exr", ".hdr"}
    | {".pgm", ".ppm", ".pnm", ".tga", ".jfif", ".jpe", ".dib", ".svg", ".npy"}
)
"""Suffixes of pictures that are not read."""


def check_pictures(
    pictures: Pictures,
    *,
    least: int,
    depth: int | None = None,
    crop: Crop | None = None,
    learnt_hw: tuple[int, int] | None = None,
    polygons: Sequence[Polygon] = (),
    looking: Looking = look_here,
) -> Survey:
    """Look at all pictures once, say on stderr what will not be learnt, leave copies out, and set the depth.

    Args:
        pictures: afterwards without copies, and with the depth.
        least: different pictures that are needed.
        depth: bits that pictures of 16 bits use; None takes the fewest that hold all of their values.
        crop: what is cut off a picture; None: nothing.
        learnt_hw: height and width, or their proportions, of what the bundle was learnt from; None for a new one.
        polygons: all of `regions` and `ignore`.
        looking: looks at the pictures, in pieces.

    Raises:
        UsageError: what there is should not be learnt from.
    """
    where = pictures.source.where
    if not pictures.is_video:
        refuse_layout(pictures.files, where)
    survey = Survey(passed_over=dict(pictures.source.passed_over))
    _note_passed_over(survey, pictures, where)
    if pictures.unasked:
        survey.notes.append(
            f"{len(pictures)} of {pictures.found} frames of the video are taken, spread evenly; --max-images takes more"
        )
    sizes, values = _look_at_each(pictures, survey, looking)
    survey.each_hw = [(height, width) for width, height in sizes]
    _note_copies(survey, where, least)
    note_sizes(survey, sizes, where, pictures.names)
    if learnt_hw:
        note_shape(survey, sizes, learnt_hw, where)
    note_depth(survey, values, depth, where, may_choose=learnt_hw is None)
    place_regions(survey, sizes, polygons, where)
    if crop:
        note_crop(survey, crop, sizes)
    pictures.depth = survey.depth
    for note in survey.notes:
        say(note)
    return survey


def _look_at_each(
    pictures: Pictures, survey: Survey, looking: Looking
) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
    """Decode every picture once; leave copies out, and those that cannot be read.

    Returns:
        Width and height of each that is left, and how often each value of 16 bits occurs in them, int64 [65536].
    """
    looks = looking(pictures)
    first: set[bytes] = set()
    sizes: list[tuple[int, int]] = []
    wanted: list[int] = []
    copies: list[int] = []
    for start, one in looks:
        for seen in one.seen:
            survey.pictures += 1
            if seen.print in first:
                survey.copies += 1
                if seen.deep and seen.counted:
                    copies.append(start + seen.position)
                continue
            first.add(seen.print)
            sizes.append(seen.size)
            survey.deep += seen.deep
            wanted.append(start + seen.position)
    values = sum((one.values for _, one in looks if one.values is not None), np.zeros(1 << FULL_DEPTH, np.int64))
    again = pictures.part(copies)  # of another piece than what they are copies of
    values = values - sum((histogram(image) for _, image in again.deep()), np.zeros_like(values))
    pictures.keep(wanted)
    pictures.settle([name for _, one in looks for name in one.skipped])
    return sizes, values


def _note_passed_over(survey: Survey, pictures: Pictures, where: str) -> None:
    """Note files that are not read.

    Raises:
        UsageError: they are pictures, and more than those that are.
    """
    counts = Counter(survey.passed_over)
    if not counts:
        return
    said = f"{counts.total()} files are passed over: {image_files.in_words(counts)}"
    others = sum(count for suffix, count in counts.items() if suffix in OTHER_PICTURES)
    if others > MAX_PASSED_OVER * pictures.found:
        raise UsageError(
            f"{said}; {pictures.found} pictures are read", where=where, remedy="convert them to PNG, or move them"
        )
    survey.notes.append(f"{said} (read are {' '.join(sorted(image_files.ENDINGS))})")


def _note_copies(survey: Survey, where: str, least: int) -> None:
    """Note the number of duplicate pictures.

    Raises:
        TooFewImages: without them there are too few.
    """
    different = survey.pictures - survey.copies
    if not survey.copies:
        return
    said = f"{survey.copies} of {survey.pictures} pictures are the same as another one, pixel by pixel"
    if different < least:
        raise TooFewImages(
            f"{said}: of different ones there are {different}, at least {least} are needed",
            where=where,
            remedy="take more pictures; copies teach nothing",
        )
    survey.notes.append(f"{said}: each is counted once, {different} remain")
