"""Choose how many bits of 16 are used, from how often each value occurs in the training pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import UsageError
from runtime.camera import image_files
from runtime.learning.pictures.survey import Survey

MIN_LEVELS = 32
"""Grey levels, of 256, that pictures of 16 bits shall use: with fewer, steps between levels look like edges."""

REFUSED_LEVELS = 8
"""Grey levels below which pictures of 16 bits are refused: there is hardly a picture left."""

MAX_WHITE = 0.001
"""Share of the values of 16 bits that `--depth auto` lets become white where all would leave few grey levels for the
others: hot pixels of a sensor in dim light."""


def histogram(image: image_files.Deep) -> NDArray[np.int64]:
    """Return how often each value of 16 bits occurs, int64 [65536]."""
    size = 1 << FULL_DEPTH
    counts = [cv2.calcHist([image], [channel], None, [size], [0, size]) for channel in range(image.shape[2])]
    return np.asarray(np.sum(counts, axis=0).ravel(), dtype=np.int64)


def note_depth(survey: Survey, values: NDArray[np.int64], depth: int | None, where: str, *, may_choose: bool) -> None:
    """Choose the depth, and say what becomes of pictures of 16 bits.

    Raises:
        UsageError: hardly a grey level is used, and another depth, which may be chosen, would use more.
    """
    survey.depth = FULL_DEPTH if depth is None else depth
    if not survey.deep:
        if survey.depth < FULL_DEPTH:
            survey.notes.append(f"no picture has 16 bits: depth {survey.depth} changes nothing here")
        return
    survey.largest = int(np.flatnonzero(values)[-1])
    needed, nearly = _bits(survey.largest), _bits(_quantile(values, 1 - MAX_WHITE))
    if depth is None:
        survey.depth = needed if _levels(values, needed) >= MIN_LEVELS else nearly
    survey.levels = _levels(values, survey.depth)
    survey.white = float(values[1 << survey.depth :].sum() / values.sum()) if survey.depth < FULL_DEPTH else 0.0
    chosen = "" if depth is not None else "; --depth chooses another, such as that of the camera"
    mixed = f"; {different} have 8" if (different := survey.pictures - survey.copies - survey.deep) else ""
    white = f", and from {1 << survey.depth} on all is white" if survey.depth < FULL_DEPTH else ""
    said = f"at depth {survey.depth} they use {survey.levels} of 256 grey levels{white}"
    survey.notes.append(
        f"{survey.deep} pictures have 16 bits{mixed}: values up to {survey.largest} need {needed}; {said}{chosen}"
    )
    if survey.white > 0:
        share = f"{100 * survey.white:.2g}%"
        survey.notes.append(f"{share} of the values are above what depth {survey.depth} holds, and white")
    if survey.levels >= MIN_LEVELS or nearly >= survey.depth:
        return
    if survey.levels < REFUSED_LEVELS and may_choose:
        raise UsageError(
            f"{survey.deep} pictures have 16 bits: {said} (at least {REFUSED_LEVELS} are needed)",
            where=where,
            remedy=f"give --depth {nearly}, or auto",
        )
    survey.notes.append(
        f"{survey.levels} grey levels are few (fewer than {MIN_LEVELS}): fit with --depth {nearly} uses what is there"
    )


def _bits(value: int) -> int:
    """Return the depth that holds a value."""
    return min(max(value.bit_length(), 8), FULL_DEPTH)


def _quantile(values: NDArray[np.int64], share: float) -> int:
    """Return the smallest value that this share of all values does not exceed, by how often each occurs."""
    return int(np.searchsorted(np.cumsum(values), share * values.sum()))


def _levels(values: NDArray[np.int64], depth: int) -> int:
    """Return how many grey levels are used at a depth."""
    grey = image_files.to_8_bits(np.arange(len(values), dtype=np.uint16), depth)
    return len(np.unique(grey[values > 0]))
