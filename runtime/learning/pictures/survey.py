"""What was found in the training pictures: sizes, copies, depth, and notes about what will not be learnt."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_config.bundle.manifest import FULL_DEPTH


@dataclass(slots=True)
class Survey:
    """What was found.

    Attributes:
        pictures: that can be read, copies included.
        copies: of them that equal an earlier one, pixel by pixel: they are left out.
        passed_over: other files in the folder, by suffix.
        sizes: pictures by "WIDTH x HEIGHT", the most frequent first.
        each_hw: height and width of each picture that is left, in order, pixels.
        usual_hw: height and width of most of them, pixels.
        largest_pixels: of the largest picture.
        deep: pictures of 16 bits.
        largest: value in them; 0 if there is none.
        levels: grey levels, of 256, that they use at `depth`.
        white: share of their values that is above what `depth` holds.
        depth: bits of 16 that are used, for the bundle.
        regions_hw: height and width of the pictures that `regions` and `ignore` belong to, pixels; None without any.
        unseen: share of height and width that the crop does not see, at each end.
        notes: plain sentences about what will not be learnt.
    """

    pictures: int = 0
    copies: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    each_hw: list[tuple[int, int]] = field(default_factory=list)
    usual_hw: tuple[int, int] = (0, 0)
    largest_pixels: int = 0
    deep: int = 0
    largest: int = 0
    levels: int = 0
    white: float = 0.0
    depth: int = FULL_DEPTH
    regions_hw: tuple[int, int] | None = None
    unseen: float = 0.0
    notes: list[str] = field(default_factory=list)
