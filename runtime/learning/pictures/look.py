"""Look at pictures once: their sizes, their copies, and the values of 16 bits that occur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.learning.pictures.depth import histogram
from runtime.learning.pictures.images import Pictures, fingerprint
from runtime.learning.progress import progress


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that can be read.

    Attributes:
        position: among those that are looked at.
        print: what only pictures with the same pixels have in common.
        size: width and height, pixels.
        deep: it has 16 bits.
        counted: its values are counted: it is no copy of one before it.
    """

    position: int
    print: bytes
    size: tuple[int, int]
    deep: bool
    counted: bool


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What some pictures show.

    Attributes:
        seen: those that can be read, in order.
        skipped: files of the others.
        values: how often each value of 16 bits occurs in those that are counted, int64 [65536]; None: none has them.
    """

    seen: list[Seen]
    skipped: list[str]
    values: NDArray[np.int64] | None


Looking = Callable[[Pictures], list[tuple[int, Look]]]
"""Looks at pictures in pieces: returns the position of the first of each piece, and what it shows."""


def look_here(pictures: Pictures) -> list[tuple[int, Look]]:
    """Look at all pictures as one piece."""
    return [(0, look((pictures, True)))]


def look(piece: tuple[Pictures, bool]) -> Look:
    """Decode some pictures; show the progress, if that is wanted.

    Raises:
        UnreadableImage: one is damaged, and those are not skipped.
    """
    pictures, shown = piece
    prints: set[bytes] = set()
    seen: list[Seen] = []
    values: NDArray[np.int64] | None = None
    walk = pictures.deep()
    for position, image in progress(walk, "look at pictures", total=len(pictures), unit="picture") if shown else walk:
        one = fingerprint(image)
        deep, counted = image.dtype == np.uint16, one not in prints
        prints.add(one)
        if deep and counted:
            values = histogram(image) + (0 if values is None else values)
        seen.append(Seen(position, one, (image.shape[1], image.shape[0]), deep, counted))
    return Look(seen, list(pictures.skipped), values)
