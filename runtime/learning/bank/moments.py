"""Sums of features and of their squares that are the same in any order, and in any parts.

A sum of float64 numbers depends on the order in which they are added. So each number is first rounded to a multiple of
a power of two, small enough to lose nothing that counts (some 2^-40 of the channel's largest value), and such integers
are added. They never overflow, as the step is chosen by the number of terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_BITS = 62  # of an int64, without its sign and one to spare

Blocks = Iterable[NDArray[np.float32]]
"""Features, each float32 [n, D]."""

Ask = Callable[[Callable[[Blocks], T]], list[T]]
"""Asks each part a question about the features that it holds."""


def moments(
    ask: Ask[Any],
    centre: NDArray[np.float64],
    terms: int,
    *,
    by_position: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of what is left of features without a centre, and of its squares, float64.

    Args:
        ask: each part.
        centre: float64 [D], or [n, D] with `by_position`.
        terms: number of features that are added, over all parts.
        by_position: add the n-th feature of each block to that of the other blocks, not to the others of its block.
    """
    largest = np.maximum.reduce(ask(Largest(centre)))
    exponents = np.frexp(largest)[1].astype(np.int64)
    bits = _BITS - terms.bit_length()
    found = ask(Sums(centre, exponents, bits, by_position))
    sums, squares = (reduce(np.add, parts) for parts in zip(*found, strict=True))
    steps = exponents - bits, 2 * exponents - bits
    return np.ldexp(sums.astype(np.float64), steps[0]), np.ldexp(squares.astype(np.float64), steps[1])


@dataclass(frozen=True, slots=True, eq=False)
class Largest:
    """How far is each channel from a centre at most?"""

    centre: NDArray[np.float64]

    def __call__(self, blocks: Blocks) -> NDArray[np.float64]:
        """Return float64 [D]."""
        largest = np.zeros(self.centre.shape[-1])
        for block in blocks:
            np.maximum(largest, np.abs(block - self.centre).max(axis=0, initial=0.0), out=largest)
        return largest


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What is the sum of the features without a centre, and of their squares, in integers?

    Attributes:
        centre: of the features.
        exponents: of two, above the largest value of each channel, int64 [D].
        bits: that the largest value has as an integer, and the largest square.
        by_position: each position by itself.
    """

    centre: NDArray[np.float64]
    exponents: NDArray[np.int64]
    bits: int
    by_position: bool

    def __call__(self, blocks: Blocks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return both, int64 [D], or [n, D] by position."""
        sums, squares = np.zeros(self.centre.shape, np.int64), np.zeros(self.centre.shape, np.int64)
        of_one, of_square = np.exp2(self.bits - self.exponents), np.exp2(self.bits - 2 * self.exponents)
        for block in blocks:
            apart = block - self.centre
            squares += self._whole(apart * apart * of_square)
            sums += self._whole(apart * of_one)
        return sums, squares

    def _whole(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        whole = np.rint(values, out=values).astype(np.int64)
        return whole if self.by_position else np.asarray(whole.sum(axis=0))
