"""Check the training pictures before the work begins: skipped, distorted, cropped and duplicate ones.

Nothing here changes a picture. Copies are left out by `Pictures.keep`, and how many bits of 16 are used is fixed for
all pictures, by the depth that the bundle records.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import TooFewImages, UsageError
from export.options import Options
from export.pictures.folder_layout import refuse_layout
from export.pictures.images import Pictures
from export.progress import progress
from runtime.camera import image_files

MAX_SHAPE_RATIO = 1.5
"""Between the widest and the narrowest proportions (width by height) of the pictures. All are squashed into one square:
beyond this what is a circle in one is an ellipse of 3 : 2 in another, and the bank holds two scenes."""

MAX_SCALE_RATIO = 4.0
"""Between the longer sides of the largest and the smallest picture. A detail of 4 pixels in one is 1 in the other."""

SAME_SHAPE = 1.02
"""Proportions up to this ratio are the same: golden frames, which tell what was learnt from, are rounded to pixels."""

SAID_SQUASH = 2.0
"""Proportions from which the squashing of pictures that are all alike is said: served is what was learnt, but details
along the longer side shrink to half beside the others."""

MAX_UNSEEN = 0.1
"""Share of width and height that the centre crop may leave unseen at each end: the paper's crop, 224 of 256, leaves
0.0625. What is beyond is a blind device, unless somebody wants it so (`--accept-crop`)."""

MAX_PASSED_OVER = 1.0
"""Pictures in formats that are not read, to one that is: beyond it most of what was meant is not learnt."""

MIN_LEVELS = 32
"""Grey levels, of 256, that pictures of 16 bits shall use: with fewer, steps between levels look like edges."""

REFUSED_LEVELS = 8
"""Grey levels below which pictures of 16 bits are refused: there is hardly a picture left."""

MAX_WHITE = 0.001
"""Share of the values of 16 bits that `--depth auto` lets become white where all would leave few grey levels for the
others: hot pixels of a sensor in dim light."""

OTHER_PICTURES = frozenset(
    {".avif", ".heic", ".heif", ".jxl", ".gif", ".jp2", ".dng", ".raw", ".cr2", ".nef", ".arw", ".exr", ".hdr"}
    | {".pgm", ".ppm", ".pnm", ".tga", ".jfif", ".jpe", ".dib", ".svg", ".npy"}
)
"""Suffixes of pictures that are not read."""


@dataclass(slots=True)
class Survey:
    """What was found.

    Attributes:
        pictures: that can be read, copies included.
        copies: of them that equal an earlier one, pixel by pixel: they are left out.
        passed_over: other files in the folder, by suffix.
        sizes: pictures by "WIDTH x HEIGHT", the most frequent first.
        largest_pixels: of the largest picture.
        deep: pictures of 16 bits.
        largest: value in them; 0 if there is none.
        levels: grey levels, of 256, that they use at `depth`.
        white: share of their values that is above what `depth` holds.
        depth: bits of 16 that are used, for the bundle.
        unseen: share of height and width that the crop does not see, at each end.
        notes: plain sentences about what will not be learnt.
    """

    pictures: int = 0
    copies: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    largest_pixels: int = 0
    deep: int = 0
    largest: int = 0
    levels: int = 0
    white: float = 0.0
    depth: int = FULL_DEPTH
    unseen: float = 0.0
    notes: list[str] = field(default_factory=list)


def look_for(pictures: Pictures, options: Options, least: int) -> Survey:
    """Do what `look` does, for `fit`."""
    return look(
        pictures,
        Path(options.images),
        least=least,
        depth=None if options.depth == "auto" else options.depth,
        resize=options.resize,
        size=options.size,
        accept_crop=options.accept_crop,
    )


def look(
    pictures: Pictures,
    path: Path,
    *,
    least: int,
    depth: int | None = None,
    resize: int | None = None,
    size: int | None = None,
    accept_crop: bool = False,
    learnt_hw: tuple[int, int] | None = None,
) -> Survey:
    """Look at all pictures once, say on stderr what will not be learnt, leave copies out, and set the depth.

    Args:
        pictures: afterwards without copies, and with the depth.
        path: where they are from.
        least: different pictures that are needed.
        depth: bits that pictures of 16 bits use; None takes the fewest that hold all of their values.
        resize: side of the square that a picture is squashed into; None where nothing is cut off it.
        size: side of its centre that is kept.
        accept_crop: whatever the crop leaves unseen.
        learnt_hw: height and width, or their proportions, of what the bundle was learnt from; None for a new one.

    Raises:
        UsageError: what there is should not be learnt from.
    """
    if path.is_dir():
        refuse_layout(path)
    survey = Survey(passed_over=dict(image_files.passed_over(path)) if path.is_dir() else {})
    _note_passed_over(survey, pictures, path)
    if pictures.unasked:
        survey.notes.append(
            f"{len(pictures)} of {pictures.found} frames of the video are taken, spread evenly; --max-images takes more"
        )
    sizes, values = _look_at_each(pictures, survey)
    _note_copies(survey, path, least)
    _note_sizes(survey, sizes, path)
    if learnt_hw:
        _note_shape(survey, sizes, learnt_hw, path)
    _note_depth(survey, values, depth, path, may_choose=learnt_hw is None)
    if resize and size:
        _note_crop(survey, resize, size, sizes, accept=accept_crop)
    pictures.depth = survey.depth
    for note in survey.notes:
        say(note)
    return survey


def say(note: str) -> None:
    """Say a note while the work goes on; the summary has it again."""
    print(f"patchedge-export: note: {note}", file=sys.stderr, flush=True)


def _look_at_each(pictures: Pictures, survey: Survey) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
    """Decode every picture once; leave copies out.

    Returns:
        Width and height of each that is no copy, and how often each value of 16 bits occurs, int64 [65536].
    """
    first: dict[bytes, int] = {}
    sizes: list[tuple[int, int]] = []
    values = np.zeros(1 << FULL_DEPTH, dtype=np.int64)
    wanted = set(range(len(pictures)))
    for position, image in progress(pictures.deep(), "look at pictures", total=len(pictures), unit="picture"):
        survey.pictures += 1
        if first.setdefault(fingerprint(image), position) != position:
            survey.copies += 1
            wanted.discard(position)
            continue
        sizes.append((image.shape[1], image.shape[0]))
        if image.dtype == np.uint16:
            survey.deep += 1
            values += _histogram(image)
    pictures.keep(sorted(wanted))
    return sizes, values


def fingerprint(image: image_files.Deep) -> bytes:
    """Return what only pictures with the same pixels have in common."""
    same = hashlib.blake2b(f"{image.shape} {image.dtype}".encode())
    same.update(np.ascontiguousarray(image).data)
    return same.digest()


def _histogram(image: image_files.Deep) -> NDArray[np.int64]:
    size = 1 << FULL_DEPTH
    counts = [cv2.calcHist([image], [channel], None, [size], [0, size]) for channel in range(image.shape[2])]
    return np.asarray(np.sum(counts, axis=0).ravel(), dtype=np.int64)


def _note_passed_over(survey: Survey, pictures: Pictures, path: Path) -> None:
    """Say which files are not read.

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
            f"{said}; {pictures.found} pictures are read", where=str(path), remedy="convert them to PNG, or move them"
        )
    survey.notes.append(f"{said} (read are {' '.join(sorted(image_files.ENDINGS))})")


