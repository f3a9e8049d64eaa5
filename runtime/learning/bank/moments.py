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
_ZERO = np.iinfo(np.int16).min  # as an exponent; those of a float64 are from -1073 to 1024

Blocks = Iterable[NDArray[np.float32]]
"""Features, each float32 [n, D]."""

Moments = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Sums, and sums of squares."""

Ask = Callable[[Callable[[Blocks], T]], list[T]]
"""Asks each part a question about the features that it holds."""


def moments(
    ask: Ask[Any],
    centre: NDArray[np.float32],
    terms: int,
    *,
    by_position: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of what is left of features without a centre, and of its squares, float64.

    Args:
        ask: each part.
        centre: float32 [D], or [n, D] with `by_position`.
        terms: number of features that are added, over all parts.
        by_position: add the n-th feature of each block to that of the other blocks, not to the others of its block.
    """
    small = Largest.together(ask(Largest(centre)))
    exponents = np.where(small == _ZERO, 0, small).astype(np.int64)
    bits = _BITS - terms.bit_length()
    sums, squares = Sums.together(ask(Sums(centre, exponents.astype(np.int16), bits, by_position)))
    steps = exponents - bits, 2 * exponents - bits
    return np.ldexp(sums.astype(np.float64), steps[0]), np.ldexp(squares.astype(np.float64), steps[1])


@dataclass(frozen=True, slots=True, eq=False)
class Largest:
    """How far is each channel from a centre at most? The exponent of two above that."""

    centre: NDArray[np.float32]

    def __call__(self, blocks: Blocks) -> NDArray[np.int16]:
        """Return int16 [D]; `_ZERO` for 0, which is below all others."""
        centre = self.centre.astype(np.float64)
        largest = np.zeros(centre.shape[-1])
        for block in blocks:
            np.maximum(largest, np.abs(block - centre).max(axis=0, initial=0.0), out=largest)
        return np.where(largest > 0, np.frexp(largest)[1], _ZERO).astype(np.int16)

    @staticmethod
    def together(answers: list[NDArray[np.int16]]) -> NDArray[np.int16]:
        """Return that of all parts."""
        return np.asarray(np.maximum.reduce(answers))


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What is the sum of the features without a centre, and of their squares, in integers?

    Attributes:
        centre: of the features.
        exponents: of two, above the largest value of each channel, int16 [D].
        bits: that the largest value has as an integer, and the largest square.
        by_position: each position by itself.
    """

    centre: NDArray[np.float32]
    exponents: NDArray[np.int16]
    bits: int
    by_position: bool

    def __call__(self, blocks: Blocks) -> Moments:
        """Return both, int64 [D], or [n, D] by position."""
        centre, exponents = self.centre.astype(np.float64), self.exponents.astype(np.int64)
        sums, squares = np.zeros(centre.shape, np.int64), np.zeros(centre.shape, np.int64)
        of_one, of_square = np.exp2(self.bits - exponents), np.exp2(self.bits - 2 * exponents)
        for block in blocks:
            apart = block - centre
            squares += self._whole(apart * apart * of_square)
            sums += self._whole(apart * of_one)
        return sums, squares

    @staticmethod
    def together(answers: list[Moments]) -> Moments:
        """Return those of all parts: integers have the same sum in any order."""
        sums, squares = (reduce(np.add, parts) for parts in zip(*answers, strict=True))
        return sums, squares

    def _whole(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        whole = np.rint(values, out=values).astype(np.int64)
        return whole if self.by_position else np.asarray(whole.sum(axis=0))
