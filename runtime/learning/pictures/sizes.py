"""Check the sizes and proportions of the training pictures, and what a centre crop leaves unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_config.errors import UsageError
from edge_config.polygons import Polygon
from runtime.learning.pictures.survey import Survey

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


@dataclass(frozen=True, slots=True)
class Crop:
    """What is cut off a picture.

    Attributes:
        resize: side of the square that it is squashed into, pixels.
        size: side of its centre that is kept, pixels.
        accepted: however much that leaves unseen.
    """

    resize: int
    size: int
    accepted: bool = False


def note_sizes(survey: Survey, sizes: list[tuple[int, int]], where: str, names: Callable[[], list[str]]) -> None:
    """Note differences of sizes and aspect ratios.

    Args:
        survey: what is noted.
        sizes: width and height of each picture.
        where: path of the pictures, for the message.
        names: returns the name of each picture, for the message.

    Raises:
        UsageError: by more than one bundle can hold.
    """
    counts = Counter(sizes)
    survey.largest_pixels = max((width * height for width, height in counts), default=0)
    survey.sizes = {_in_pixels(size): count for size, count in counts.most_common()}
    if not counts:
        return
    width, height = counts.most_common(1)[0][0]
    survey.usual_hw = height, width
    by_shape = sorted(counts, key=lambda size: size[0] / size[1])
    narrow, wide = by_shape[0], by_shape[-1]
    ratio = (wide[0] / wide[1]) / (narrow[0] / narrow[1])
    by_side = sorted(counts, key=max)
    scale = max(by_side[-1]) / max(by_side[0])
    if ratio > MAX_SHAPE_RATIO:
        raise UsageError(
            f"pictures of {_in_pixels(narrow)} and {_in_pixels(wide)}: all are squashed into one shape, which would "
            f"distort these by {ratio:.1f} to 1 (at most {MAX_SHAPE_RATIO})",
            where=where,
            remedy=_one_size(counts, (narrow, wide), sizes, names),
        )
    if scale > MAX_SCALE_RATIO:
        raise UsageError(
            f"pictures of {_in_pixels(by_side[0])} and {_in_pixels(by_side[-1])}: a detail is {scale:.1f} times "
            f"larger in these (at most {MAX_SCALE_RATIO:.0f})",
            where=where,
            remedy=_one_size(counts, (by_side[0], by_side[-1]), sizes, names),
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


def _one_size(
    counts: Counter[tuple[int, int]],
    two: tuple[tuple[int, int], tuple[int, int]],
    sizes: list[tuple[int, int]],
    names: Callable[[], list[str]],
) -> str:
    """Return what to do about pictures of two sizes; it names one of the rarer size, as that may be a stray."""
    rare = min(two, key=lambda size: counts[size])
    stray = names()[sizes.index(rare)]
    return (
        f"{stray} is one of {counts[rare]} of {_in_pixels(rare)}: remove what does not belong there, "
        "crop or resize all to one size, or learn a bundle from each"
    )


def note_shape(survey: Survey, sizes: list[tuple[int, int]], learnt_hw: tuple[int, int], where: str) -> None:
    """Note pictures whose aspect ratio differs from the training pictures.

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
            where=where,
            remedy="crop them to that shape, or learn them with fit",
        )
    survey.notes.append(said)


def place_regions(survey: Survey, sizes: list[tuple[int, int]], polygons: Sequence[Polygon], where: str) -> None:
    """Set which size of picture polygons belong to: the most frequent one; for others they are scaled.

    Raises:
        UsageError: they reach beyond it, or there are pictures of other proportions.
    """
    if not polygons or not sizes:
        return
    width, height = Counter(sizes).most_common(1)[0][0]
    beyond = next(((x, y) for corners in polygons for x, y in corners if x > width or y > height), None)
    if beyond is not None:
        raise UsageError(
            f"`regions` or `ignore`: the corner {beyond[0]},{beyond[1]} is beyond the pictures of {width} x {height}",
            where=where,
            remedy="draw them in pixels of these pictures, x before y",
        )
    shapes = {size: max(size[0] * height / size[1] / width, size[1] * width / size[0] / height) for size in sizes}
    worst = max(shapes, key=lambda size: shapes[size])
    if shapes[worst] > SAME_SHAPE:
        raise UsageError(
            f"`regions` and `ignore` belong to pictures of {width} x {height}, and are not where they should be in "
            f"those of {_in_pixels(worst)}, which have other proportions",
            where=where,
            remedy="crop the pictures to the same proportions, or leave the others out",
        )
    survey.regions_hw = height, width


def note_crop(survey: Survey, crop: Crop, sizes: list[tuple[int, int]]) -> None:
    """Note what the centre crop leaves unseen.

    Raises:
        UsageError: too much.
    """
    resize, size = crop.resize, crop.size
    survey.unseen = (resize - size) / 2 / resize
    if not survey.unseen:
        return
    width, height = Counter(sizes).most_common(1)[0][0] if sizes else (0, 0)
    columns, rows = round(width * survey.unseen), round(height * survey.unseen)
    said = (
        f"--resize {resize} with --size {size}: the network does not see {survey.unseen:.1%} of a picture at each of "
        f"its four ends ({columns} pixels left and right, {rows} above and below, of {width} x {height})"
    )
    if survey.unseen > MAX_UNSEEN and not crop.accepted:
        remedy = f"leave out --resize to see all; beyond {MAX_UNSEEN:.0%} --accept-crop is needed"
        raise UsageError(said, remedy=remedy)
    survey.notes.append(f"{said}; without --resize it sees all")


def _in_pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