def _note_copies(survey: Survey, path: Path, least: int) -> None:
    """Say how many pictures are copies.

    Raises:
        TooFewImages: without them there are too few.
    """
    different = survey.pictures - survey.copies
    if not survey.copies:
        return
    said = f"{survey.copies} of {survey.pictures} pictures are the same as another one, pixel by pixel"
    if different < least:
        raise TooFewImages(
            f"{said}: {different} different remain, at least {least} are needed",
            where=str(path),
            remedy="take more pictures; copies teach nothing",
        )
    survey.notes.append(f"{said}: each is counted once, {different} remain")


def _note_sizes(survey: Survey, sizes: list[tuple[int, int]], path: Path) -> None:
    """Say how sizes and proportions differ.

    Raises:
        UsageError: by more than one bundle can hold.
    """
    counts = Counter(sizes)
    survey.largest_pixels = max((width * height for width, height in counts), default=0)
    survey.sizes = {_in_pixels(size): count for size, count in counts.most_common()}
    if not counts:
        return
    by_shape = sorted(counts, key=lambda size: size[0] / size[1])
    narrow, wide = by_shape[0], by_shape[-1]
    ratio = (wide[0] / wide[1]) / (narrow[0] / narrow[1])
    by_side = sorted(counts, key=max)
    scale = max(by_side[-1]) / max(by_side[0])
    remedy = "crop or resize them to one size, or learn a bundle from each"
    if ratio > MAX_SHAPE_RATIO:
        raise UsageError(
            f"pictures of {_in_pixels(narrow)} and {_in_pixels(wide)}: all are squashed into one shape, which would "
            f"distort these by {ratio:.1f} to 1 (at most {MAX_SHAPE_RATIO})",
            where=str(path),
            remedy=remedy,
        )
    if scale > MAX_SCALE_RATIO:
        raise UsageError(
            f"pictures of {_in_pixels(by_side[0])} and {_in_pixels(by_side[-1])}: a detail is {scale:.1f} times "
            f"larger in these (at most {MAX_SCALE_RATIO:.0f})",
            where=str(path),
            remedy=remedy,
        )
    if len(counts) > 1:
        shown = ", ".join(f"{count} of {size}" for size, count in list(survey.sizes.items())[:4])
        more = f" and {len(counts) - 4} sizes more" if len(counts) > 4 else ""  # noqa: PLR2004 - as above
        squashed = f"; squashed into one shape, their proportions differ by {ratio:.2f} to 1" if ratio > 1 else ""
        survey.notes.append(f"pictures have {len(counts)} sizes: {shown}{more}{squashed}")
    squash = max(wide[0] / wide[1], narrow[1] / narrow[0])
    if squash >= SAID_SQUASH:
        worst = wide if wide[0] / wide[1] == squash else narrow
        survey.notes.append(
            f"pictures of {_in_pixels(worst)} are squashed {squash:.1f} to 1 into the square that the network sees: "
            "details along the longer side are that much smaller"
        )


def _note_shape(survey: Survey, sizes: list[tuple[int, int]], learnt_hw: tuple[int, int], path: Path) -> None:
    """Say where pictures have other proportions than those that were learnt from.

    Raises:
        UsageError: by more than one bundle can hold.
    """
    learnt = learnt_hw[1] / learnt_hw[0]
    ratios = {size: max(size[0] / size[1] / learnt, learnt * size[1] / size[0]) for size in sizes}
    worst = max(ratios, key=lambda size: ratios[size], default=None)
    if worst is None or ratios[worst] <= SAME_SHAPE:
        return
    said = (
        f"pictures of {_in_pixels(worst)} have other proportions than those that were learnt from "
        f"({learnt:.2f} to 1): squashed into one shape, they differ by {ratios[worst]:.2f} to 1"
    )
    if ratios[worst] > MAX_SHAPE_RATIO:
        raise UsageError(
            f"{said} (at most {MAX_SHAPE_RATIO})",
            where=str(path),
            remedy="crop them to that shape, or learn them with fit",
        )
    survey.notes.append(said)


def _note_depth(survey: Survey, values: NDArray[np.int64], depth: int | None, path: Path, *, may_choose: bool) -> None:
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
            where=str(path),
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


def _note_crop(survey: Survey, resize: int, size: int, sizes: list[tuple[int, int]], *, accept: bool) -> None:
    """Say what the centre crop does not see.

    Raises:
        UsageError: too much.
    """
    survey.unseen = (resize - size) / 2 / resize
    if not survey.unseen:
        return
    width, height = Counter(sizes).most_common(1)[0][0] if sizes else (0, 0)
    columns, rows = round(width * survey.unseen), round(height * survey.unseen)
    said = (
        f"--resize {resize} with --size {size}: the network does not see {survey.unseen:.1%} of a picture at each of "
        f"its four ends ({columns} pixels left and right, {rows} above and below, of {width} x {height})"
    )
    if survey.unseen > MAX_UNSEEN and not accept:
        remedy = f"leave out --resize to see all; beyond {MAX_UNSEEN:.0%} --accept-crop is needed"
        raise UsageError(said, remedy=remedy)
    survey.notes.append(f"{said}; without --resize it sees all")


def _in_pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
